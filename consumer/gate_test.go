package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// turnstile is a gate for a number of attempts at once, that accuses: passes are left once, and attempts have one.
type turnstile struct {
	t *testing.T

	mu     sync.Mutex
	room   int           // for so many; 0: shut
	inside int           //
	moved  chan struct{} // closed when that has changed
}

func newTurnstile(t *testing.T, room int) *turnstile {
	return &turnstile{t: t, room: room, moved: make(chan struct{})}
}

func (g *turnstile) change(what func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	what()
	close(g.moved)
	g.moved = make(chan struct{})
}

func (g *turnstile) open(room int) { g.change(func() { g.room = room }) }

func (g *turnstile) Try() (consumer.Pass, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside >= g.room {
		return nil, false
	}
	g.inside++
	return &ticket{gate: g}, true
}

func (g *turnstile) Enter(ctx context.Context) (consumer.Pass, error) {
	for {
		g.mu.Lock()
		moved := g.moved
		g.mu.Unlock()
		if pass, ok := g.Try(); ok {
			return pass, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *turnstile) Shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.room == 0
}

// empty fails the test if somebody has kept a pass.
func (g *turnstile) empty() {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside != 0 {
		g.t.Errorf("%d passes were not left", g.inside)
	}
}

type ticketKey struct{}

type ticket struct {
	gate *turnstile
	used bool
	left bool
}

func (p *ticket) Under(ctx context.Context) context.Context {
	if p.used {
		p.gate.t.Error("two attempts on one pass")
	}
	p.used = true
	return context.WithValue(ctx, ticketKey{}, p)
}

func (p *ticket) Leave() {
	p.gate.change(func() {
		if p.left {
			p.gate.t.Error("a pass was left twice")
		}
		p.left = true
		p.gate.inside--
	})
}

// passes wraps handlers: an attempt without a pass is an error.
func (g *turnstile) passes(on func(context.Context, *attempt.Run, int) error) func(context.Context, *attempt.Run, int) error {
	return func(ctx context.Context, run *attempt.Run, nth int) error {
		if p, ok := ctx.Value(ticketKey{}).(*ticket); !ok || p.left {
			g.t.Errorf("%s is attempted without a pass", run.Event().ID)
		}
		return on(ctx, run, nth)
	}
}

// While the gate is shut nothing is attempted, held, or taken for stuck, however many wait; and what needs no attempt goes on.
func TestGateShut(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 100)
		registry := prometheus.NewPedanticRegistry()
		w.cfg.Gate, w.cfg.Registry, w.cfg.MaxInFlight = g, registry, 1
		d := newDesk(t, g.passes(func(context.Context, *attempt.Run, int) error { return nil }))
		m := w.start(d, false)
		for i := range 5 {
			w.put(w.linked(fmt.Sprint("known", i), fmt.Sprint("known", i)))
		}
		w.until("the first have ended", d.finished("known0", "known1", "known2", "known3", "known4"))
		w.committed()
		g.open(0)
		var late []string
		for i := range 60 { // twenty a partition, which has one place
			id := fmt.Sprint("late", i)
			late = append(late, id)
			w.put(w.linked(fmt.Sprint("c", i), id))
		}
		for i := range 5 {
			w.put(w.linked(fmt.Sprint("known", i), fmt.Sprint("known", i)))
		}
		repeated := func(r consumer.Report) bool { return r.Repeated }
		w.until("repeats are known", func() bool { return len(d.told(repeated)) == 5 })
		time.Sleep(15 * time.Minute) // longer than a handler may take, and a partition may stand still
		if n := len(d.attempts()); n != 5 {
			t.Errorf("%d attempts while the gate is shut", n-5)
		}
		if n := len(d.told(func(consumer.Report) bool { return true })); n != 10 {
			t.Errorf("%d reports, want 10", n)
		}
		if n := w.number(registry, "lanes", "state", "gated"); n != 60 {
			t.Errorf("%v lanes are gated, want 60", n)
		}
		g.open(1)
		w.until("all have ended", d.finished(late...))
		w.committed()
		if n := w.number(registry, "watchdog_cures_total") + w.number(registry, "partitions_retaken_total"); n != 0 {
			t.Errorf("%v cures", n)
		}
		g.empty()
		m.stop()
	})
}

// An attempt that fails while the gate is shut is nobody's fault: it is not held, its clock stands, and it does not count.
func TestGateShutsMeanwhile(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 100)
		w.cfg.Gate, w.cfg.HoldAfter, w.cfg.RetryFirst = g, 10*time.Second, 500*time.Millisecond
		d := newDesk(t, g.passes(func(_ context.Context, run *attempt.Run, nth int) error {
			switch id := run.Event().ID; {
			case id == "fails" && nth == 1:
				time.Sleep(15 * time.Second) // longer than hold_after
				g.open(0)
				return outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
			case id == "told" && nth == 1:
				time.Sleep(16 * time.Second)
				e := outcome.Retry(outcome.ClassThrottled, false, errTrouble)
				e.After = 20 * time.Minute
				return e
			}
			return nil
		}))
		m := w.start(d, false)
		began := time.Now()
		w.put(w.linked("c1", "fails"), w.linked("c2", "told"))
		time.Sleep(15 * time.Minute)
		g.open(100)
		w.until("it ends", d.finished("fails"))
		if took := time.Since(began); took > 15*time.Minute+time.Second {
			t.Errorf("it took %s", took)
		}
		if time.Sleep(4 * time.Minute); d.tried("told") != 1 {
			t.Error("it was attempted before its time")
		}
		w.until("the other ends", d.finished("told"))
		for _, r := range d.told(func(consumer.Report) bool { return true }) {
			if r.Verdict != outcome.Done || r.Tries != 0 || r.Took > 20*time.Second {
				t.Errorf("%s: %s after %d tries, took %s", r.Event.ID, r.Verdict, r.Tries, r.Took)
			}
		}
		g.empty()
		m.stop()
	})
}

// A stop while lanes wait at the gate ends at once, writes nothing, and whoever is next finishes all.
func TestStopAtGate(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 100)
		w.cfg.Gate = g
		d := newDesk(t, g.passes(func(_ context.Context, run *attempt.Run, nth int) error {
			if strings.HasPrefix(run.Event().ID, "tried") && nth == 1 {
				g.open(0)
				return outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
			}
			return nil
		}))
		d.looks = g.passes(func(context.Context, *attempt.Run, int) error { return nil })
		m := w.start(d, false)
		w.put(w.linked("c1", "tried1"))
		time.Sleep(time.Minute)
		w.put(w.linked("c1", "a"), w.linked("c2", "b"), w.linked("c3", "c"))
		time.Sleep(time.Minute)
		before := len(w.read(w.cfg.State))
		began := time.Now()
		m.stop()
		if took := time.Since(began); took > time.Second || len(d.ends()) > 0 {
			t.Errorf("stopping took %s, ended: %v", took, d.ends())
		}
		if n := len(w.read(w.cfg.State)); n-before > 2*partitions { // claims
			t.Errorf("%d records of state were written at the end", n-before)
		}
		g.empty()
		m = w.start(d, false)
		time.Sleep(time.Minute)
		g.open(1)
		w.until("all have ended", d.finished("tried1", "a", "b", "c"))
		w.committed()
		m.stop()
		g.empty()
	})
}

// However few are let in at once, each gets its turn, held events and follow-ups too.
func TestNarrowGate(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 2)
		w.cfg.Gate, w.cfg.HoldAfter, w.cfg.MaxInFlight = g, time.Second, 4 // one place for follow-ups
		d := newDesk(t, g.passes(func(_ context.Context, run *attempt.Run, nth int) error {
			time.Sleep(50 * time.Millisecond)
			if strings.HasPrefix(run.Event().ID, "held") && nth < 4 {
				return &outcome.Error{Verdict: outcome.Retrying, Reason: outcome.Temporary, After: 2 * time.Second}
			}
			run.Follow(attempt.KeyCustomer, "kyc")
			return nil
		}))
		d.looks = g.passes(func(_ context.Context, _ *attempt.Run, nth int) error {
			if nth == 1 {
				return outcome.Wait(outcome.StatusPending, "")
			}
			return nil
		})
		m := w.start(d, false)
		var all []string
		for i := range 30 {
			for _, id := range []string{fmt.Sprint("one", i), fmt.Sprint("held", i)} {
				customer := fmt.Sprint("c", id)
				w.put(w.linked(customer, id), w.order(customer, "o1", "order-"+id))
				all = append(all, id, "order-"+id, id+" kyc")
			}
		}
		w.until("all have ended", d.finished(all...))
		w.committed()
		m.stop()
		g.empty()
	})
}
