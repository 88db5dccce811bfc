package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// meter is a gate that lets in one attempt every now and then.
type meter struct {
	every time.Duration // 0: at once
	shut  chan struct{} // closed: it is open
	door  chan struct{}
	next  time.Time // of who holds the door
}

func newMeter() *meter { return &meter{shut: make(chan struct{}), door: make(chan struct{}, 1)} }

func (m *meter) Try() (consumer.Pass, bool) {
	select {
	case <-m.shut:
		return nothing{}, m.every == 0
	default:
		return nil, false
	}
}

func (m *meter) Enter(ctx context.Context) (consumer.Pass, error) {
	select {
	case <-m.shut:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case m.door <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-m.door }()
	timer := time.NewTimer(time.Until(m.next))
	defer timer.Stop()
	select {
	case <-timer.C:
		m.next = time.Now().Add(m.every)
		return nothing{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *meter) Shut() bool {
	select {
	case <-m.shut:
		return false
	default:
		return true
	}
}

type nothing struct{}

func (nothing) Under(ctx context.Context) context.Context { return ctx }
func (nothing) Leave()                                    {}

// After an outage in which thousands of follow-ups came due, and at a small rate, events get three of four calls, of those who
// have follow-ups due, too; and follow-ups the fourth.
func TestEventsBeforeFollowUps(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		const looks, events, every = 1000, 200, 100 * time.Millisecond
		open, slow := newMeter(), newMeter()
		close(open.shut)
		w.cfg.Gate, w.cfg.Poll = open, time.Minute
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if strings.HasPrefix(run.Event().ID, "first") {
				run.Follow(attempt.KeyCustomer, "kyc")
			}
			return nil
		})
		d.looks = func(context.Context, *attempt.Run, int) error { return outcome.Wait(outcome.StatusPending, "") }
		m := w.start(d, false)
		var firsts []string
		for i := range looks {
			firsts = append(firsts, fmt.Sprint("first", i))
			w.put(w.linked(fmt.Sprint("c", i), firsts[i]))
		}
		w.committed()
		m.stop()

		w.cfg.Gate = slow
		slow.every = every
		m = w.start(d, false)
		time.Sleep(20 * time.Minute) // all are due, and wait
		before := len(d.attempts())
		close(slow.shut)
		began := time.Now()
		var fresh []string
		for i := range events {
			fresh = append(fresh, fmt.Sprint("fresh", i))
			customer := fmt.Sprint("new", i)
			if i%2 == 0 {
				customer = fmt.Sprint("c", i)
			}
			w.put(w.order(customer, "o1", fresh[i]))
		}
		time.Sleep(events * every / 2) // in which all partitions have events
		calls := d.attempts()[before:]
		followed := 0
		for _, id := range calls {
			if strings.HasPrefix(id, "first") {
				followed++
			}
		}
		if share := float64(followed) / float64(len(calls)); len(calls) < events/2-5 || share < 0.2 || share > 0.28 {
			t.Errorf("%d of %d calls were follow-ups, want a quarter", followed, len(calls))
		}
		w.until("the events have ended", d.finished(fresh...))
		if took, most := time.Since(began), events*3/2*every*11/10; took > most { // partitions have events in unlike numbers
			t.Errorf("%d events took %s, want at most %s", events, took, most)
		}
		time.Sleep(looks * every)
		seen := map[string]bool{}
		for _, id := range d.attempts()[before:] {
			seen[id] = true
		}
		if n := len(seen) - events; n < looks*9/10 {
			t.Errorf("%d of %d follow-ups have been attempted", n, looks)
		}
		m.stop()
	})
}
