package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// Of two events that get a 5xx for ever while others of their type succeed, the one becomes unknown; not the other, each of whose
// tries ends while the gate is shut: that it failed then says nothing of it.
func TestFailsWhileGateIsShut(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 100)
		w.cfg.Gate, w.cfg.RetryFirst, w.cfg.RetryMost, w.cfg.FailingAfter = g, time.Second, 10*time.Second, time.Minute
		d := newDesk(t, g.passes(func(_ context.Context, run *attempt.Run, _ int) error {
			switch run.Event().ID {
			case "alone":
				return outcome.Retry(outcome.ClassServer, false, errTrouble)
			case "outage":
				time.Sleep(5 * time.Second)
				g.open(0)
				time.AfterFunc(time.Second, func() { g.open(100) })
				return outcome.Retry(outcome.ClassServer, false, errTrouble)
			}
			return nil
		}))
		m := w.start(d, false)
		w.put(w.linked("c1", "alone"), w.linked("c2", "outage"))
		for i := range 40 {
			w.put(w.linked(fmt.Sprint("well", i), fmt.Sprint("well", i)))
			time.Sleep(20 * time.Second)
		}
		m.stop()
		for id, want := range map[string]int{"alone": 1, "outage": 0} {
			unknown := d.told(func(r consumer.Report) bool { return r.Event.ID == id && r.Verdict == outcome.Unresolved })
			if len(unknown) != want {
				t.Errorf("%s became unknown %d times after %d attempts, want %d", id, len(unknown), d.tried(id), want)
			}
		}
		if n := d.tried("outage"); n < 50 {
			t.Errorf("only %d attempts", n)
		}
		time.Sleep(2 * time.Second) // the gate's last timer
		g.empty()
	})
}
