package breaker_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/outcome"
)

// A service that has something against the probe alone is found by work, one at a time.
func TestProbeAloneIsRefused(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]*outcome.Error{
		"permission": {Verdict: outcome.Retrying, Class: outcome.ClassUnauthorized, Status: 403},
		"endpoint":   {Verdict: outcome.Retrying, Class: outcome.ClassEndpoint, Status: 404},
		"its fault":  {Verdict: outcome.Retrying, Class: outcome.ClassServer, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, breaker.Config{Full: 4})
				s.fails.Store(refusal)
				s.fail(10, unavailable)
				var down atomic.Bool
				down.Store(true)
				var calls atomic.Int64
				for i := range 20 {
					go func() {
						for done := false; !done; {
							if s.Enter(t.Context()) != nil {
								return
							}
							calls.Add(1)
							time.Sleep(time.Millisecond)
							if done = !down.Load(); done {
								s.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, nil)
							} else {
								s.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, unavailable)
							}
							s.Leave()
						}
					}()
				}
				time.Sleep(time.Minute)
				if n := calls.Load(); n < 1 || n > 10 {
					t.Errorf("%d calls in a minute of an outage, want a few", n)
				}
				down.Store(false)
				time.Sleep(2 * time.Minute)
				s.is(t, breaker.Closed)
			})
		})
	}
}

// startSlow runs a breaker that has just been told by a probe that the service is back.
func startSlow(t *testing.T) *service {
	t.Helper()
	s := start(t, breaker.Config{Full: 8})
	s.fails.Store(unavailable)
	s.fail(10, unavailable)
	s.fails.Store(nil)
	time.Sleep(1100 * time.Millisecond)
	s.is(t, breaker.Slow)
	return s
}

// Once something has succeeded, a part of the service that fails does not stop all of it again.
func TestPartFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSlow(t)
		for i := range 20 {
			s.Observe(breaker.Call{Customer: "good"}, nil)
			for j := range 5 {
				s.Observe(breaker.Call{Customer: fmt.Sprint("bad", i, j)}, unavailable)
			}
		}
		s.is(t, breaker.Closed)
	})
}

// A failing customer among others that succeed does not keep it from closing.
func TestOneFailsAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startSlow(t)
		for i := range 20 {
			s.Observe(breaker.Call{Customer: "bad"}, unavailable)
			s.Observe(breaker.Call{Customer: fmt.Sprint("good", i)}, nil)
		}
		s.is(t, breaker.Closed)
	})
}
