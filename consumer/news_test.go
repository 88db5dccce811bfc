package consumer_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/schemas"
)

// callsMade are the keys of calls, by the event that they were made for.
type callsMade struct {
	mu   sync.Mutex // guards keys
	keys map[string][]string
}

// handle makes one call for each event, and publishes one result.
func (c *callsMade) handle(ctx context.Context, run *attempt.Run, _ int) error {
	_, err := attempt.Do(ctx, run, "investor", attempt.Refs{}, func(attempt.Refs) string { return "body" },
		func(_ context.Context, key uuid.UUID, _ string) (string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.keys[run.Event().ID] = append(c.keys[run.Event().ID], key.String())
			return "id", nil
		})
	if err != nil {
		return err
	}
	return registered(run)
}

func (c *callsMade) of(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.keys[id])
}

// While the results of a customer's event wait to be written, the call of the next one is made, and no more than that: its outcome
// would take the place of the first one's, which nobody could publish any more.
func TestNextCallBesideResults(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"written", "given up"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T, w *world) {
				w.cfg.Drain = 10 * time.Second
				made := callsMade{keys: map[string][]string{}}
				d := newDesk(t, made.handle)
				refused := w.refuseResults(-1, kerr.NotLeaderForPartition)
				m := w.start(d, false)
				w.put(w.linked("c1", "e1"), w.linked("c1", "e2"), w.linked("c1", "e3"))
				w.until("the next call is made", func() bool { return len(made.of("e2")) == 1 })
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := d.ends(); !slices.Equal(got, []string{"e1"}) || len(made.of("e3")) > 0 {
					t.Errorf("ended %v, and calls of the third: %v; want the first alone", got, made.of("e3"))
				}
				if got := w.offset("c1"); got > 0 {
					t.Errorf("committed offset %d: the first is not done", got)
				}
				again := 1
				if end == "given up" {
					stopping := time.Now()
					m.stop()
					if took := time.Since(stopping); took < 10*time.Second || took > 13*time.Second {
						t.Errorf("stopped after %s, the drain is 10 s", took)
					}
					again = 2
				}
				refused.Remove()
				if end == "given up" {
					w.start(d, false)
				}
				w.until("all are done", d.finished("e1", "e2", "e3"))
				w.committed()
				for id, want := range map[string]int{"e1": 1, "e2": again, "e3": 1} {
					if keys := made.of(id); len(keys) != want || len(slices.Compact(keys)) != 1 {
						t.Errorf("%s: calls with keys %v, want %d of one", id, keys, want)
					}
				}
				if causes := w.causes(schemas.TypeCustomerRegistered); !slices.Equal(causes, []string{"e1", "e2", "e3"}) {
					t.Errorf("results of %v", causes)
				}
			})
		})
	}
}

// Results that are refused for good while the next event is attempted: the partition is taken anew, and they are published then,
// before those of the next.
func TestResultsRefused(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		made := callsMade{keys: map[string][]string{}}
		d := newDesk(t, made.handle)
		refused := w.refuseResults(1, kerr.TopicAuthorizationFailed)
		w.start(d, false)
		w.put(w.linked("c1", "e1"), w.linked("c1", "e2"))
		w.until("all are done", d.finished("e1", "e2"))
		w.committed()
		if refused.Hits() != 1 {
			t.Fatal("nothing was refused")
		}
		if causes := w.causes(schemas.TypeCustomerRegistered); !slices.Equal(causes, []string{"e1", "e2"}) || len(made.of("e1")) != 1 || len(slices.Compact(made.of("e2"))) != 1 {
			t.Errorf("results of %v; calls %v and %v", causes, made.of("e1"), made.of("e2"))
		}
	})
}

// In an outage of the results' topic, however often the partition is taken anew, no call is repeated but the one that was made beside
// the results, and that after the outage; nothing else of the customer begins.
func TestResultsOutage(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		made := callsMade{keys: map[string][]string{}}
		d := newDesk(t, made.handle)
		refused := w.refuseResults(-1, kerr.NotLeaderForPartition)
		w.start(d, false)
		w.put(w.linked("c1", "e1"), w.linked("c1", "e2"))
		w.until("the next call is made", func() bool { return len(made.of("e2")) == 1 })
		time.Sleep(time.Minute)
		w.put(w.linked("c2", "late"))
		w.until("its outcome is written", d.finished("late"))
		time.Sleep(time.Minute)
		w.put(w.linked("c2", "later"))
		time.Sleep(25 * time.Minute) // it is taken anew twice
		for id, want := range map[string]int{"e1": 1, "e2": 1, "late": 1, "later": 0} {
			if keys := made.of(id); len(keys) != want {
				t.Errorf("%s: %d calls in the outage, want %d", id, len(keys), want)
			}
		}
		refused.Remove()
		w.until("all are done", d.finished("e1", "e2", "late", "later"))
		w.committed()
		if keys := made.of("e2"); len(keys) != 2 || len(slices.Compact(keys)) != 1 {
			t.Errorf("calls of the second with keys %v, want one twice", keys)
		}
		ids := map[string]bool{}
		for _, e := range w.named(schemas.TypeCustomerRegistered) {
			ids[e.ID] = true
		}
		if len(ids) != 4 {
			t.Errorf("results with %d IDs, want 4", len(ids))
		}
	})
}

// Results that wait to be written when the bridge stops are waited for, and their offset is committed.
func TestResultsWhenStopping(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Drain = 10 * time.Second
		made := callsMade{keys: map[string][]string{}}
		d := newDesk(t, made.handle)
		refused := w.refuseResults(-1, kerr.NotLeaderForPartition)
		m := w.start(d, false)
		w.put(w.linked("c1", "e1"))
		w.until("its outcome is written", d.finished("e1"))
		time.AfterFunc(5*time.Second, refused.Remove)
		m.stop()
		if n := len(w.named(schemas.TypeCustomerRegistered)); n != 1 {
			t.Errorf("%d results", n)
		}
		if got := w.offset("c1"); got != 1 {
			t.Errorf("committed offset %d, want 1", got)
		}
	})
}

// refuseResults has the broker refuse results, so many times; -1: all.
func (w *world) refuseResults(count int, err *kerr.Error) *kfake.FaultHandle {
	return w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.results, Count: count, Err: err})
}

// causes gives the events that the results of a name are about.
func (w *world) causes(name string) []string {
	w.t.Helper()
	var ids []string
	for _, e := range w.named(name) {
		ids = append(ids, e.CausationID)
	}
	return ids
}

// offset gives what the engine's group has committed of a customer's partition.
func (w *world) offset(customer string) int64 {
	w.t.Helper()
	offsets, err := w.client.GroupOffsets(w.t.Context(), w.cfg.Group.ID, w.cfg.Inbox)
	if err != nil {
		w.t.Fatal(err)
	}
	return offsets[w.partition(customer)]
}
