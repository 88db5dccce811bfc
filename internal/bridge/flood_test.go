package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// counted counts what bridges report of events of one type, by outcome, and keeps the order in which they ended.
type counted struct {
	typ string

	mu    sync.Mutex // guards what follows
	of    map[string]int
	ended []string
}

func (c *counted) report(r consumer.Report) {
	if r.Stage != consumer.StageEvent || r.Event.Type != c.typ || r.Repeated {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	word := r.Verdict.String()
	if r.Error != nil && r.Error.Reason == outcome.Paused {
		word = "paused"
	}
	c.of[word]++
	if r.Verdict == outcome.Done && !r.Behind {
		c.ended = append(c.ended, r.Event.ID)
	}
}

func (c *counted) get(word string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[word]
}

// until waits for a condition, in virtual time.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Hour); !condition(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s\nlog:\n%s", what, w.log.tail())
		}
	}
}

// letters gives how many dead letters there are.
func (w *world) letters() int { return len(w.read(w.cfg.Topics.Names().DeadLetters)) }

// A campaign is closed while 500 orders come: 50 of them are given up, then the type pauses; other types flow. The pause
// outlives the bridge. A resume that comes too early costs 50 more; the one after the campaign is open again has all the others
// done, one effect each, in the order of their customer. A resume too many does nothing.
func TestFloodStopsItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const customers, orders = 20, 500
		w := newPipes(t, sandbox.Config{})
		orderly := &counted{typ: schemas.TypeOrderPaid, of: map[string]int{}}
		w.cfg.Report = orderly.report
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		var events []schemas.Event
		var wallets []string
		for i := range customers {
			id := fmt.Sprintf("p%02d", i)
			customer := verified(id)
			customer.Person.Surname += id // else they look like one that was registered time and again
			events = append(events, event(id, schemas.TypeCustomerVerified, emitted, customer))
			wallets = append(wallets, id+" wallet.created")
		}
		w.emit(events...)
		w.await(wallets...)

		closed := w.api.Fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Status, Status: 400})
		events = nil
		for i := range orders {
			id := fmt.Sprintf("o%03d", i)
			events = append(events, event(id, schemas.TypeOrderPaid, emitted, order(fmt.Sprintf("p%02d", i%customers), id, 1)))
		}
		contact := schemas.Contact{Email: mark + "new@example.org", EmailConfirmed: true}
		events = append(events, event("update", schemas.TypeCustomerUpdated, "2026-11-20T11:00:00Z",
			schemas.CustomerUpdated{CustomerID: "p03", Contact: &contact}))
		w.emit(events...)
		w.until("all orders are rejected or held", func() bool { return orderly.get("rejected")+orderly.get("paused") == orders })
		w.await("update customer.updated") // a type that has not paused, of a customer with orders held before it
		w.until("50 letters", func() bool { return w.letters() == 50 })
		if n := w.effects()["create_investment"]; n != 0 {
			t.Errorf("%d investments in a closed campaign", n)
		}
		if !strings.Contains(w.log.String(), "then run: distributor-bridge resume order.paid") {
			t.Error("no alert says what to do")
		}

		m.stop()
		m = w.start()
		w.emit(event("late", schemas.TypeOrderPaid, emitted, order("p03", "late", 1)))
		w.until("a later one is held, too", func() bool { return orderly.get("paused") == orders-50+1 })

		d := w.desk()
		resume := func(why string) (replay.Resumed, error) {
			return d.Resume(context.Background(), schemas.TypeOrderPaid, replay.Who{By: "test", Why: why})
		}
		if _, err := d.Resume(context.Background(), schemas.TypeCustomerUpdated, replay.Who{By: "t", Why: "t"}); !errors.Is(err, replay.ErrNothing) {
			t.Errorf("resume of a type that has not paused: %v", err)
		}
		early, err := resume("too early")
		if err != nil || len(early.Pauses) != w.cfg.Topics.Partitions || early.Written != w.cfg.Topics.Partitions {
			t.Fatalf("resumed %+v, %v", early, err)
		}
		w.until("50 more are rejected", func() bool { return w.letters() == 100 })
		w.until("the others are held again", func() bool {
			done, err := resume("again and again") // once the first has been done, this ends the pause that came after it
			return err == nil && done.Pauses[0].ID != early.Pauses[0].ID
		})
		w.until("50 more are rejected again", func() bool { return w.letters() == 150 })
		time.Sleep(time.Minute)
		if n := w.letters(); n != 150 {
			t.Errorf("%d dead letters, want 150", n)
		}

		m.stop() // a command given while nobody runs is done at the start
		w.api.Unfault(closed)
		if _, err := resume("the campaign is open again"); err != nil {
			t.Fatal(err)
		}
		m = w.start()
		w.until("all that was held is done", func() bool { return orderly.get("done") == orders+1-150 })
		w.until("all are credited", func() bool { return w.effects()["create_credit"] == orders+1-150 })
		if _, err := resume("once too often"); !errors.Is(err, replay.ErrNothing) {
			t.Errorf("resume of a type that goes on: %v", err)
		}
		m.stop()
		if n := w.effects()["create_investment"]; n != orders+1-150 {
			t.Errorf("%d investments, want %d", n, orders+1-150)
		}
		if doubles := w.api.Doubles(); len(doubles) > 0 {
			t.Errorf("doubled effects: %v", doubles)
		}
		inOrder(t, orderly.ended, customers)
	})
}
