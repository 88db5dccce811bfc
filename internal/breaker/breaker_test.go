package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	unavailable = outcome.Retry(outcome.ClassServer, true, nil)
	throttled   = outcome.Retry(outcome.ClassThrottled, false, nil)
	askedFor7s  = &outcome.Error{Verdict: outcome.Retrying, Class: outcome.ClassThrottled, Status: 503, After: 7 * time.Second}
)

// service is what a breaker stands before: it answers, or not, and counts.
type service struct {
	*breaker.Breaker
	fails  atomic.Pointer[outcome.Error] // what each call and probe ends with
	probes atomic.Int64
}

// start runs a breaker in a bubble of virtual time.
func start(t *testing.T, cfg breaker.Config) *service {
	t.Helper()
	s := &service{}
	cfg.Probe = func(context.Context) error {
		s.probes.Add(1)
		if err := s.fails.Load(); err != nil {
			return err
		}
		return nil
	}
	s.Breaker = breaker.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

// call does one thing for a customer, once it may.
func (s *service) call(ctx context.Context, customer string, took time.Duration) error {
	if err := s.Enter(ctx); err != nil {
		return err
	}
	defer s.Leave()
	time.Sleep(took)
	s.Observe(breaker.Call{Customer: customer}, s.fails.Load())
	return nil
}

// fail makes the calls of n customers fail.
func (s *service) fail(n int, err *outcome.Error) {
	for i := range n {
		s.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, err)
	}
}

func (s *service) is(t *testing.T, want breaker.State) {
	t.Helper()
	if got := s.State(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOpens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		observe func(s *service)
		want    breaker.State
	}{
		"ten customers": {func(s *service) { s.fail(10, unavailable) }, breaker.Open},
		"nine":          {func(s *service) { s.fail(9, unavailable) }, breaker.Closed},
		"a success in between": {func(s *service) {
			s.fail(9, unavailable)
			s.Observe(breaker.Call{Customer: "other"}, nil)
			s.fail(9, unavailable)
		}, breaker.Closed},
		"a refusal is an answer": {func(s *service) {
			s.fail(9, unavailable)
			s.Observe(breaker.Call{Customer: "other"}, &outcome.Error{Verdict: outcome.Rejected, Class: outcome.ClassClient, Status: 400})
			s.fail(9, unavailable)
		}, breaker.Closed},
		"one customer": {func(s *service) {
			for range 1000 {
				s.fail(1, unavailable)
				time.Sleep(time.Second)
			}
		}, breaker.Closed},
		"two for long": {func(s *service) {
			s.fail(2, unavailable)
			time.Sleep(11 * time.Second)
			s.fail(2, unavailable)
		}, breaker.Open},
		"throttled is not down":              {func(s *service) { s.fail(20, throttled) }, breaker.Closed},
		"but a 503 is, whatever it asks for": {func(s *service) { s.fail(10, askedFor7s) }, breaker.Open},
		"two now and then": {func(s *service) {
			for range 10 {
				s.fail(2, unavailable)
				time.Sleep(time.Hour)
			}
		}, breaker.Closed},
		"nor are documents":   {func(s *service) { s.fail(20, outcome.Retry(outcome.ClassDocument, false, nil)) }, breaker.Closed},
		"not permitted":       {func(s *service) { s.fail(10, outcome.Retry(outcome.ClassUnauthorized, false, nil)) }, breaker.Open},
		"refused connections": {func(s *service) { s.fail(10, outcome.Retry(outcome.ClassNotSent, false, nil)) }, breaker.Open},
		"no answer":           {func(s *service) { s.fail(10, outcome.Retry(outcome.ClassNoAnswer, true, nil)) }, breaker.Open},
		"another service":     {func(s *service) { s.fail(10, outcome.Retry(outcome.ClassEndpoint, false, nil)) }, breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t, breaker.Config{})
				s.fails.Store(unavailable)
				c.observe(s)
				s.is(t, c.want)
			})
		})
	}
}

// While it is open nothing begins, there is one probe a second, and then all is done, soon.
func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, breaker.Config{})
		s.fails.Store(unavailable)
		s.fail(10, unavailable)
		var done atomic.Int64
		for i := range 2000 {
			go func() {
				if s.call(t.Context(), fmt.Sprint("c", i), 20*time.Millisecond) == nil {
					done.Add(1)
				}
			}()
		}
		time.Sleep(120*time.Second + 500*time.Millisecond)
		if n := s.probes.Load(); n != 120 {
			t.Errorf("%d probes in 120 s", n)
		}
		if n := done.Load(); n != 0 {
			t.Errorf("%d calls were made", n)
		}
		s.fails.Store(nil)
		time.Sleep(3 * time.Second)
		s.is(t, breaker.Closed)
		if n := done.Load(); n != 2000 {
			t.Errorf("%d of 2000 done", n)
		}
	})
}

// After an outage the number at work grows with the successes.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, breaker.Config{Full: 8})
		s.fails.Store(unavailable)
		s.fail(10, unavailable)
		s.fails.Store(nil)
		var working, most atomic.Int64
		for i := range 40 {
			go func() {
				if s.Enter(t.Context()) != nil {
					return
				}
				defer s.Leave()
				n := working.Add(1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				time.Sleep(time.Second)
				working.Add(-1)
				s.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, nil)
			}()
		}
		var seen []int64
		time.Sleep(1500 * time.Millisecond) // the probe, then half of the first call
		for range 4 {
			synctest.Wait()
			seen = append(seen, most.Load())
			time.Sleep(time.Second)
		}
		if fmt.Sprint(seen[:3]) != "[1 2 4]" || seen[3] < 8 {
			t.Errorf("at work, second by second: %v", seen)
		}
	})
}

// An outage that only effects meet (the probe succeeds) is not hammered: two calls a try, and the tries get rarer.
func TestProbeIsWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		b := breaker.New(breaker.Config{Probe: func(context.Context) error { return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Run(ctx)
		}()
		for i := range 10 {
			b.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, unavailable)
		}
		for i := range 200 {
			go func() {
				for ctx.Err() == nil {
					if b.Enter(ctx) != nil {
						return
					}
					calls.Add(1)
					time.Sleep(time.Millisecond)
					b.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, unavailable)
					b.Leave()
				}
			}()
		}
		time.Sleep(60 * time.Second)
		if n := calls.Load(); n > 30 {
			t.Errorf("%d calls in a minute", n)
		}
		cancel()
		<-done
	})
}

// Who gives up waiting takes nobody's place.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, breaker.Config{Full: 2})
		s.fails.Store(unavailable)
		s.fail(10, unavailable)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.call(ctx, "c", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		s.fails.Store(nil)
		for range 3 {
			if err := s.call(t.Context(), "c", 0); err != nil {
				t.Error(err)
			}
		}
		s.is(t, breaker.Closed)
	})
}

// A service that asks for time is not probed before.
func TestAskedForTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, breaker.Config{})
		s.fails.Store(askedFor7s)
		s.fail(10, askedFor7s)
		time.Sleep(70*time.Second + 500*time.Millisecond)
		if n := s.probes.Load(); n != 10 {
			t.Errorf("%d probes in 70 s", n)
		}
		s.is(t, breaker.Open)
		began := time.Now()
		if state, since := s.Since(); state != breaker.Open || began.Sub(since) != 70*time.Second+500*time.Millisecond {
			t.Errorf("%s since %s", state, began.Sub(since))
		}
	})
}

// A probe that hangs holds back the next ones for a while only, and is waited for all the same: its answer counts.
func TestProbesHang(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes  time.Duration // each probe
		opens  time.Duration // when it begins again
		probes int64
	}{
		"until it is given up": {20 * time.Second, time.Minute + time.Second, 11},
		"slow answers":         {12 * time.Second, 13 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var probes atomic.Int64
				b := breaker.New(breaker.Config{Probe: func(ctx context.Context) error {
					probes.Add(1)
					if name == "until it is given up" && time.Since(began) > time.Minute {
						return nil
					}
					time.Sleep(c.takes)
					if name == "slow answers" {
						return nil
					}
					return unavailable
				}})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					b.Run(ctx)
				}()
				for i := range 10 {
					b.Observe(breaker.Call{Customer: fmt.Sprint("c", i)}, unavailable)
				}
				time.Sleep(c.opens - time.Second)
				if s := b.State(); s != breaker.Open {
					t.Errorf("%s too early", s)
				}
				time.Sleep(2 * time.Second)
				if s := b.State(); s != breaker.Slow {
					t.Errorf("%s after %s", s, time.Since(began))
				}
				if n := probes.Load(); n > c.probes {
					t.Errorf("%d probes", n)
				}
				cancel()
				<-done
			})
		})
	}
}
