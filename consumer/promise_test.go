package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// A follow-up that is unresolved is not sent again by itself, least of all when the API has forgotten its key.
func TestUnresolvedFollowUp(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Attempt.KeyRetention = 20 * time.Minute
		var sent []time.Time
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyCustomer, "wallet") // as two customer.verified do, or order.paid and order.credit_released
			return nil
		})
		d.looks = func(ctx context.Context, run *attempt.Run, _ int) error {
			d.again(run.Event().ID + " wallet")
			_, err := attempt.Do(ctx, run, "wallet", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					sent = append(sent, time.Now())
					return "", outcome.Unknown(outcome.ContractBroken, nil) // a 2xx without an ID: it happened
				})
			return err
		}
		w.start(d, false)
		w.put(w.linked("c1", "e1"))
		w.until("it is unresolved", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
		time.Sleep(40 * time.Minute)
		w.put(w.linked("c1", "e2"))
		w.until("the second event is done", d.finished("e2"))
		time.Sleep(time.Minute)
		if len(sent) != 1 {
			t.Errorf("sent %d times, the last one %s after the first: the key is kept for 20 min", len(sent), sent[len(sent)-1].Sub(sent[0]))
		}
	})
}

// A partition in which a lane has failed is taken anew soon, however much another lane has to do.
func TestFailedPartition(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		// two customers of one partition
		busy := "c1"
		poor := ""
		for i := 2; poor == ""; i++ {
			if c := fmt.Sprint("c", i); w.partition(c) == w.partition(busy) {
				poor = c
			}
		}
		var mu sync.Mutex // guards failed and again
		var failed, again time.Time
		d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
			switch {
			case run.Event().Customer == busy:
				time.Sleep(time.Second) // a slow API
			case nth == 1:
				mu.Lock()
				failed = time.Now()
				mu.Unlock()
				// a write that fails: here one too large
				return run.Publish(schemas.TypeCustomerRegistered, "customer/x", strings.Repeat("x", 2<<20))
			default:
				mu.Lock()
				again = time.Now()
				mu.Unlock()
			}
			return nil
		})
		w.start(d, false)
		var events []schemas.Event
		for i := range 200 {
			events = append(events, w.order(busy, fmt.Sprint("o", i), fmt.Sprint("b", i)))
		}
		w.put(events...)
		w.until("busy", func() bool { return d.tried("b3") > 0 })
		w.put(w.linked(poor, "poor"))
		w.until("it is tried again", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return !again.IsZero()
		})
		mu.Lock()
		defer mu.Unlock()
		if took := again.Sub(failed); took > 20*time.Second {
			t.Errorf("the failed partition was taken anew only after %s: its other lane went on to its end", took)
		}
	})
}

// An empty answer (a throttled client, a new leader that is behind) does not say that the inbox has forgotten an event.
func TestEmptyAnswer(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	var empty atomic.Int32
	w.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().KeepControl()
		r := req.(*kmsg.FetchRequest)
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || r.Topics[0].Partitions[0].PartitionMaxBytes != 1 || empty.Add(1) > 1 {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.FetchResponse) // as brokers answer a throttled client
		res.ThrottleMillis = 10
		return res, nil, true
	})
	d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
		if nth < 8 {
			return outcome.Retry(outcome.ClassServer, true, errTrouble)
		}
		return nil
	})
	w.start(d, false)
	w.put(w.order("c1", "o1", "e1"))
	w.until("it has ended", d.finished("e1"))
	w.committed()
	time.Sleep(200 * time.Millisecond)
	for _, e := range w.named(schemas.TypeEventRejected) {
		t.Errorf("rejected: %s", e.Data)
	}
	if _, records := w.letters(); len(records) > 0 {
		t.Errorf("%d dead letters of an event that the inbox still holds", len(records))
	}
}

// stateOf writes a state record before a member starts.
func (w *world) stateOf(customer, key string, value string) {
	w.t.Helper()
	w.write(kafka.Record{Topic: w.cfg.State, Partition: w.partition(customer), Key: []byte(customer + "/" + key), Value: []byte(value)})
}

// A held event is found again by its offset only if what lies there is that event.
func TestOtherEventAtOffset(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	other := ""
	for i := 2; other == ""; i++ {
		if c := fmt.Sprint("c", i); w.partition(c) == w.partition("c1") {
			other = c
		}
	}
	held, _ := json.Marshal(map[string]any{"v": 1, "seen": 0, "work": []attempt.Work{{
		Event: attempt.Event{Source: "/upstream", ID: "held", Type: schemas.TypeOrderCreditReleased, Time: time.Now()},
		Held:  outcome.Retrying, Reason: outcome.Temporary, Since: time.Now(), Due: time.Now(),
	}}})
	w.stateOf("c1", "order/o1", string(held))
	w.put(w.order(other, "o9", "strange")) // offset 0
	d := newDesk(t, nil)
	log := &lines{}
	w.cfg.Log = zerolog.New(log)
	w.start(d, false)
	w.until("it is said", func() bool { return log.contain("holds another event than the one held") })
	if n := d.tried("strange"); n > 1 {
		t.Errorf("%s's event was attempted %d times, once in the lane of c1, as c1's held event", other, n)
	}
	if got := w.named(schemas.TypeEventRejected); len(got) > 0 {
		t.Errorf("%d events were rejected for it", len(got))
	}
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) contain(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.all.String(), text)
}

// A subject with many held events does not stop its partition, let alone the member.
func TestManyHeld(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		if run.Event().Customer == "c1" {
			return outcome.Wait(outcome.PositionProcessing, schemas.SubjectPositions)
		}
		return nil
	})
	w.start(d, false)
	long := strings.Repeat("i", 60)
	var all []schemas.Event
	for i := range 300 {
		e := w.redeemed("c1", fmt.Sprint("r", i), fmt.Sprint(long, i))
		e.Source = "/" + long
		all = append(all, e)
	}
	for chunk := range slices.Chunk(all, 50) {
		w.put(chunk...)
	}
	held := func(fits func(consumer.Report) bool) int { return len(d.told(fits)) }
	waiting := func(r consumer.Report) bool { return r.Verdict == outcome.Waiting }
	behind := func(r consumer.Report) bool { return r.Behind }
	w.until("all are held, most of them whole", func() bool { return held(waiting) == 200 && held(behind) == 100 })
	w.put(w.linked("other", "e1"))
	w.until("another customer goes on", d.finished("e1"))
	w.committed()
}

// A sick partition of the state topic holds back only itself.
func TestSickPartition(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.cfg.MaxInFlight = 1 // few lanes at work
	of := map[int][]string{}
	for i := 0; len(of[0]) < 4 || len(of[1]) < 1; i++ {
		c := fmt.Sprint("c", i)
		of[w.partition(c)] = append(of[w.partition(c)], c)
	}
	d := newDesk(t, nil)
	w.start(d, false)
	w.put(w.linked(of[0][0], "begin0"), w.linked(of[1][0], "begin1"))
	w.until("both go", d.finished("begin0", "begin1"))
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: w.cfg.State, Partitions: []int32{0}, Count: -1, Err: kerr.NotLeaderForPartition,
	})
	defer h.Remove()
	for i := range 4 {
		w.put(w.linked(of[0][i], fmt.Sprint("sick", i)))
	}
	time.Sleep(time.Second)
	w.put(w.linked(of[1][0], "well"))
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) && !d.finished("well")() {
		time.Sleep(100 * time.Millisecond)
	}
	if !d.finished("well")() {
		t.Error("a customer of another partition waits: the sick partition's lanes keep all places at work")
	}
	offsets, err := w.client.GroupOffsets(t.Context(), w.cfg.Group.ID, w.cfg.Inbox)
	t.Log(offsets, err)
}

// One of them alone: what is done in another partition is still committed.
func TestSickPartitionCommit(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	of := map[int][]string{}
	for i := 0; len(of[0]) < 4 || len(of[1]) < 1 || len(of[2]) < 1; i++ {
		c := fmt.Sprint("c", i)
		of[w.partition(c)] = append(of[w.partition(c)], c)
	}
	d := newDesk(t, nil)
	w.cfg.Lease = time.Second
	w.start(d, false)
	w.put(w.linked(of[0][0], "begin0"), w.linked(of[1][0], "begin1"))
	w.until("both go", d.finished("begin0", "begin1"))
	w.committed()
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: w.cfg.State, Partitions: []int32{0}, Count: -1, Err: kerr.NotLeaderForPartition,
	})
	defer h.Remove()
	time.Sleep(2 * time.Second) // the idle claim of the sick one is due
	w.put(w.linked(of[1][0], "well"))
	w.until("well", d.finished("well"))
	var at int64
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && at < 2; time.Sleep(100 * time.Millisecond) {
		offsets, err := w.client.GroupOffsets(t.Context(), w.cfg.Group.ID, w.cfg.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		at = offsets[1]
	}
	if at < 2 {
		t.Errorf("partition 1 is committed up to %d, want 2: commits wait for the claim of partition 0", at)
	}
}

// What intake appends again after a crash is known, also where it is more than a few events of one subject.
func TestManyRepeated(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	d := newDesk(t, nil)
	w.start(d, false)
	var events []schemas.Event
	for i := range 20 {
		events = append(events, w.linked("c1", fmt.Sprint("e", i)))
	}
	w.put(events...)
	w.put(events...) // the source's offset was not committed
	w.committed()
	if n := len(d.attempts()); n != 20 {
		t.Errorf("%d attempts at 20 events", n)
	}
}

// A refusal that comes before the step in doubt is repeated says nothing of that step.
func TestRefusedInDoubt(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		happened := 0
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			if nth > 1 { // such as data that this release cannot decode any more
				return outcome.Reject(outcome.Invalid)
			}
			_, err := attempt.Do(ctx, run, "investment", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					happened++
					return "", outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
				})
			return err
		})
		w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		w.until("told", func() bool { return len(w.published()) > 0 })
		if n := len(w.named(schemas.TypeEventRejected)); n > 0 && happened > 0 {
			t.Error("event.rejected of an event whose call may have had its effect")
		}
	})
}

// An open intent whose call panicked is in doubt.
func TestPanicInDoubt(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var sent []time.Time
		d := newDesk(t, nil)
		d.on = func(ctx context.Context, run *attempt.Run, nth int) error {
			_, err := attempt.Do(ctx, run, "investment", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					switch {
					case nth == 1:
						sent = append(sent, time.Now())
						panic("while the answer was read")
					case time.Since(sent[0]) < 65*time.Minute:
						return "", outcome.Retry(outcome.ClassNotSent, false, errTrouble)
					}
					sent = append(sent, time.Now())
					return "id", nil
				})
			return err
		}
		w.cfg.Attempt.KeyRetention, w.cfg.RetryMost = time.Hour, 10*time.Minute
		w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		time.Sleep(2 * time.Hour)
		if len(sent) > 1 {
			t.Errorf("sent again %s after the first time: the key is kept for 1 h", sent[1].Sub(sent[0]))
		}
	})
}

// An event in doubt is repeated while its key lasts, also if an earlier one of its subject was woken meanwhile and
// retries.
func TestDoubtBlocked(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, nil)
		began := time.Now()
		d.on = func(ctx context.Context, run *attempt.Run, _ int) error {
			c := run.Customer()
			if run.Event().ID == "update" { // waits for the investor, then fails
				if c.InvestorID == "" {
					return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
				}
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
			if time.Since(began) < 10*time.Second { // the investor cannot be created yet
				return outcome.Retry(outcome.ClassNotSent, false, errTrouble)
			}
			c.InvestorID = "inv"
			_, err := attempt.Do(ctx, run, "identification", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					if time.Since(began) < time.Minute {
						return "", outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
					}
					return "id", nil
				})
			return err
		}
		w.start(d, false)
		w.put(w.linked("c1", "update"), w.linked("c1", "verified"))
		w.until("in doubt", func() bool { return d.tried("update") > 2 })
		before := d.tried("verified")
		time.Sleep(time.Hour)
		if !d.finished("verified")() {
			t.Errorf("the event in doubt was tried %d times in the hour after the trouble, update %d times",
				d.tried("verified")-before, d.tried("update"))
		}
	})
}

// What an event retried for is not time that it waited: nothing is given up because the API was down.
func TestExpiredByOutage(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait, w.cfg.RetryMost = time.Hour, 10*time.Second
		began := time.Now()
		d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
			if time.Since(began) < 61*time.Minute { // the documents cannot be uploaded
				return outcome.Retry(outcome.ClassNotSent, false, errTrouble)
			}
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		})
		w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		time.Sleep(65 * time.Minute)
		if n := len(w.named(schemas.TypeEventRejected)); n > 0 {
			t.Errorf("rejected as expired a few minutes after it began to wait")
		}
	})
}
