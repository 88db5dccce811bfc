package pace_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"distributor-bridge/internal/pace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api takes so many calls a second, by a bucket that holds a second's worth, and refuses the others.
type api struct {
	rate  float64
	after time.Duration

	mu      sync.Mutex
	tokens  float64
	at      time.Time
	refused int
	early   int
	until   map[*pace.Pacer]time.Time
	taken   map[*pace.Pacer]int
}

func (a *api) call(p *pace.Pacer) {
	a.mu.Lock()
	now := time.Now()
	if now.Before(a.until[p]) {
		a.early++
	}
	a.tokens = min(a.rate, a.tokens+now.Sub(a.at).Seconds()*a.rate)
	a.at = now
	ok := a.tokens >= 1
	if ok {
		a.tokens--
		a.taken[p]++
	} else {
		a.refused++
	}
	a.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	if ok {
		p.Succeeded()
		return
	}
	p.Refused(a.after)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until[p] = time.Now().Add(a.after)
}

// callers make calls all the time, until ctx ends.
func callers(ctx context.Context, n int, a *api, p *pace.Pacer) *sync.WaitGroup {
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			for {
				work, err := p.Enter(ctx)
				if err != nil {
					return
				}
				if p.Wait(work.Under(ctx), time.Time{}) != nil {
					return
				}
				a.call(p)
			}
		})
	}
	return &running
}

// Two members settle under what the API takes, with like shares, and few refusals.
func TestSettles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := pace.New(pace.Config{}), pace.New(pace.Config{})
		a := &api{rate: 50, after: time.Second, tokens: 50, at: time.Now(), until: map[*pace.Pacer]time.Time{}, taken: map[*pace.Pacer]int{}}
		ctx, cancel := context.WithCancel(t.Context())
		first, second := callers(ctx, 32, a, one), callers(ctx, 32, a, two)
		time.Sleep(2 * time.Minute) // in which they learn
		a.mu.Lock()
		clear(a.taken)
		a.refused = 0
		a.mu.Unlock()
		time.Sleep(10 * time.Minute)
		cancel()
		first.Wait()
		second.Wait()
		total := a.taken[one] + a.taken[two]
		share := float64(total) / (600 * a.rate)
		t.Logf("%.2f of the API's rate; %d and %d; %d refused", share, a.taken[one], a.taken[two], a.refused)
		if share < 0.8 {
			t.Errorf("%.2f of what the API takes is used", share)
		}
		if like := float64(a.taken[one]) / float64(a.taken[two]); like < 0.7 || like > 1/0.7 {
			t.Errorf("shares are %d and %d", a.taken[one], a.taken[two])
		}
		if a.refused*50 > total {
			t.Errorf("%d of %d refused", a.refused, total)
		}
		if a.early > 0 {
			t.Errorf("%d calls came before the time that a refusal named", a.early)
		}
	})
}

// No call is made before the time that a refusal names, whether it has entered by then or not.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{})
		work, err := p.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.Refused(30 * time.Second)
		if _, ok := p.Try(); ok || !p.Paused() {
			t.Error("work may begin although the service asked for time")
		}
		if err := p.Wait(work.Under(t.Context()), began.Add(29*time.Second)); !errors.Is(err, pace.ErrLate) || time.Since(began) > 0 {
			t.Errorf("too late: %v after %s", err, time.Since(began))
		}
		if err := p.Wait(work.Under(t.Context()), began.Add(31*time.Second)); err != nil || time.Since(began) < 30*time.Second {
			t.Errorf("called %s after the refusal: %v", time.Since(began), err)
		}
		began = time.Now()
		p.Refused(7 * time.Second)
		if _, err := p.Enter(t.Context()); err != nil || time.Since(began) < 7*time.Second {
			t.Errorf("entered %s after the refusal: %v", time.Since(began), err)
		}
	})
}

// Work that has begun does not wait for all that has not.
func TestBegunGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{Ceiling: 10})
		begun, err := p.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		var entered atomic.Int64
		for range 1000 {
			crowd.Go(func() {
				if _, err := p.Enter(ctx); err == nil {
					entered.Add(1)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		for range 3 { // the first is paid for
			if err := p.Wait(begun.Under(t.Context()), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("three calls took %s", took)
		}
		time.Sleep(10 * time.Second)
		if n := entered.Load(); n < 95 || n > 110 {
			t.Errorf("%d entered in 10 s at 10 a second", n)
		}
		cancel()
		crowd.Wait()
		if err := p.Wait(ctx, time.Time{}); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A rate that was learned is forgotten when nothing is refused for long.
func TestFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{})
		if !math.IsInf(p.Rate(), 1) {
			t.Errorf("begins with %g", p.Rate())
		}
		for range 100 {
			p.Succeeded()
			time.Sleep(100 * time.Millisecond)
		}
		p.Refused(0)
		if rate := p.Rate(); rate < 5 || rate > 10 {
			t.Errorf("%.1f a second after a refusal at 10", rate)
		}
		time.Sleep(6 * time.Minute)
		if !math.IsInf(p.Rate(), 1) {
			t.Errorf("still %g", p.Rate())
		}
	})
}

// Work that made no call gives its place back, so that the rate is used for calls.
func TestReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{Ceiling: 10})
		began := time.Now()
		for range 1000 {
			idle, err := p.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			idle.Return()
			idle.Return() // once is enough
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("1000 places that were given back took %s", took)
		}
		for range 11 {
			busy, err := p.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(busy.Under(t.Context()), time.Time{}); err != nil {
				t.Fatal(err)
			}
			busy.Return() // a call was made on it: it is not given back
		}
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("11 calls at 10 a second took %s", took)
		}
		if _, ok := p.Try(); ok {
			t.Error("one more may begin before its time")
		}
		time.Sleep(100 * time.Millisecond)
		if _, ok := p.Try(); !ok {
			t.Error("none may begin, although its time has come")
		}
	})
}

// Refusals of a service that is down as a whole are no rate to be learned.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{})
		p.Succeeded()
		for range 5 {
			p.Refused(2 * time.Second)
			time.Sleep(2 * time.Second)
		}
		if math.IsInf(p.Rate(), 1) {
			t.Error("nothing was learned from refusals")
		}
		p.Outage()
		if rate := p.Rate(); !math.IsInf(rate, 1) {
			t.Errorf("%.1f a second after an outage, and none before", rate)
		}
	})
}

// A call that sleeps for its turn is told when a refusal makes that too late, and its place is others'.
func TestLateMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{Ceiling: 1})
		if err := p.Wait(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		go func() {
			time.Sleep(500 * time.Millisecond)
			p.Refused(15 * time.Minute)
		}()
		if err := p.Wait(t.Context(), began.Add(10*time.Second)); !errors.Is(err, pace.ErrLate) || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := p.Wait(t.Context(), time.Time{}); err != nil || time.Since(began) < 15*time.Minute {
			t.Errorf("a call %s after the refusal: %v", time.Since(began), err)
		}
	})
}

// A call that is given up while it sleeps gives its place back if it is the last.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pace.New(pace.Config{Ceiling: 1})
		if err := p.Wait(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := p.Wait(ctx, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		if err := p.Wait(t.Context(), time.Time{}); err != nil || time.Since(began) != time.Second {
			t.Errorf("the next call %s after the first: %v", time.Since(began), err)
		}

		// One that others stand behind does not: no two calls are made at the same time.
		began = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		calls.Go(func() {
			if err := p.Wait(ctx, time.Time{}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			if err := p.Wait(t.Context(), time.Time{}); err != nil || time.Since(began) != 2*time.Second {
				t.Errorf("the one behind it: %s, %v", time.Since(began), err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := p.Wait(t.Context(), time.Time{}); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("the one after it: %s, %v", time.Since(began), err)
		}
		calls.Wait()
	})
}
