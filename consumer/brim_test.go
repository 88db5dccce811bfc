package consumer_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A pause that fills its partitions can be ended, although the command stands behind what is not fetched any more.
func TestResumeOfFullPartitions(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxHeld = 50
		var closed atomic.Bool
		closed.Store(true)
		d := newDesk(t, refusing(&closed))
		w.start(d, false)
		events, _ := w.orders("o", 500)
		w.put(events...)
		ids := w.everywhere(released)
		more, all := w.orders("m", 500)
		w.put(more...) // so many that none of them gets to its lane
		time.Sleep(2 * time.Minute)
		if d.finished(all...)() {
			t.Fatal("the partitions are not full")
		}
		closed.Store(false)
		w.write(w.command(released, ids...)...)
		w.until("all that was held, and what came later, is done", d.finished(all...))
		w.committed()
	})
}

// A pause that cannot be ended, since the state's brokers take nothing, is no loop that is stuck: it is ended when they do, and a
// restart would not end it sooner.
func TestResumeWhileStateIsNotWritten(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxHeld = 50
		var closed atomic.Bool
		closed.Store(true)
		d := newDesk(t, refusing(&closed))
		m := w.start(d, false)
		events, _ := w.orders("o", 500)
		w.put(events...)
		ids := w.everywhere(released)
		more, all := w.orders("m", 500)
		w.put(more...)
		time.Sleep(2 * time.Minute)
		closed.Store(false)
		var cures []func()
		for n := range partitions {
			cures = append(cures, w.faulty(kmsg.Produce, w.cfg.State, int32(n), kerr.NotEnoughReplicas))
		}
		w.write(w.command(released, ids...)...)
		for range 6 {
			time.Sleep(time.Minute)
			if got := m.engine.Stuck(); len(got) > 0 {
				t.Fatalf("stuck is %q", got)
			}
		}
		if d.finished(all...)() {
			t.Fatal("the state was written")
		}
		for _, cure := range cures {
			cure()
		}
		w.until("all that was held, and what came later, is done", d.finished(all...))
		w.committed()
	})
}
