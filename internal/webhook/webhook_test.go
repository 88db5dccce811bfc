package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	investment = "0b0e1f5c-6c5e-4d8a-9d5e-2f3c4b5a6978"
	body       = `{"investment_id":"` + investment + `","status":"PAID","changed_at":"2026-11-21T10:00:00Z"}`
	token      = "agreed-upon-token"
	secret     = "a secret & 100% of the provider's"
)

// written are the hints that were made durable.
type written struct {
	mu    sync.Mutex
	hints []webhook.Hint
	err   error
}

func (w *written) write(_ context.Context, h webhook.Hint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.hints = append(w.hints, h)
	}
	return w.err
}

func (w *written) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.hints)
}

func handler(t *testing.T, w *written, changes ...func(*webhook.Config)) http.Handler {
	t.Helper()
	cfg := webhook.Config{
		Write: w.write, Tokens: func() []string { return []string{"", "older-token", token} },
		Client: &webhook.Client{ID: "provider", Secret: func() string { return secret }},
	}
	for _, change := range changes {
		change(&cfg)
	}
	h, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// send makes a request with a bearer token; an empty one is left out.
func send(t *testing.T, h http.Handler, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a := httptest.NewRecorder()
	h.ServeHTTP(a, r)
	return a
}

func TestHint(t *testing.T) {
	t.Parallel()
	var w written
	h := handler(t, &w)
	for _, token := range []string{token, "older-token"} {
		if a := send(t, h, "POST", webhook.PathHints, token, body); a.Code != http.StatusNoContent {
			t.Errorf("answer %d %s", a.Code, a.Body)
		}
	}
	if len(w.hints) != 2 || w.hints[0].InvestmentID != uuid.MustParse(investment) {
		t.Errorf("written %v", w.hints)
	}
}

// What is forged or malformed writes nothing, and its answer quotes nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, token, body string
		want                int
	}{
		"no token":       {"POST", "", body, 401},
		"wrong token":    {"POST", token + "x", body, 401},
		"a part of it":   {"POST", token[:5], body, 401},
		"forged OAuth":   {"POST", strings.Repeat("A", 54), body, 401},
		"GET":            {"GET", token, body, 405},
		"no body":        {"POST", token, "", 400},
		"no JSON":        {"POST", token, "GEHEIM", 400},
		"a list":         {"POST", token, "[" + body + "]", 400},
		"no ID":          {"POST", token, `{"status":"GEHEIM"}`, 400},
		"null":           {"POST", token, `{"investment_id":null}`, 400},
		"nil ID":         {"POST", token, `{"investment_id":"00000000-0000-0000-0000-000000000000"}`, 400},
		"not an ID":      {"POST", token, `{"investment_id":"GEHEIM"}`, 400},
		"not a time":     {"POST", token, `{"investment_id":"` + investment + `","changed_at":"GEHEIM"}`, 400},
		"two documents":  {"POST", token, body + body, 400},
		"too large":      {"POST", token, `{"x":"` + strings.Repeat("GEHEIM", 1000) + `"}`, 400},
		"deep":           {"POST", token, strings.Repeat("[", 4000), 400},
		"another object": {"POST", token, `{"investment_id":{}}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w written
			a := send(t, handler(t, &w), c.method, webhook.PathHints, c.token, c.body)
			if a.Code != c.want {
				t.Errorf("answer %d, want %d", a.Code, c.want)
			}
			if strings.Contains(a.Body.String(), "GEHEIM") {
				t.Errorf("it quotes: %s", a.Body)
			}
			if w.count() > 0 {
				t.Error("a hint was written")
			}
		})
	}
}

// A hint that is not durable is not taken: the provider repeats it.
func TestNotDurable(t *testing.T) {
	t.Parallel()
	w := written{err: errors.New("no broker")}
	if a := send(t, handler(t, &w), "POST", webhook.PathHints, token, body); a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") == "" {
		t.Errorf("answer %d %v", a.Code, a.Header())
	}
}

// Of a flood so much is taken, and no more, and it does not last; those who prove nothing take no part of it.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w written
		h := handler(t, &w, func(c *webhook.Config) { c.PerSecond = 10 })
		for range 1000 {
			send(t, h, "POST", webhook.PathHints, "wrong", body)
		}
		for range 1000 {
			if a := send(t, h, "POST", webhook.PathHints, token, body); a.Code == http.StatusTooManyRequests && a.Header().Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		}
		if n := w.count(); n != 21 {
			t.Errorf("%d taken at once", n)
		}
		time.Sleep(time.Second)
		if a := send(t, h, "POST", webhook.PathHints, token, body); a.Code != http.StatusNoContent {
			t.Errorf("answer %d a second later", a.Code)
		}
	})
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w written
		one, other := handler(t, &w), handler(t, &w) // of two members
		ask := func(form url.Values, id, secret string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), "POST", webhook.PathToken, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if id != "" {
				r.SetBasicAuth(id, secret)
			}
			a := httptest.NewRecorder()
			one.ServeHTTP(a, r)
			return a
		}
		grant := url.Values{"grant_type": {"client_credentials"}}
		for name, a := range map[string]*httptest.ResponseRecorder{
			"wrong secret": ask(grant, "provider", "x"), "wrong ID": ask(grant, "x", secret), "nothing": ask(grant, "", ""),
			"empty secret": ask(url.Values{"grant_type": grant["grant_type"], "client_id": {"provider"}, "client_secret": {""}}, "", ""),
		} {
			if a.Code != http.StatusUnauthorized {
				t.Errorf("%s: answer %d", name, a.Code)
			}
		}
		if a := ask(url.Values{"grant_type": {"password"}}, "provider", secret); a.Code != http.StatusBadRequest {
			t.Errorf("another grant: answer %d", a.Code)
		}
		form := url.Values{"grant_type": grant["grant_type"], "client_id": {"provider"}, "client_secret": {secret}}
		for _, ask := range []func() *httptest.ResponseRecorder{
			func() *httptest.ResponseRecorder { return ask(grant, "provider", secret) },
			func() *httptest.ResponseRecorder { return ask(grant, "provider", url.QueryEscape(secret)) },
			func() *httptest.ResponseRecorder { return ask(form, "", "") },
		} {
			a := ask()
			var got struct {
				Token   string `json:"access_token"`
				Type    string `json:"token_type"`
				Expires int    `json:"expires_in"`
			}
			if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || got.Type != "Bearer" || got.Expires != 600 {
				t.Fatalf("answer %d %s", a.Code, a.Body)
			}
			if a := send(t, other, "POST", webhook.PathHints, got.Token, body); a.Code != http.StatusNoContent {
				t.Errorf("the other member answers %d", a.Code)
			}
			flipped := got.Token[:9] + string(got.Token[9]^1) + got.Token[10:]
			if a := send(t, other, "POST", webhook.PathHints, flipped, body); a.Code != http.StatusUnauthorized {
				t.Errorf("changed: answer %d", a.Code)
			}
			time.Sleep(10*time.Minute + time.Second)
			if a := send(t, other, "POST", webhook.PathHints, got.Token, body); a.Code != http.StatusUnauthorized {
				t.Errorf("over: answer %d", a.Code)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	var w written
	for name, cfg := range map[string]webhook.Config{
		"nobody could prove who it is": {Write: w.write},
		"nowhere to write":             {Tokens: func() []string { return []string{token} }},
		"short secret":                 {Write: w.write, Client: &webhook.Client{ID: "p", Secret: func() string { return "short" }}},
	} {
		if _, err := webhook.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What was written is told to each member once, and what is not a hint to none.
func TestTopic(t *testing.T) {
	t.Parallel()
	client, err := kafka.New(kafka.Config{Brokers: broker.ForTest(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	name := broker.Name(t, "hints")
	if _, err := client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: name, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	producer := client.Producer(kafka.ProducerConfig{})
	t.Cleanup(func() { _ = producer.Close(context.Background()) })
	topic := webhook.Topic{Client: client, Producer: producer, Name: name}

	ctx, cancel := context.WithCancel(t.Context())
	told := [2]chan webhook.Hint{make(chan webhook.Hint, 1000), make(chan webhook.Hint, 1000)}
	var members sync.WaitGroup
	for _, told := range told {
		members.Go(func() { topic.Follow(ctx, func(h webhook.Hint) { told <- h }) })
	}
	defer members.Wait()
	defer cancel()
	first := webhook.Hint{InvestmentID: uuid.New()}
	for _, told := range told {
		for seen := false; !seen; { // it begins where the topic ends: until it has begun, nothing is told
			if err := topic.Write(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			select {
			case <-told:
				seen = true
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	if _, err := producer.Produce(t.Context(), kafka.Record{Topic: name, Value: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	last := webhook.Hint{InvestmentID: uuid.New()}
	if err := topic.Write(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for i, told := range told {
		for h := range told {
			if h == last {
				break
			}
			if h != first {
				t.Errorf("member %d is told %v", i, h)
			}
		}
	}
}

// FuzzBody: whatever comes, the answer is one of the few, and only what has an ID is written.
func FuzzBody(f *testing.F) {
	for _, s := range []string{body, "", "{", `{"investment_id":1}`, "null", `{"investment_id":"` + investment + `"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var w written
		h, err := webhook.New(webhook.Config{Write: w.write, Tokens: func() []string { return []string{token} }})
		if err != nil {
			t.Fatal(err)
		}
		a := send(t, h, "POST", webhook.PathHints, token, s)
		answer, _ := io.ReadAll(a.Result().Body)
		if written := w.count() == 1; written != (a.Code == http.StatusNoContent) || !written && a.Code != http.StatusBadRequest {
			t.Errorf("answer %d %s, %d written", a.Code, answer, w.count())
		}
	})
}
