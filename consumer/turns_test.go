package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/attempt"
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

// Lanes take turns in the inbox's order: one with an event every ten does not have to wait, after each, until all others had theirs.
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
		w.until("all have ended", func() bool { return len(d.ends()) == len(events)+1 })
		w.committed()
		m.stop()
	})
}

// What is done behind one event that takes long keeps no other from being fetched, but for so many.
func TestWindowBehindOne(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := prometheus.NewPedanticRegistry()
		w.cfg.MaxWindow, w.cfg.Registry = 10, registry
		long := make(chan struct{})
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "long" {
				<-long
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
		if n := len(d.ends()); n < 39 || n > 45 {
			t.Errorf("%d have ended behind the long one, want about 39: it and they are four windows", n)
		}
		if n := w.number(registry, "window_full"); n != 1 {
			t.Errorf("%v windows are full", n)
		}
		close(long)
		w.until("all have ended", func() bool { return len(d.ends()) == len(customers) })
		w.committed()
		m.stop()
	})
}
