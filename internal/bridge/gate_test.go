package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// A call that waits for its turn while the API goes down is not made.
func TestDownMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := &Config{}
		cfg.Rules.CallsPerSecond = 1
		g := newGate(cfg)
		if err := g.before(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(500*time.Millisecond, func() {
			for i := range 10 {
				ctx := &customerContext{t.Context(), fmt.Sprint("customer-", i)}
				g.ended(ctx, distributor.End{
					Operation: "create_investor", Effect: true, Verdict: outcome.Retry(outcome.ClassServer, true, errors.New("status 503")),
				})
			}
		})
		err := outcome.Of(g.before(t.Context(), time.Time{}))
		if g.breaker.State() != breaker.Open {
			t.Fatal("ten customers' calls fail, and the breaker is not open")
		}
		if err == nil || err.Class != outcome.ClassNotSent || !errors.Is(err, errDown) {
			t.Errorf("the call that waited: %v, want %v", err, errDown)
		}
	})
}

// One operation that is refused to everybody leaves the gate open, and what had no connection or no token shuts it all the same.
func TestRefusedAlone(t *testing.T) {
	t.Parallel()
	refused := outcome.Retry(outcome.ClassUnauthorized, false, errors.New("status 403"))
	for name, c := range map[string]struct {
		verdict *outcome.Error
		want    breaker.State
	}{
		"alone":         {refused, breaker.Slow},
		"no connection": {outcome.Retry(outcome.ClassNotSent, false, errors.New("refused")), breaker.Open},
		"no token":      {noToken(t, "secret"), breaker.Open},
		"no secret":     {noToken(t, ""), breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(&Config{})
				g.ask = func(context.Context) error { return nil }
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go g.breaker.Run(ctx)
				end := func(operation string, n int, verdict *outcome.Error) {
					for i := range n {
						ctx := &customerContext{t.Context(), fmt.Sprint("customer-", i)}
						g.ended(ctx, distributor.End{Operation: operation, Effect: true, Began: time.Now(), Verdict: verdict})
					}
				}
				end("create_investment", 10, refused)
				time.Sleep(1500 * time.Millisecond)
				end("create_wallet", 1, nil)
				end("create_investment", 10, refused)
				if g.breaker.State() != breaker.Slow {
					t.Fatal("one operation is refused to everybody, and the gate is shut")
				}
				end("create_investment", 10, c.verdict)
				if got := g.breaker.State(); got != c.want {
					t.Errorf("the breaker is %s, want %s", got, c.want)
				}
			})
		})
	}
}

// noToken gives the verdict of a call whose token is refused, or cannot be asked for without a secret.
func noToken(t *testing.T, secret string) *outcome.Error {
	t.Helper()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refuses.Close)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("at first")
	c, err := distributor.New(distributor.Config{BaseURL: refuses.URL, AllowPlainHTTP: true, ClientID: "id", ClientSecretFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	write(secret)
	_, err = c.Investor(t.Context(), "5e1f2d0c-0000-4000-8000-000000000000")
	v := outcome.Of(err)
	if v == nil || !distributor.OfToken(v) {
		t.Fatalf("without a token: %v", err)
	}
	return v
}
