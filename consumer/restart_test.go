package consumer_test

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// cut is a network that can be cut: what was sent arrives, and no answer comes back.
type cut struct{ atomic.Bool }

func (c *cut) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &cutConn{conn, c}, err
}

type cutConn struct {
	net.Conn
	cut *cut
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func registered(run *attempt.Run) error {
	return run.Publish(schemas.TypeCustomerRegistered, "customer", schemas.CustomerRegistered{
		CustomerID: run.Event().Customer, InvestorID: "16fd2706-8baf-433b-82eb-8c7fada847da",
	})
}

// producerID gives whose batches a write holds.
func producerID(r *kmsg.ProduceRequest) int64 {
	const at = 43 // in a batch of format 2
	return int64(binary.BigEndian.Uint64(r.Topics[0].Partitions[0].Records[at:]))
}

// Stopped between the outcome's write and its publication: it is published from state, the event is not handled again,
// and what waited for its change is woken.
func TestRestartBeforePublication(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		t.Run(map[bool]string{false: "failed and not applied", true: "failed but applied"}[applied], func(t *testing.T) {
			t.Parallel()
			w := inProcess(t)
			var network cut
			w.kafka.Dial = network.dial
			w.cfg.Drain = 300 * time.Millisecond
			d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
				switch {
				case run.Event().ID == "register":
					run.Customer().InvestorID = "inv"
					return registered(run)
				case run.Customer().InvestorID == "":
					return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
				}
				return nil
			})
			m := w.start(d, false)
			w.put(w.order("c1", "o1", "waits"))
			w.until("it waits", func() bool { return len(w.named(schemas.TypeEventWaiting)) == 1 })
			w.committed()

			var restarted atomic.Bool
			refused := map[int64]bool{} // producers of before the restart: what they gave up may come to the broker long after it
			fault := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.results, Count: -1, Err: kerr.NotLeaderForPartition}
			fault.When = func(r kmsg.Request) bool {
				id := producerID(r.(*kmsg.ProduceRequest))
				if !restarted.Load() {
					refused[id] = true
					network.Store(applied)
				}
				return refused[id]
			}
			fault.Observe = applied
			h := w.broker.Cluster().Fault(fault)
			w.put(w.linked("c1", "register"))
			if err := h.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			m.stop()
			if !d.finished("register")() {
				t.Fatal("the outcome is not in state")
			}
			before := len(w.named(schemas.TypeCustomerRegistered))
			restarted.Store(true)
			network.Store(false)
			if want := map[bool]int{false: 0, true: 1}[applied]; before != want {
				t.Fatalf("%d results before the restart, want %d", before, want)
			}
			time.Sleep(5 * time.Millisecond) // so that a result made anew would have another time

			w.start(d, false)
			w.until("what waits is woken", d.finished("waits"))
			w.committed()
			var texts []string
			for _, r := range w.read(w.results) {
				text := string(r.Value)
				for _, h := range r.Headers {
					text += "\n" + h.Key + "=" + string(h.Value)
				}
				if strings.Contains(text, schemas.TypeCustomerRegistered) {
					texts = append(texts, text)
				}
			}
			if len(texts) != before+1 || len(slices.Compact(texts)) != 1 {
				t.Errorf("%d results, want %d with the same bytes:\n%s", len(texts), before+1, strings.Join(texts, "\n\n"))
			}
		})
	}
}

// A commit that was lost costs no call: the last outcome of each subject is published again, with the same ID.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.cfg.Drain = 200 * time.Millisecond
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		if run.Event().ID == "held" {
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		}
		return registered(run)
	})
	h := w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Err: kerr.NotCoordinator})
	m := w.start(d, false)
	w.put(w.linked("c1", "e1"), w.linked("c1", "e2"), w.order("c1", "o1", "held"), w.linked("c1", "e3"))
	w.until("all are done", d.finished("e1", "e2", "e3"))
	w.until("and told", func() bool { return len(w.published()) == 4 })
	m.stop()
	h.Remove()
	w.start(d, false)
	w.committed()
	var again []string
	ids := map[string]bool{}
	for _, e := range w.named(schemas.TypeCustomerRegistered) {
		again = append(again, e.CausationID)
		ids[e.ID] = true
	}
	if want := []string{"e1", "e2", "e3", "e3"}; !slices.Equal(again, want) || len(ids) != 3 {
		t.Errorf("published %v with %d IDs, want %v with 3", again, len(ids), want)
	}
	if n := d.tried("held"); n > 2 { // at first, and at most once at the start
		t.Errorf("the held event was tried %d times", n)
	}
	if n := len(w.named(schemas.TypeEventWaiting)); n != 1 {
		t.Errorf("%d times event.waiting", n)
	}
}

// A repeat of an event is known by its source and ID, whether the first has ended or is held.
func TestRepeat(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
		if run.Event().ID == "held" && run.Customer().InvestorID == "" {
			if nth > 1 {
				t.Error("the held event's repeat was handled")
			}
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		}
		return nil
	})
	w.start(d, true)
	other := w.order("c1", "o1", "e1")
	other.Source = "/elsewhere" // the same ID of another source is another event
	w.emit(w.order("c1", "o1", "e1"), w.order("c1", "o1", "e1"), w.order("c1", "o2", "held"), w.order("c1", "o2", "held"),
		w.order("c1", "o1", "e1"))
	w.until("all are taken", func() bool { return len(w.read(w.cfg.Inbox)) == 5 })
	w.committed()
	repeated := d.told(func(r consumer.Report) bool { return r.Repeated })
	if d.tried("e1") != 1 || d.tried("held") != 1 || len(repeated) != 3 {
		t.Errorf("%d and %d attempts, %d reports of a repeat; want 1, 1 and 3", d.tried("e1"), d.tried("held"), len(repeated))
	}
	d.again("e1")
	w.emit(other)
	w.until("the other is handled", func() bool { return d.tried("e1") == 2 })
}

// Stopped in the midst of a call: the next owner repeats the same key and body, and a refusal counts only when the lost
// call can no longer land.
func TestRestartInTheMidstOfACall(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Drain = time.Second
		var mu sync.Mutex
		var keys, bodies []string
		var stopped time.Time
		d := newDesk(t, nil)
		d.on = func(ctx context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID != "e1" {
				return nil
			}
			ref := attempt.Refs{"investor": "first"}
			if !stopped.IsZero() {
				ref["investor"] = "has changed since"
			}
			_, err := attempt.Do(ctx, run, "investment", ref, func(r attempt.Refs) string { return r["investor"] },
				func(ctx context.Context, key uuid.UUID, body string) (string, error) {
					mu.Lock()
					keys, bodies = append(keys, key.String()), append(bodies, body)
					mu.Unlock()
					if stopped.IsZero() {
						<-ctx.Done()
						return "", outcome.Retry(outcome.ClassNoAnswer, true, ctx.Err())
					}
					return "", &outcome.Error{Verdict: outcome.Rejected, Reason: outcome.Refused, Class: outcome.ClassClient, Status: 400}
				})
			return err
		}
		m := w.start(d, false)
		w.put(w.order("c1", "o1", "e1"), w.order("c1", "o1", "e2"), w.order("c1", "o2", "e3"))
		w.until("the call is under way", func() bool { mu.Lock(); defer mu.Unlock(); return len(keys) == 1 })
		m.stop()
		if n := len(d.ends()); n != 0 {
			t.Errorf("%d ended", n)
		}
		stopped = time.Now()
		w.start(d, false)
		w.until("others go on while it is in doubt", d.finished("e3"))
		if d.tried("e2") != 0 {
			t.Error("e2 was tried while e1 is in doubt")
		}
		w.until("it has an end", d.finished("e1", "e2"))
		if took := time.Since(stopped); took < time.Minute {
			t.Errorf("the refusal counted after %s, quiet is a minute", took)
		}
		if len(slices.Compact(keys)) != 1 || !slices.Equal(slices.Compact(bodies), []string{"first"}) {
			t.Errorf("sent keys %v, bodies %v", keys, bodies)
		}
	})
}

// What cannot be written to the dead letters is not done.
func TestDeadLetterBeforeOffset(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: w.dead, Count: 1, Err: kerr.TopicAuthorizationFailed,
	})
	d := newDesk(t, nil)
	w.start(d, false)
	w.write(kafka.Record{Topic: w.cfg.Inbox, Partition: w.partition("c1"), Key: []byte("c1"), Value: []byte("no event")})
	w.put(w.order("c1", "o1", "next"))
	w.until("the next is done", d.finished("next"))
	w.committed()
	if h.Hits() != 1 {
		t.Fatal("the write was not refused")
	}
	if headers, records := w.letters(); len(headers) != 1 || string(records[0].Value) != "no event" {
		t.Errorf("dead letters %v", headers)
	}
}

// At the end what is in hand is finished, published and committed; what takes longer than the drain is found again.
func TestDrain(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Drain = 10 * time.Second
		var slow time.Duration
		began := make(chan struct{}, 1)
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
			if strings.HasPrefix(run.Event().ID, "slow") {
				began <- struct{}{}
				wait := slow
				if run.Event().ID == "slow3" {
					wait = 5 * time.Second
				}
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return registered(run)
		})
		slow = 9 * time.Second
		m := w.start(d, false)
		w.put(w.linked("c1", "slow1"), w.linked("c1", "next"))
		<-began
		m.stop()
		if got := d.ends(); !slices.Equal(got, []string{"slow1"}) {
			t.Errorf("ended %v, want what was in hand and no more", got)
		}
		if got := w.offset("c1"); got != 1 {
			t.Errorf("committed offset %d, want 1", got)
		}
		if n := len(w.named(schemas.TypeCustomerRegistered)); n != 1 {
			t.Errorf("%d results", n)
		}

		slow = time.Hour
		const other = "c2"
		if w.partition(other) == w.partition("c1") {
			t.Fatal("both customers are in one partition")
		}
		w.put(w.linked("c1", "slow2"), w.linked(other, "slow3"))
		m = w.start(d, false)
		<-began
		<-began
		stopping := time.Now()
		m.stop()
		if took := time.Since(stopping); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("stopped after %s, the drain is 10 s", took)
		}
		if got := w.offset(other); got != 1 {
			t.Errorf("committed offset %d of what ended while the other was waited for, want 1", got)
		}
		slow = time.Second
		w.start(d, false)
		w.until("it is found again", d.finished("next", "slow2"))
		w.committed()
		if d.tried("slow2") != 2 || d.tried("next") != 1 {
			t.Errorf("slow2 was tried %d times, next %d times", d.tried("slow2"), d.tried("next"))
		}
	})
}

// A member that finds another number of partitions than its state was made for ends with that.
func TestOtherPartitions(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.cfg.Partitions = 4
	m := w.start(newDesk(t, nil), false)
	select {
	case <-m.done:
		if m.err == nil || !strings.Contains(m.err.Error(), "partitions") {
			t.Errorf("ended with %v", m.err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("goes on")
	}
}

// A commit that was refused is made again, although no further event moves the offset.
func TestCommitAgain(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	d := newDesk(t, nil)
	h := w.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.OffsetMetadataTooLarge})
	w.start(d, false)
	w.put(w.order("c1", "o1", "e1"))
	w.committed()
	if h.Hits() != 1 {
		t.Error("no commit was refused")
	}
}
