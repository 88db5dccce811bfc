package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/state"
)

// customers gives one customer of each partition.
func (w *world) customers() (of [partitions]string) {
	for i, found := 0, 0; found < partitions; i++ {
		c := fmt.Sprint("c", i)
		if p := w.partition(c); of[p] == "" {
			of[p] = c
			found++
		}
	}
	return of
}

// faulty makes a partition of a topic answer requests with an error, until end.
func (w *world) faulty(key kmsg.Key, topic string, partition int32, err *kerr.Error) (end func()) {
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{key}, Topic: topic, Partitions: []int32{partition}, Count: -1, Err: err,
	})
	return h.Remove
}

// counted gives a world's engine a registry.
func (w *world) counted() *prometheus.Registry {
	r := prometheus.NewRegistry()
	w.cfg.Registry = r
	return r
}

// A partition whose state refuses writes is given up, and taken again until it is cured; the others go on, and the group
// notices nothing.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry, of := w.counted(), w.customers()
		d := newDesk(t, nil)
		w.start(d, false)
		w.put(w.linked(of[0], "before"))
		w.until("the first is done", d.finished("before"))
		cure := w.faulty(kmsg.Produce, w.cfg.State, 0, kerr.TopicAuthorizationFailed)
		w.put(w.linked(of[0], "poor"))
		for i := range 100 {
			began, id := time.Now(), fmt.Sprint("well", i)
			w.put(w.linked(of[1], id))
			w.until("another partition goes on", d.finished(id))
			if took := time.Since(began); took > time.Second {
				t.Fatalf("an event of another partition took %s", took)
			}
			time.Sleep(time.Second)
		}
		retaken := w.number(registry, "partitions_retaken_total", "reason", "failed")
		if retaken < 3 || retaken > 12 {
			t.Errorf("in 100 s it was taken again %v times: the pauses grow from 1 s to a minute", retaken)
		}
		if n := w.number(registry, "partitions_owned"); n != partitions-1 {
			t.Errorf("%v partitions are at work", n)
		}
		cure()
		w.until("it is cured", d.finished("poor"))
		w.committed()
		if n := w.number(registry, "rebalances_total"); n != 1 {
			t.Errorf("%v generations, want 1", n)
		}
	})
}

// One whose membership is good takes a partition back that a stranger has fenced: it was an owner of before, held up.
func TestFencedByStranger(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry, of := w.counted(), w.customers()
		given := make(chan struct{})
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			if run.Event().ID == "in hand" && nth == 1 {
				<-ctx.Done()
				close(given)
				return ctx.Err()
			}
			return nil
		})
		w.start(d, false)
		w.put(w.linked(of[0], "before"), w.linked(of[1], "well"))
		w.until("both are done", d.finished("before", "well"))
		w.put(w.linked(of[0], "in hand"))
		w.until("it is in hand", func() bool { return d.tried("in hand") == 1 })
		began := time.Now()
		stranger, err := state.Open(t.Context(), state.Config{
			Client: w.client, Topic: w.cfg.State, Partition: 0, Partitions: partitions,
			TransactionalID: fmt.Sprintf("%s-%s-%d", w.cfg.Group.ID, w.cfg.State, 0), Owner: "stranger", Lease: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		<-given
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("what was in hand was given up after %s: the claim is renewed each 5 s", took)
		}
		w.until("it is done, after all", d.finished("in hand"))
		w.committed()
		for name, want := range map[string]float64{"partitions_fenced_total": 1, "rebalances_total": 1} {
			if n := w.number(registry, name); n != want {
				t.Errorf("%s is %v, want %v", name, n, want)
			}
		}
		if err := stranger.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A member that knows that it is none any more drains no longer than its lease; where another owner has taken over, not
// even that.
func TestLostMembership(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		t.Run(map[bool]string{false: "nobody has taken over", true: "others have"}[taken], func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T, w *world) {
				w.cfg.Lease, w.cfg.Drain = 10*time.Second, 25*time.Second
				customer := w.customers()[0]
				given := make(chan time.Time, 1)
				d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
					if run.Event().ID == "in hand" && nth == 1 {
						<-ctx.Done()
						given <- time.Now()
						return ctx.Err()
					}
					return nil
				})
				w.start(d, false)
				w.put(w.linked(customer, "in hand"))
				w.until("it is in hand", func() bool { return d.tried("in hand") == 1 })
				if taken {
					stranger, err := state.Open(t.Context(), state.Config{
						Client: w.client, Topic: w.cfg.State, Partition: 0, Partitions: partitions,
						TransactionalID: fmt.Sprintf("%s-%s-%d", w.cfg.Group.ID, w.cfg.State, 0), Owner: "other", Lease: time.Minute,
					})
					if err != nil {
						t.Fatal(err)
					}
					defer stranger.Close(t.Context())
				}
				began := time.Now()
				h := w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Count: -1, Err: kerr.UnknownMemberID})
				took := (<-given).Sub(began)
				h.Remove()
				if limit := map[bool]time.Duration{false: 13 * time.Second, true: 3 * time.Second}[taken]; took > limit {
					t.Errorf("what was in hand was given up after %s, want less than %s", took, limit)
				}
				w.until("it is done by who owns the partition next", d.finished("in hand"))
				w.committed()
			})
		})
	}
}

// A state that takes long to restore holds back its partition alone, and it is told how far it is.
func TestSlowRestore(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry, of := w.counted(), w.customers()
		log := &lines{}
		w.cfg.Log = zerolog.New(log)
		w.stateOf(of[0], "customer", `{"v":1,"seen":-1}`)
		cure := w.faulty(kmsg.Fetch, w.cfg.State, 0, kerr.NotLeaderForPartition)
		d := newDesk(t, nil)
		w.start(d, false)
		w.put(w.linked(of[0], "poor"), w.linked(of[1], "well1"), w.linked(of[2], "well2"))
		w.until("the others go on", d.finished("well1", "well2"))
		time.Sleep(time.Minute)
		w.put(w.linked(of[1], "well3"))
		w.until("the others go on", d.finished("well3"))
		if !log.contain("state is being restored") {
			t.Error("nothing tells how far it is")
		}
		if n := w.number(registry, "partitions_owned"); n != partitions-1 {
			t.Errorf("%v partitions are at work", n)
		}
		cure()
		w.until("it is done", d.finished("poor"))
		w.committed()
		if n := w.number(registry, "rebalances_total"); n != 1 {
			t.Errorf("%v generations, want 1", n)
		}
		if !log.contain(`"objects":1`) {
			t.Error("nothing tells what was restored")
		}
	})
}

// Work that does not go on, and nothing explains it, is told of and cured: by taking the partition anew, then by joining the
// group anew.
func TestStalled(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry, of := w.counted(), w.customers()
		log := &lines{}
		w.cfg.Log = zerolog.New(log)
		w.cfg.Stall = time.Minute
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error { return registered(run) })
		w.start(d, false)
		w.put(w.linked(of[0], "before"))
		w.until("told", func() bool { return len(w.published()) == 1 })
		cure := w.faulty(kmsg.Produce, w.results, 0, kerr.NotLeaderForPartition)
		w.put(w.linked(of[0], "hangs"))
		began := time.Now()
		cured := func(by string) func() bool {
			return func() bool {
				time.Sleep(time.Second) // of virtual time: asking is not cheap
				return w.number(registry, "watchdog_cures_total", "cause", "stalled", "cure", by) == 1
			}
		}
		w.until("the partition is taken anew", cured("partition"))
		if took := time.Since(began); took < time.Minute || took > 80*time.Second {
			t.Errorf("the watchdog took %s, want a minute", took)
		}
		for _, said := range []string{`"customer":"` + of[0] + `"`, `"at":"outcome"`, `"offset":1`} {
			if !log.contain(said) {
				t.Errorf("the log does not say %s", said)
			}
		}
		w.until("the group is joined anew", cured("rejoin"))
		if took := time.Since(began); took < 3*time.Minute {
			t.Errorf("both cures within %s", took)
		}
		cure()
		w.committed()
		ids := map[string]bool{} // a write that was given up may have come to its end, and the result is the same
		for _, e := range w.published() {
			ids[e.ID] = true
		}
		if len(ids) != 2 {
			t.Errorf("%d results, want 2", len(ids))
		}
		if n := d.tried("hangs"); n != 1 {
			t.Errorf("handled %d times: its outcome was written", n)
		}
	})
}

// What only waits, or is at work, is no stall.
func TestNotStalled(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := w.counted()
		w.cfg.Stall = time.Minute
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "slow" {
				select {
				case <-time.After(5 * time.Minute):
				case <-ctx.Done():
				}
			}
			return ctx.Err()
		})
		w.start(d, false)
		time.Sleep(10 * time.Minute) // without anything to do
		w.put(w.linked("c1", "slow"), w.linked("c1", "next"))
		time.Sleep(time.Minute)
		w.until("it is done", d.finished("slow", "next"))
		if n := w.number(registry, "watchdog_cures_total"); n != 0 {
			t.Errorf("%v cures", n)
		}
	})
}

// Deliveries go on where they ended, whatever the partition went through: what an earlier life fetched is nobody's.
func TestRetakenOften(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWindow = 8 // pauses and resumes
		of := w.customers()
		d := newDesk(t, nil)
		w.start(d, false)
		var ids []string
		for round := range 5 {
			for i := range 30 {
				id := fmt.Sprint("e", round, "-", i)
				ids = append(ids, id)
				w.put(w.order(of[0], fmt.Sprint("o", i), id))
			}
			cure := w.faulty(kmsg.Produce, w.cfg.State, 0, kerr.TopicAuthorizationFailed)
			time.Sleep(2 * time.Second)
			cure()
		}
		w.until("all are done", d.finished(ids...))
		w.committed()
		if n := len(d.told(func(r consumer.Report) bool { return !r.Repeated })); n != len(ids) {
			t.Errorf("%d ends of %d events", n, len(ids))
		}
	})
}
