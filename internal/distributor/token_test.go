package distributor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

var created = says(http.StatusCreated, `{"id":"`+someID+`"}`)

// virtual runs a test under virtual time, on a network in memory.
func virtual(t *testing.T, test func(t *testing.T, a *api, network *pipes)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		test(t, listen(t, network, created), network)
	})
}

func (p *pipes) use(cfg *distributor.Config) { cfg.Dial = p.dial }

// TestOneFetch: whoever needs a token waits for the one fetch.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	a := newAPI(t, created)
	c := a.client()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := a.granted(); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// TestManyRefused: 100 calls whose token was refused share the one fetch of its successor.
func TestManyRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, created)
	c := withToken(t, a)
	a.set(func() { a.valid = func(token string) bool { return token != "GEHEIM-token-1" } })
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := a.granted(); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// TestRefusalOfAnOldToken: a late 401 for an old token does not cost its successor.
func TestRefusalOfAnOldToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, created)
	c := withToken(t, a)
	entered, leave := make(chan struct{}), make(chan struct{})
	a.set(func() {
		a.raw = func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/api/external/oauth/token":
				a.serveToken(w, r)
			case r.Header.Get("Authorization") != "Bearer GEHEIM-token-1":
				created(w, r)
			default:
				if r.Method == http.MethodGet { // the slow call, with the old token
					entered <- struct{}{}
					<-leave
				}
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
	})
	slow := make(chan error)
	go func() {
		_, err := c.Redemption(context.Background(), someID)
		slow <- err
	}()
	<-entered
	if err := collection.make(t, c); err != nil { // 401, second token
		t.Fatal(err)
	}
	close(leave)
	if err := <-slow; err != nil { // 401, repeated with the second token
		t.Fatal(err)
	}
	if n := a.granted(); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// TestRefreshAhead: a token is replaced before its end, while calls go on with it.
func TestRefreshAhead(t *testing.T) {
	for name, test := range map[string]struct {
		told     int // by the token endpoint; negative: nothing
		lifetime time.Duration
	}{
		"told":      {told: 600, lifetime: 10 * time.Minute},
		"not told":  {told: -1, lifetime: time.Hour},
		"told zero": {told: 0, lifetime: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, a *api, network *pipes) {
				slow := false
				a.token = func(w http.ResponseWriter, r *http.Request) {
					if slow {
						time.Sleep(5 * time.Second)
					}
					a.grant(w, r, secret, test.told)
				}
				c := a.client(network.use)
				call := func(tokensWanted int) {
					t.Helper()
					start := time.Now()
					if err := collection.make(t, c); err != nil {
						t.Error(err)
					}
					if d := time.Since(start); d != 0 {
						t.Errorf("the call waited %v", d)
					}
					if n := a.granted(); n != tokensWanted {
						t.Errorf("%d tokens, want %d", n, tokensWanted)
					}
				}
				call(1)
				slow = true
				time.Sleep(test.lifetime - time.Minute - time.Second)
				call(1)
				time.Sleep(time.Second)
				call(1) // starts the refresh, and does not wait for it
				call(1) // starts no second one
				time.Sleep(6 * time.Second)
				call(2)
				if calls := a.seen(); calls[len(calls)-1].authorization != "Bearer GEHEIM-token-2" {
					t.Error("the new token is not used")
				}
				time.Sleep(2 * test.lifetime)
				slow = false
				call(3) // long over, so this one waits
			})
		})
	}
}

// TestFailureIsRemembered: while it backs off, calls get the failure at once and the endpoint is left alone.
func TestFailureIsRemembered(t *testing.T) {
	type row struct {
		answer http.HandlerFunc
		class  outcome.Class
		status int
	}
	leak := `{"error":"invalid_client","error_description":"GEHEIM","access_token":"GEHEIM"}`
	for name, test := range map[string]row{
		"wrong credentials": {says(http.StatusUnauthorized, leak), outcome.ClassUnauthorized, 401},
		"bad request":       {says(http.StatusBadRequest, leak), outcome.ClassUnauthorized, 400},
		"wrong address":     {says(http.StatusNotFound, "GEHEIM"), outcome.ClassEndpoint, 404},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/GEHEIM", http.StatusFound) },
			outcome.ClassEndpoint, 302},
		"outage":            {says(http.StatusBadGateway, "GEHEIM"), outcome.ClassNotSent, 502},
		"no JSON":           {says(http.StatusOK, "GEHEIM"), outcome.ClassNotSent, 0},
		"no token":          {says(http.StatusOK, `{"GEHEIM":1}`), outcome.ClassNotSent, 0},
		"token with breaks": {sayJSON(`{"access_token":"GEHEIM\r\nX: y"}`), outcome.ClassNotSent, 0},
		"cut off":           {cutOff(t, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access_token\":\"GEHEIM\""), outcome.ClassNotSent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, a *api, network *pipes) {
				asked, broken := 0, true
				a.token = func(w http.ResponseWriter, r *http.Request) {
					asked++
					if broken {
						test.answer(w, r)
						return
					}
					a.grant(w, r, secret, 3600)
				}
				var observed []distributor.Call
				c := a.client(network.use, func(cfg *distributor.Config) {
					cfg.Observe = func(call distributor.Call) { observed = append(observed, call) }
				})
				for range 10 {
					e := wantVerdict(t, collection.make(t, c), outcome.Retrying, test.class, false)
					if e.Status != test.status {
						t.Errorf("status %d", e.Status)
					}
				}
				if asked != 1 || len(observed) != 1 || observed[0].Operation != "token" || observed[0].Class != test.class {
					t.Errorf("asked %d times, observed %+v", asked, observed)
				}
				for range 600 { // ten minutes, a call each second
					time.Sleep(time.Second)
					_ = collection.make(t, c)
				}
				most := 60
				if test.class == outcome.ClassNotSent { // it is down, and to be back soon after it is up
					most = 220
				}
				if asked < 10 || asked > most {
					t.Errorf("asked %d times in ten minutes", asked)
				}
				broken = false
				time.Sleep(time.Minute)
				if err := collection.make(t, c); err != nil {
					t.Errorf("once it works again: %v", err)
				}
				broken, asked = true, 0
				time.Sleep(time.Hour) // the token is over: the delay begins anew, small
				for range 4 {
					_ = collection.make(t, c)
					time.Sleep(2 * time.Second)
				}
				if asked < 3 {
					t.Errorf("asked %d times in the first seconds of the next outage", asked)
				}
			})
		})
	}
}

func sayJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func TestThrottledToken(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		asked := 0
		a.token = func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked > 1 {
				a.grant(w, r, secret, 3600)
				return
			}
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		c := a.client(network.use)
		e := wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassThrottled, false)
		if e.After != 2*time.Minute {
			t.Errorf("after %v", e.After)
		}
		time.Sleep(119 * time.Second)
		wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassThrottled, false)
		time.Sleep(time.Second)
		if err := collection.make(t, c); err != nil || asked != 2 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	})
}

// TestRefreshFails: calls go on with a token that is still good.
func TestRefreshFails(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		c := a.client(network.use)
		if err := collection.make(t, c); err != nil {
			t.Fatal(err)
		}
		a.set(func() { a.token = says(http.StatusBadGateway, "") })
		time.Sleep(time.Hour - 30*time.Second)
		for range 24 {
			if err := collection.make(t, c); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassNotSent, false)
	})
}

// TestWaitingForToken: a caller's end is its own, and neither that of the fetch nor of the others.
func TestWaitingForToken(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		a.token = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(8 * time.Second)
			a.grant(w, r, secret, 3600)
		}
		c := a.client(network.use)
		other := make(chan error)
		go func() {
			_, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{})
			other <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.CreateInvestor(ctx, newKey(), distributor.Investor{})
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cause: %v", err)
		}
		if err := <-other; err != nil {
			t.Error(err)
		}
		if n := a.granted(); n != 1 {
			t.Errorf("%d tokens", n)
		}
	})
}

func TestTokenFetchHasALimit(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		a.token = stall
		start := time.Now()
		wantVerdict(t, collection.make(t, a.client(network.use)), outcome.Retrying, outcome.ClassNotSent, false)
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestClose(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		a.token = stall
		c := a.client(network.use)
		waiting := make(chan error)
		go func() {
			_, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{})
			waiting <- err
		}()
		synctest.Wait()
		start := time.Now()
		c.Close()
		wantVerdict(t, <-waiting, outcome.Retrying, outcome.ClassNotSent, false)
		wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassNotSent, false)
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

// TestSecretFile: a secret that changes is used for the next token, without a restart.
func TestSecretFile(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		file := filepath.Join(t.TempDir(), "secret")
		write := func(s string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		current := "GEHEIM-1"
		a.token = func(w http.ResponseWriter, r *http.Request) { a.grant(w, r, current, 3600) }
		c := a.client(network.use, func(cfg *distributor.Config) { cfg.ClientSecret, cfg.ClientSecretFile = "", file })

		wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassUnauthorized, false) // no file yet
		write("GEHEIM-1\n")
		time.Sleep(time.Minute)
		if err := collection.make(t, c); err != nil {
			t.Fatal(err)
		}
		current = "GEHEIM-2"
		write("  GEHEIM-2\n\n")
		time.Sleep(2 * time.Hour)
		if err := collection.make(t, c); err != nil {
			t.Fatal(err)
		}
		if n := a.granted(); n != 2 {
			t.Errorf("%d tokens", n)
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scopes []string
		want   string
	}{{nil, "[]"}, {[]string{"investors:read", "documents:write"}, "[investors:read documents:write]"}} {
		a := newAPI(t, created)
		got := ""
		a.token = func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			got = fmt.Sprint(r.PostForm["scope"])
			a.grant(w, r, secret, 3600)
		}
		if err := collection.make(t, a.client(func(cfg *distributor.Config) { cfg.Scopes = test.scopes })); err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("scope %s, want %s", got, test.want)
		}
	}
}
