package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/attempt"
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

// So it can while the window is full.
func TestResumeOfFullWindows(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWindow = 20
		var closed atomic.Bool
		closed.Store(true)
		long, refuses := make(chan struct{}), refusing(&closed)
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			if strings.HasPrefix(run.Event().ID, "long") {
				await(ctx, long)
			}
			return refuses(ctx, run, nth)
		})
		m := w.start(d, false)
		events, ids := w.orders("o", 500)
		w.put(events...)
		pauses := w.everywhere(released)
		time.Sleep(time.Minute)
		ended := len(d.ends())
		var last []string
		for n := range partitions {
			customers := w.of(n, 60)
			w.put(w.linked(customers[0], fmt.Sprint("long", n)))
			for i, c := range customers[1:] {
				w.put(w.linked(c, fmt.Sprintf("after%d-%d", n, i)))
				time.Sleep(100 * time.Millisecond) // else one fetch has them all
			}
			last = append(last, fmt.Sprintf("after%d-58", n))
		}
		closed.Store(false)
		w.write(w.command(released, pauses...)...)
		time.Sleep(2 * time.Minute)
		if d.finished(last...)() {
			t.Fatal("the windows are not full")
		}
		if n := len(d.ends()); n < len(ids) {
			t.Errorf("of %d orders, and some after them, %d had ended before the command and %d after it", len(ids), ended, n)
		}
		close(long)
		w.until("all is done", d.finished(last...))
		w.committed()
		m.stop()
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
