package bridge

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/breaker"
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
				g.ended(ctx, "create_investor", true, outcome.Retry(outcome.ClassServer, true, errors.New("status 503")))
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
