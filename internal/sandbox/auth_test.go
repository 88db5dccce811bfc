package sandbox_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

func TestTokensAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{Scopes: []string{"investors:read", "documents:write"}, ClientID: "me", ClientSecret: "hush"},
		"investors:read")
	good := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"investors:read documents:write"},
		"client_id": {"me"}, "client_secret": {"hush"},
	}
	for name, test := range map[string]struct {
		change url.Values
		want   int
		code   string
	}{
		"another grant":     {url.Values{"grant_type": {"password"}}, 400, "unsupported_grant_type"},
		"no grant":          {url.Values{"grant_type": nil}, 400, "invalid_request"},
		"wrong secret":      {url.Values{"client_secret": {"loud"}}, 401, "invalid_client"},
		"no secret":         {url.Values{"client_secret": nil}, 401, "invalid_client"},
		"wrong client":      {url.Values{"client_id": {"you"}}, 401, "invalid_client"},
		"no scope":          {url.Values{"scope": nil}, 400, "invalid_scope"},
		"unknown scope":     {url.Values{"scope": {"everything"}}, 400, "invalid_scope"},
		"scope not granted": {url.Values{"scope": {"investors:read investments:write"}}, 400, "invalid_scope"},
		"secret twice":      {url.Values{"client_secret": {"hush", "hush"}}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			values := maps.Clone(good)
			maps.Copy(values, test.change)
			r := a.form(values)
			if r.status != test.want || r.field("error") != test.code {
				t.Errorf("got %d %s, want %d %s", r.status, r.body, test.want, test.code)
			}
		})
	}
	if r := a.form(good); r.status != 200 {
		t.Errorf("what is right got %d %s", r.status, r.body)
	}
	if r := a.send("POST", a.base+"/oauth/token", "", "application/json", []byte(`{}`)); r.status != 400 {
		t.Errorf("JSON got %d", r.status)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", a.base+"/oauth/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("me", "hush")
	req.URL.RawQuery = good.Encode()
	resp, err := a.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("Basic and a query got %d, want 401", resp.StatusCode)
	}
}

// TestEveryCallNeedsItsScope takes each scope away in turn.
func TestEveryCallNeedsItsScope(t *testing.T) {
	a := start(t, sandbox.Config{}, allScopes)
	calls := map[string]func() response{
		"documents:write":   func() response { return a.upload(a.key()) },
		"investors:write":   func() response { return a.post("/investors/", a.key(), person()) },
		"investors:read":    func() response { return a.get("/investors/" + nobody + "/") },
		"investments:write": func() response { return a.post("/redemptions/", a.key(), fields{}) },
		"investments:read":  func() response { return a.get("/investments/" + nobody + "/") },
	}
	for lacking, call := range calls {
		rest := ""
		for scope := range calls {
			if scope != lacking {
				rest += scope + " "
			}
		}
		a.login(rest)
		if r := call(); r.status != http.StatusForbidden || r.field("detail") == "" {
			t.Errorf("without %s: got %d %s, want 403", lacking, r.status, r.body)
		}
		for scope, other := range calls {
			if r := other(); scope != lacking && r.status == http.StatusForbidden {
				t.Errorf("with %s: got 403", scope)
			}
		}
	}
}

func TestWithoutAGoodTokenIs401(t *testing.T) {
	a := start(t, sandbox.Config{}, allScopes)
	good := a.token
	for name, token := range map[string]string{"none": "", "wrong": "x", "almost": good + "x"} {
		a.token = token
		r := a.post("/investors/", a.key(), person())
		if r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	a.token = good
	a.server.RevokeTokens()
	if r := a.post("/investors/", a.key(), person()); r.status != http.StatusUnauthorized {
		t.Errorf("revoked: got %d", r.status)
	}
	a.login(allScopes)
	a.must(a.post("/investors/", a.key(), person()))
	if n := len(a.server.Ledger()); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, sandbox.Config{TokenLifetime: 10 * time.Minute})
		time.Sleep(10*time.Minute - time.Second)
		if r := a.get("/investors/" + nobody + "/"); r.status != http.StatusNotFound {
			t.Errorf("before its time: got %d", r.status)
		}
		time.Sleep(time.Second)
		if r := a.get("/investors/" + nobody + "/"); r.status != http.StatusUnauthorized {
			t.Errorf("after its time: got %d", r.status)
		}
	})
}

func TestTheLifetimeOfATokenCanBeHidden(t *testing.T) {
	id := url.Values{
		"grant_type": {"client_credentials"}, "scope": {allScopes}, "client_id": {"me"}, "client_secret": {"hush"},
	}
	for _, hide := range []bool{false, true} {
		a := start(t, sandbox.Config{HideExpiry: hide, ClientID: "me", ClientSecret: "hush"}, allScopes)
		seconds, told := a.form(id).json().(fields)["expires_in"]
		if told == hide || told && seconds != 3600.0 {
			t.Errorf("hidden %t: expires_in is %v", hide, seconds)
		}
	}
}
