package consumer_test

import (
	"sync/atomic"
	"testing"
	"time"
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
