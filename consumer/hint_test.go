package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// investmentOf gives the ID of an order's investment.
func investmentOf(order string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(order)) }

// invests is a desk whose orders have an investment that is followed. looks says what a look at it brings.
func invests(t *testing.T, looks func(run *attempt.Run, nth int) error) (d *desk, looked func() []time.Time) {
	d = newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		id := orderID(run.Event())
		if o := run.Order(id); o.InvestmentID == "" {
			o.InvestmentID = investmentOf(id).String()
			run.Follow(attempt.KeyOrder(id), "status")
		}
		return nil
	})
	var mu sync.Mutex // guards at
	var at []time.Time
	d.looks = func(_ context.Context, run *attempt.Run, nth int) error {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		return looks(run, nth)
	}
	return d, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(at)
	}
}

func waits(*attempt.Run, int) error { return outcome.Wait(outcome.StatusPending, "") }

// An investment that is looked at every 10 minutes is looked at when a hint comes, also after its partition was taken anew; what
// brings no news changes nothing of the schedule. A hint about what nobody follows, or follows no longer, is nothing.
func TestHint(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll = 10 * time.Minute
		news := false
		d, looked := invests(t, func(run *attempt.Run, nth int) error {
			if !news {
				return waits(run, nth)
			}
			run.Order("o1").Status = "DELIVERED"
			return registered(run)
		})
		m := w.start(d, false)
		m.engine.Hint(investmentOf("o1")) // before it is known
		w.put(w.order("c1", "o1", "e1"), w.order("c2", "o2", "e2"))
		w.until("both are followed", d.finished("e1", "e2"))
		time.Sleep(time.Minute)
		for range 2 {
			before := d.tried("e1 status")
			m.engine.Hint(investmentOf("o1"))
			m.engine.Hint(investmentOf("nobody's"))
			time.Sleep(100 * time.Millisecond)
			if n := d.tried("e1 status") - before; n != 1 {
				t.Errorf("%d looks at once, want 1", n)
			}
			time.Sleep(9 * time.Minute)
			if n := d.tried("e1 status") - before; n != 1 {
				t.Errorf("%d looks within 9 minutes of one that brought nothing, one is due each 10", n)
			}
			m.stop()
			m = w.start(d, false)
			w.until("it is looked at after the start", func() bool { return d.tried("e1 status") == before+2 })
			time.Sleep(2 * time.Minute)
		}
		news = true
		began := time.Now()
		m.engine.Hint(investmentOf("o1"))
		w.until("it is told", func() bool { return len(w.named(schemas.TypeCustomerRegistered)) == 1 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("told %s after the hint", took)
		}
		before := len(looked())
		m.engine.Hint(investmentOf("o1"))
		time.Sleep(time.Minute)
		if n := len(looked()) - before; n != 0 {
			t.Errorf("%d looks at what is not followed any more", n)
		}
	})
}

// A flood of hints about one investment is a look a second, and one that comes while a look is under way is one look more.
func TestHintsFlood(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll = time.Hour
		slow := time.Duration(0)
		d, looked := invests(t, func(run *attempt.Run, nth int) error {
			time.Sleep(slow)
			return waits(run, nth)
		})
		m := w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		w.until("it is followed", d.finished("e1"))
		time.Sleep(time.Minute)
		before := len(looked())
		for range 1000 { // 10 s
			m.engine.Hint(investmentOf("o1"))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if n := len(looked()) - before; n < 10 || n > 12 {
			t.Errorf("%d looks, want one a second for 10 s", n)
		}
		slow = 5 * time.Second
		before = d.tried("e1 status")
		m.engine.Hint(investmentOf("o1"))
		time.Sleep(time.Second)
		for range 100 {
			m.engine.Hint(investmentOf("o1"))
		}
		w.put(w.order("c1", "o9", "meanwhile"))
		time.Sleep(time.Minute)
		if n := d.tried("e1 status") - before; n != 2 {
			t.Errorf("%d looks, want the one under way and one more", n)
		}
		if !d.finished("meanwhile")() {
			t.Error("the customer's event does not go on")
		}
	})
}

// The API has said when to come again: a hint does not make that sooner.
func TestHintInTrouble(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d, looked := invests(t, func(*attempt.Run, int) error {
			return &outcome.Error{Verdict: outcome.Retrying, Class: outcome.ClassServer, After: time.Minute, Err: errTrouble}
		})
		m := w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		w.until("it was looked at", func() bool { return len(looked()) == 1 })
		for range 50 {
			time.Sleep(time.Second)
			m.engine.Hint(investmentOf("o1"))
		}
		if n := len(looked()); n != 1 {
			t.Errorf("%d looks within a minute", n)
		}
		w.until("it is looked at again", func() bool { return len(looked()) == 2 })
	})
}

// A hint that comes while the news of the look before is being told is not lost.
func TestHintWhileNewsIsTold(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d, looked := invests(t, func(run *attempt.Run, nth int) error {
			if nth > 1 {
				return waits(run, nth)
			}
			run.Order("o1").Status = "PAID"
			if err := registered(run); err != nil {
				return err
			}
			return outcome.Wait(outcome.StatusPending, "")
		})
		w.cfg.Poll = time.Hour
		m := w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		for len(looked()) == 0 {
			time.Sleep(time.Millisecond)
		}
		m.engine.Hint(investmentOf("o1")) // at any moment from the look's end on
		time.Sleep(5 * time.Second)
		if n := len(looked()); n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
	})
}

// A thousand follow-ups that are due, with slow answers, take a quarter of the calls: events flow at once, also those of the
// customers whose follow-ups wait, and each follow-up gets its turn.
func TestFollowUpsShare(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		const customers, limit, slow = 1000, 16, 10 * time.Second // of 64 calls
		var mu sync.Mutex                                         // guards what follows
		under, most := 0, 0
		d, looked := invests(t, func(run *attempt.Run, nth int) error {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(slow)
			mu.Lock()
			under--
			mu.Unlock()
			return waits(run, nth)
		})
		w.start(d, false)
		emit := func(prefix string, n int) (ids []string) {
			var events []schemas.Event
			for i := range n {
				ids = append(ids, fmt.Sprint(prefix, i))
				events = append(events, w.order(fmt.Sprint("c", i), fmt.Sprint(prefix, i), ids[i]))
			}
			w.put(events...)
			return ids
		}
		began := time.Now()
		first := emit("first", customers)
		w.until("events are done", d.finished(first...))
		if took := time.Since(began); took > slow+5*time.Second {
			t.Errorf("events took %s beside follow-ups of their customers", took)
		}
		time.Sleep(slow)
		began = time.Now()
		fresh := emit("fresh", customers+100) // 100 of customers without follow-ups
		for time.Since(began) < 3*time.Second {
			time.Sleep(100 * time.Millisecond)
		}
		left := 0
		for _, id := range fresh {
			if d.tried(id) == 0 {
				left++
			}
		}
		if left > limit {
			t.Errorf("after 3 s %d events have not begun; %d customers are being looked at", left, limit)
		}
		w.until("all are done", d.finished(fresh...))
		time.Sleep(2 * customers * slow / limit)
		for _, id := range first {
			if n := d.tried(id + " status"); n == 0 {
				t.Errorf("%s: no look in twice the time that all need", id)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if most != limit {
			t.Errorf("%d follow-ups side by side, want %d", most, limit)
		}
		if n := len(looked()); n < customers {
			t.Errorf("%d looks", n)
		}
	})
}
