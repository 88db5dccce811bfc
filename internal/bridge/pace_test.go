package bridge_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
)

// refusals are the 429 of an API, each with the calls that came before its time.
type refusals struct {
	calls, refused, early int
	tooEarly              time.Duration // the earliest
}

// count looks at calls from a time on. early is counted for one member only: the others are not told.
func count(calls []sandbox.Call, from, to time.Time, after time.Duration) (r refusals) {
	var until time.Time
	for _, c := range calls {
		if c.Operation == "token" || c.Time.Before(from) || c.Time.After(to) {
			continue
		}
		r.calls++
		if until.Sub(c.Time) > 0 && until.Sub(c.Time) < after { // one at the moment of the refusal was under way
			r.early++
			r.tooEarly = max(r.tooEarly, until.Sub(c.Time))
		}
		if c.Status == http.StatusTooManyRequests {
			r.refused++
			until = c.Time.Add(after)
		}
	}
	return r
}

// A member that is told to wait makes no call before its time, and settles under what the API takes.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 20
		w := newPipes(t, sandbox.Config{Latency: 20 * time.Millisecond, CallLog: 100_000})
		quietly(w)
		w.api.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Rate, PerSecond: limit, Burst: 5})
		l := under(w, 150*time.Millisecond) // 33 calls a second, and more
		m := w.start(l.watch)
		l.begin()
		began := time.Now()
		time.Sleep(time.Minute)
		l.end()
		l.await(2 * time.Minute)
		m.stop()
		r := count(w.api.Calls(), began, time.Now(), time.Second)
		late := count(w.api.Calls(), began.Add(20*time.Second), began.Add(time.Minute), time.Second)
		if r.early > 0 {
			t.Errorf("%d calls came before the time that a refusal told, one %s", r.early, r.tooEarly)
		}
		if late.calls < 40*limit*7/10 || late.refused*20 > late.calls {
			t.Errorf("%d calls, %d refused, in 40 s at %d a second", late.calls, late.refused, limit)
		}
		if all := count(w.api.Calls(), began, time.Now(), time.Second); l.holds() > all.refused { // follow-ups are
			t.Errorf("%d were held, and %d refused", l.holds(), all.refused)
		}
		l.audit()
	})
}

// Two members that do not talk find a rate that the API takes from both.
func TestMembersShareRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 30
		w := newPipes(t, sandbox.Config{Latency: 20 * time.Millisecond, CallLog: 100_000})
		quietly(w)
		w.api.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Rate, PerSecond: limit, Burst: 10})
		l := under(w, 100*time.Millisecond)
		one, two := w.start(l.watch), w.start(l.watch)
		time.Sleep(time.Minute) // in which they share the partitions
		l.begin()
		began := time.Now()
		time.Sleep(time.Minute)
		l.end()
		l.await(4 * time.Minute)
		one.stop()
		two.stop()
		late := count(w.api.Calls(), began.Add(20*time.Second), began.Add(time.Minute), time.Second)
		if late.calls-late.refused < 40*limit*7/10 || late.refused*20 > late.calls {
			t.Errorf("%d calls, %d refused, in 40 s at %d a second", late.calls, late.refused, limit)
		}
		if all := count(w.api.Calls(), began, time.Now(), time.Second); l.holds() > all.refused { // follow-ups are
			t.Errorf("%d were held, and %d refused", l.holds(), all.refused)
		}
		l.audit()
	})
}

// A configured rate is kept from the first call on.
func TestCeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{CallLog: 100_000})
		quietly(w)
		l := under(w, 200*time.Millisecond)
		m := w.start(l.watch, func(cfg *bridge.Config) { cfg.Rules.CallsPerSecond = 10 })
		l.begin()
		time.Sleep(30 * time.Second)
		l.end()
		l.await(2 * time.Minute)
		m.stop()
		var times []time.Time
		for _, c := range w.api.Calls() {
			if c.Operation != "token" {
				times = append(times, c.Time)
			}
		}
		if n := busiest(times); n > 11 {
			t.Errorf("%d calls within a second", n)
		}
		if took := times[len(times)-1].Sub(times[0]).Seconds(); float64(len(times)) < 0.9*10*took {
			t.Errorf("%d calls in %.0f s", len(times), took)
		}
		l.audit()
	})
}

// A token endpoint that refuses to be asked so often, with or without telling for how long, is asked more rarely. The API has
// refused no call: once there is a token, all that waits goes on at full speed.
func TestThrottledToken(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"silent": says(http.StatusTooManyRequests), "told": says(http.StatusTooManyRequests, "Retry-After", "20"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{Latency: 20 * time.Millisecond, CallLog: 100_000})
				quietly(w)
				o := &outage{answer: answer, only: "/oauth/token"}
				o.on.Store(true)
				w.intercept(o.handler)
				l := under(w, 200*time.Millisecond)
				began := time.Now()
				m := w.start(l.watch)
				l.begin()
				time.Sleep(2 * time.Minute)
				if n := len(o.after(began)); n < 2 || n > 20 {
					t.Errorf("the token was asked for %d times in two minutes", n)
				}
				o.on.Store(false)
				time.Sleep(70 * time.Second) // in which it is asked again, and 600 customers catch up
				if late := l.left(time.Now().Add(-2 * time.Second)); len(late) > 0 {
					t.Errorf("%d are late", len(late))
				}
				l.end()
				l.await(10 * time.Second)
				m.stop()
				if strings.Contains(w.log.String(), "refuses calls for their rate") {
					t.Error("the rate of calls was cut, although the API refused none")
				}
				if l.holds() > 0 {
					t.Errorf("%d were held", l.holds())
				}
				l.audit()
			})
		})
	}
}
