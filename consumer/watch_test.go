package consumer_test

import (
	"context"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/attempt"
)

// A handler that hangs is given up, and its event attempted again; the others go on.
func TestStuck(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Stuck = time.Minute
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			if run.Event().ID == "hangs" && nth == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return registered(run)
		})
		m := w.start(d, false)
		began := time.Now()
		w.put(w.linked("c1", "hangs"), w.linked("c2", "other"))
		w.until("the others have ended", d.finished("other"))
		if took := time.Since(began); took > w.cfg.Stuck {
			t.Errorf("the others took %s", took)
		}
		w.until("all have ended", d.finished("hangs"))
		if n := d.tried("hangs"); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
		w.committed()
		m.stop()
	})
}

// A handler that hangs for good, whatever is asked of it: nothing in the process can cure that, and the engine says so, be it while
// the partition is given up or while the generation ends. Troubles of the brokers' are none of its.
func TestStuckForGood(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Stuck = time.Minute
		let := make(chan struct{})
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "hangs" {
				<-let
			}
			return registered(run)
		})
		m := w.start(d, true)
		says := func(want ...string) {
			t.Helper()
			if got := m.engine.Stuck(); !slices.Equal(got, want) {
				t.Errorf("stuck is %q, want %q", got, want)
			}
		}
		time.Sleep(time.Minute)
		if s := m.engine.Standing(); !s.Joined || !s.Restored || s.Owned != partitions || s.Assigned != partitions {
			t.Errorf("after a minute: %+v", s)
		}
		cure := w.faulty(kmsg.Produce, w.cfg.State, 0, kerr.NotLeaderForPartition)
		time.Sleep(time.Hour)
		says()
		cure()
		w.put(w.linked("c1", "hangs"))
		time.Sleep(2 * time.Minute) // the watchdog gives it up
		says()
		time.Sleep(2 * time.Minute) // it has had its time to drain
		if got := m.engine.Stuck(); len(got) != 1 || !regexp.MustCompile(`^partition \d has been ending for \dm\d+s$`).MatchString(got[0]) {
			t.Errorf("stuck is %q", got)
		}
		stopped := make(chan struct{})
		go func() { m.stop(); close(stopped) }()
		time.Sleep(25*time.Second + 59*time.Second)
		if got := m.engine.Stuck(); len(got) != 1 {
			t.Errorf("stuck is %q while the generation may end", got)
		}
		time.Sleep(2 * time.Second)
		if got := m.engine.Stuck(); len(got) != 2 || got[0] != "a generation of the group has been ending for 1m26s" {
			t.Errorf("stuck is %q", got)
		}
		close(let)
		<-stopped
		says()
	})
}
