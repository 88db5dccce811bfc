package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// of gives so many customers of one partition.
func (w *world) of(partition, n int) (customers []string) {
	for i := 0; len(customers) < n; i++ {
		if c := fmt.Sprint("c", i); w.partition(c) == partition {
			customers = append(customers, c)
		}
	}
	return customers
}

// second is what a handler does that takes one.
func second(context.Context, *attempt.Run, int) error {
	time.Sleep(time.Second)
	return nil
}

// await is what a handler does that takes until then.
func await(ctx context.Context, then <-chan struct{}) {
	select {
	case <-then:
	case <-ctx.Done():
	}
}

// finish waits until so many events have ended and are committed, and stops the member.
func (w *world) finish(m *member, d *desk, events int) {
	w.t.Helper()
	w.until("all have ended", func() bool { return len(d.ends()) == events })
	w.committed()
	m.stop()
}

// Lanes take turns in the inbox's order: one with an event every twenty does not have to wait, after each, until all others had theirs.
func TestTurnsInInboxOrder(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxInFlight = 1 // three lanes at work
		d := newDesk(t, second)
		customers := w.of(0, 200)
		var events []schemas.Event
		var ids []string
		for i, c := range customers {
			if i%20 == 0 {
				c = customers[0]
			}
			ids = append(ids, fmt.Sprint("e", i))
			events = append(events, w.linked(c, ids[i]))
		}
		w.put(events...)
		m := w.start(d, false)
		w.until("all have ended", d.finished(ids...))
		for at, id := range d.ends() {
			if is := slices.Index(ids, id); is-at > 8 || at-is > 8 {
				t.Errorf("event %d of the inbox is the %dth to end", is, at)
			}
		}
		w.committed()
		m.stop()
	})
}

// Customers with many events in a row leave room for one who comes after them.
func TestManyInARow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxInFlight = 1
		d := newDesk(t, second)
		customers := w.of(0, 5)
		var events []schemas.Event
		for i := range 200 {
			events = append(events, w.linked(customers[i/50], fmt.Sprint("e", i)))
		}
		w.put(append(events, w.linked(customers[4], "late"))...)
		m := w.start(d, false)
		w.until("the late one has ended", d.finished("late"))
		if n := len(d.ends()); n > 40 {
			t.Errorf("the late one is the %dth to end", n)
		}
		w.finish(m, d, len(events)+1)
	})
}

// What is done behind one event that takes long keeps no other from being fetched, but for so many.
func TestWindowBehindOne(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := prometheus.NewPedanticRegistry()
		w.cfg.MaxWindow, w.cfg.Registry = 10, registry
		long := make(chan struct{})
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "long" {
				await(ctx, long)
			}
			return nil
		})
		customers := w.of(0, 60)
		m := w.start(d, false)
		w.put(w.linked(customers[0], "long"))
		for i, c := range customers[1:] {
			w.put(w.linked(c, fmt.Sprint("e", i)))
			time.Sleep(time.Second)
		}
		if n := len(d.ends()); n < 19 || n > 25 {
			t.Errorf("%d have ended behind the long one, want about 19: it and they are two windows", n)
		}
		if n := w.number(registry, "window_full"); n != 1 {
			t.Errorf("%v windows are full", n)
		}
		close(long)
		w.finish(m, d, len(customers))
	})
}

// What is held goes on when its time has come, also while much stands in the window.
func TestHeldBesideMany(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxInFlight = 1
		w.cfg.HoldAfter, w.cfg.RetryFirst, w.cfg.RetryMost = time.Second, 2*time.Second, 2*time.Second
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			if run.Event().ID == "held" && nth == 1 {
				return outcome.Retry(outcome.ClassServer, true, errors.New("a trouble"))
			}
			return second(ctx, run, nth)
		})
		customers := w.of(0, 21)
		events := []schemas.Event{w.linked(customers[20], "held")}
		for i := range 600 {
			events = append(events, w.linked(customers[i%20], fmt.Sprint("e", i)))
		}
		w.put(events...)
		m := w.start(d, false)
		w.until("what was held has ended", d.finished("held"))
		if n := len(d.ends()); n > 60 {
			t.Errorf("it is the %dth to end", n)
		}
		w.finish(m, d, len(events))
	})
}

// Held events that fail again and again, so many that they alone would take all places, keep no new one from its turn.
func TestNewBesideManyHeld(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxInFlight = 1
		w.cfg.HoldAfter, w.cfg.RetryFirst, w.cfg.RetryMost = time.Second, 30*time.Second, 30*time.Second
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			_ = second(ctx, run, nth)
			if strings.HasPrefix(run.Event().ID, "held") {
				return outcome.Retry(outcome.ClassServer, true, errors.New("a trouble"))
			}
			return nil
		})
		customers := w.of(0, 500)
		var held, events []schemas.Event
		for i, c := range customers {
			if i < 300 {
				held = append(held, w.linked(c, fmt.Sprint("held", i)))
			} else {
				events = append(events, w.linked(c, fmt.Sprint("new", i)))
			}
		}
		m := w.start(d, false)
		w.put(held...)
		time.Sleep(200 * time.Second)
		w.put(events...)
		time.Sleep(300 * time.Second) // twice what they would take with half of the places
		if n := len(d.ends()); n < len(events) {
			t.Errorf("%d of %d new events have ended", n, len(events))
		}
		m.stop()
	})
}

// A customer whose events come faster than they are done fills the window in the end; then others still flow at its pace, and do
// not wait until much of it is done. What is done behind its oldest is no lag.
func TestHotCustomer(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := prometheus.NewPedanticRegistry()
		w.cfg.MaxWindow, w.cfg.Registry = 1000, registry
		customers := w.of(0, 31)
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().Customer == customers[0] {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		m := w.start(d, false)
		n := 0
		emit := func(events int) {
			var all []schemas.Event
			for range events {
				c := customers[0]
				if n%10 > 0 {
					c = customers[1+n%30]
				}
				all = append(all, w.linked(c, fmt.Sprint("e", n)))
				n++
			}
			for batch := range slices.Chunk(all, 50) { // a batch is fetched as a whole
				w.put(batch...)
			}
		}
		emit(1900)
		time.Sleep(5 * time.Second)
		if lag, open := w.number(registry, "inbox_lag_records"), w.number(registry, "window_records"); lag > 190 || open < 1000 {
			t.Errorf("a lag of %v where all but 190 of one customer at most are done, in a window of %v", lag, open)
		}
		emit(2000)
		emit(2000)
		var most time.Duration // without an end of the others
		for last, ended := time.Now(), 0; ended < n-n/10; time.Sleep(100 * time.Millisecond) {
			others := 0
			for _, id := range d.ends() {
				var number int
				if _, err := fmt.Sscanf(id, "e%d", &number); err != nil {
					t.Fatal(err)
				}
				if number%10 > 0 {
					others++
				}
			}
			if others > ended {
				ended, last = others, time.Now()
			}
			if most = max(most, time.Since(last)); most > time.Minute {
				break
			}
		}
		// Before anything is fetched, a quarter of the window has to get done, and what one fetch has brought beyond it: 64 KiB, some 200
		// records. One of ten is the hot customer's.
		const records = 1000/4 + 200
		if limit := records / 10 * 100 * time.Millisecond; most > limit {
			t.Errorf("nothing of the others was done for %s, want %s at most, while the hot customer had ten each second", most, limit)
		}
		w.finish(m, d, n)
	})
}
