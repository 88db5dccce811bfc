package consumer_test

import (
	"context"
	"testing"
	"time"

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
