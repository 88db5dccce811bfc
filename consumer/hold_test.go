package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

var errTrouble = errors.New("trouble")

// orderID gives the ID of the order that an event is about.
func orderID(e attempt.Event) string { return strings.TrimPrefix(e.Subject, "order/") }

// An event that waits stops nothing, and is woken by a change of what it waits for, in inbox order.
func TestWaiting(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		switch id := run.Event().ID; {
		case strings.HasPrefix(id, "wait") && run.Customer().InvestorID == "":
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		case id == "register":
			run.Customer().InvestorID = "inv"
		case id == "other": // changes something that nobody waits for
			run.Order(orderID(run.Event())).Status = "SEEN"
		}
		return nil
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "wait1"), w.order("c1", "o1", "wait2"), w.order("c1", "o2", "wait3"),
		w.order("c1", "o3", "other"), w.order("c2", "o1", "also"))
	w.until("others go on", d.finished("other", "also"))
	w.committed() // offsets of held events are done
	if n := len(w.named(schemas.TypeEventWaiting)); n != 3 {
		t.Errorf("%d times event.waiting, want 3", n)
	}
	w.emit(w.linked("c1", "register"))
	w.until("all are woken", d.finished("wait1", "wait2", "wait3"))
	ends := slices.DeleteFunc(d.ends(), func(id string) bool { return id == "also" || id == "other" })
	if want := []string{"register", "wait1", "wait2", "wait3"}; !slices.Equal(ends, want) {
		t.Errorf("ended %v, want %v", ends, want)
	}
	for _, id := range []string{"wait1", "wait2", "wait3"} {
		if n := d.tried(id); n != 2 {
			t.Errorf("%s was tried %d times, want 2: at first, and when it was woken", id, n)
		}
	}
	waiting, err := schemas.Data[schemas.EventWaiting](w.named(schemas.TypeEventWaiting)[0])
	if err != nil {
		t.Fatal(err)
	}
	if waiting.Reason != schemas.ReasonInvestorMissing || waiting.On != "customer" || waiting.Event.Source != "/upstream" {
		t.Errorf("told %+v", waiting)
	}
}

// A short trouble is waited out in the lane; a longer one is held after hold_after, with the later events of its
// subject behind it in order, and nothing else.
func TestRetrying(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.HoldAfter, w.cfg.RetryFirst, w.cfg.RetryMost = 10*time.Second, 500*time.Millisecond, time.Minute
		began := time.Now()
		mended := began.Add(10 * time.Minute)
		d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
			switch id := run.Event().ID; {
			case id == "short" && nth < 3:
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			case id == "a1" && time.Now().Before(mended):
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
			return nil
		})
		m := w.start(d, false)
		w.put(w.order("c1", "short", "short"), w.order("c1", "short", "short2"))
		w.until("short trouble is over", d.finished("short", "short2"))
		if took := time.Since(began); took > 10*time.Second || d.tried("short") != 3 {
			t.Errorf("%d tries in %s", d.tried("short"), took)
		}
		began = time.Now()
		w.put(w.order("c1", "a", "a1"), w.order("c1", "a", "a2"), w.order("c1", "b", "b1"), w.order("c1", "a", "a3"),
			w.linked("c1", "l1"), w.order("c2", "a", "c2-a1"))
		w.until("other customers do not wait", d.finished("c2-a1"))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("another customer waited %s", took)
		}
		w.until("other subjects go on when it is held", d.finished("b1", "l1"))
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("other subjects waited %s, hold_after is 10 s", took)
		}
		w.committed()
		m.stop() // over a restart, too
		w.start(d, false)
		time.Sleep(8 * time.Minute)
		if n := d.tried("a2") + d.tried("a3"); n != 0 {
			t.Errorf("%d attempts of what is behind", n)
		}
		if n := d.tried("a1"); n < 8 || n > 40 {
			t.Errorf("%d tries in 8 minutes with at most a minute between two", n)
		}
		time.Sleep(2 * time.Minute)
		w.put(w.order("c1", "a", "a4"))
		w.until("the subject goes on", d.finished("a1", "a2", "a3", "a4"))
		var ends []string
		for _, id := range d.ends() {
			if strings.HasPrefix(id, "a") {
				ends = append(ends, id)
			}
		}
		if want := []string{"a1", "a2", "a3", "a4"}; !slices.Equal(ends, want) {
			t.Errorf("ended %v, want %v", ends, want)
		}
		w.committed()
	})
}

// A thousand events behind one cost neither their order nor the lane's time.
func TestManyBehind(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var mended, open = make(chan struct{}), true
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		select {
		case <-mended:
		default:
			if run.Event().ID == "first" {
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
		}
		return nil
	})
	defer func() {
		if open {
			close(mended)
		}
	}()
	w.start(d, false)
	w.put(w.order("c1", "a", "first"))
	want := []string{"first"}
	var events []schemas.Event
	for i := range 1000 {
		want = append(want, fmt.Sprintf("e%03d", i))
		events = append(events, w.order("c1", "a", want[i+1]))
	}
	for chunk := range slices.Chunk(events, 20) { // a batch is fetched whole for each of its events
		w.put(chunk...)
	}
	w.committed()
	if n := len(d.ends()); n != 0 {
		t.Errorf("%d ended before the first", n)
	}
	close(mended)
	open = false
	w.until("all have ended", func() bool { return len(d.ends()) == len(want) })
	if !slices.Equal(d.ends(), want) {
		t.Error("not in inbox order")
	}
}

// A refusal goes to the dead letters and is told; what comes next goes on.
func TestRejected(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
		switch run.Event().ID {
		case "bad":
			run.Order("o1").InvestmentID = "kept" // what was created stays, and so does the news of it
			return &outcome.Error{
				Verdict: outcome.Rejected, Reason: outcome.Refused, Class: outcome.ClassClient, Step: "investment",
				Status: 422, Code: "too_many", Fields: []string{"units", "wallet"},
			}
		case "held":
			if nth == 1 {
				return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
			}
			return outcome.Reject(outcome.Conflict)
		case "register":
			run.Customer().InvestorID = "inv"
		case "next":
			if run.Order("o1").InvestmentID != "kept" {
				t.Error("what the rejected event created is forgotten")
			}
		}
		return nil
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "bad"), w.order("c1", "o1", "next"), w.order("c1", "o2", "held"), w.linked("c1", "register"))
	w.until("all have ended", d.finished("bad", "next", "held", "register"))
	w.committed()
	w.until("the held one's entry is published", func() bool { return len(w.named(schemas.TypeEventRejected)) == 2 })

	told := map[string]schemas.EventRejected{}
	for _, e := range w.named(schemas.TypeEventRejected) {
		data, err := schemas.Data[schemas.EventRejected](e)
		if err != nil {
			t.Fatal(err)
		}
		told[data.Event.ID] = data
	}
	if got := told["bad"]; got.Reason != "refused" || got.Step != "investment" || got.Status != 422 || got.Code != "too_many" ||
		!slices.Equal(got.Fields, []string{"units", "wallet"}) || got.Event.Type != "distributor.order.credit_released" {
		t.Errorf("told %+v", got)
	}
	if got := told["held"]; got.Reason != "conflict" {
		t.Errorf("told %+v", got)
	}
	w.until("both are in the dead letters", func() bool { h, _ := w.letters(); return len(h) == 2 })
	headers, records := w.letters()
	for i, h := range headers {
		if string(records[i].Key) != "c1" || len(records[i].Value) == 0 || h["ce_id"] != h["dlq_event_id"] ||
			h["dlq_topic"] != w.cfg.Inbox || h["source_topic"] != w.up {
			t.Errorf("dead letter %v of key %q", h, records[i].Key)
		}
		if h["dlq_event_id"] != "bad" {
			continue
		}
		for key, want := range map[string]string{
			"dlq_reason": "refused", "dlq_class": "client", "dlq_step": "investment", "dlq_status": "422",
			"dlq_fields": "units,wallet", "dlq_attempts": "1", "dlq_event_source": "/upstream",
			"dlq_event_type": "distributor.order.credit_released", "dlq_replays": "0", "dlq_version": "v1",
		} {
			if h[key] != want {
				t.Errorf("%s: %q, want %q", key, h[key], want)
			}
		}
	}
}

// What became of the event is not known: told once, and never tried again; its subject stands still, others do not.
func TestUnknown(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "lost" {
				return outcome.Unknown(outcome.ContractBroken, errTrouble)
			}
			run.Customer().KYC = run.Event().ID // would wake it
			return nil
		})
		for range 3 {
			m := w.start(d, false)
			if d.tried("lost") == 0 {
				w.put(w.order("c1", "a", "lost"), w.order("c1", "a", "behind"), w.order("c1", "b", "other"))
				w.until("others go on", d.finished("lost", "other"))
			}
			w.committed()
			time.Sleep(2 * time.Minute)
			m.stop()
		}
		if n := d.tried("lost"); n != 1 {
			t.Errorf("tried %d times", n)
		}
		if n := d.tried("behind"); n != 0 {
			t.Error("what is behind it was tried")
		}
		unresolved := w.named(schemas.TypeEventUnresolved)
		if len(unresolved) != 1 {
			t.Fatalf("%d times event.unresolved", len(unresolved))
		}
		if data, err := schemas.Data[schemas.EventUnresolved](unresolved[0]); err != nil || data.Reason != "contract_broken" || data.Event.ID != "lost" {
			t.Errorf("told %+v, %v", data, err)
		}
	})
}

// A handler's panic is a retry, and after five a bug; the next event goes on.
func TestPanics(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, func(_ context.Context, run *attempt.Run, nth int) error {
			switch run.Event().ID {
			case "bug":
				panic("personal data")
			case "twice":
				if nth <= 2 {
					panic("personal data")
				}
			}
			return nil
		})
		m := w.start(d, false)
		w.put(w.order("c1", "a", "bug"), w.order("c1", "a", "next"), w.order("c2", "a", "twice"))
		w.until("all have ended", d.finished("bug", "next", "twice"))
		w.committed()
		m.stop()
		if n := d.tried("bug"); n != 5 {
			t.Errorf("%d attempts, want 5", n)
		}
		headers, _ := w.letters()
		if len(headers) != 1 || headers[0]["dlq_reason"] != "bug" || headers[0]["dlq_event_id"] != "bug" || headers[0]["dlq_attempts"] != "5" {
			t.Errorf("dead letters %v", headers)
		}
	})
}

// What waited for max_wait is given up, also over restarts; what it waited for need not come.
func TestMaxWait(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait = 30 * time.Minute
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		})
		m := w.start(d, false)
		began := time.Now()
		w.put(w.order("c1", "a", "waits"))
		w.until("it is told", func() bool { return len(w.named(schemas.TypeEventWaiting)) == 1 })
		w.committed()
		m.stop()
		time.Sleep(w.cfg.MaxWait - 10*time.Minute)
		w.start(d, false)
		time.Sleep(9 * time.Minute)
		if len(d.ends()) != 0 {
			t.Error("given up too early")
		}
		time.Sleep(time.Minute + time.Second)
		w.until("it is given up", d.finished("waits"))
		if took := time.Since(began); took > w.cfg.MaxWait+time.Minute {
			t.Errorf("given up after %s", took)
		}
		w.until("it is a dead letter", func() bool { h, _ := w.letters(); return len(h) == 1 })
		if headers, _ := w.letters(); headers[0]["dlq_reason"] != "expired" {
			t.Errorf("dead letter %v", headers[0])
		}
		if n := len(w.named(schemas.TypeEventWaiting)); n != 1 {
			t.Errorf("%d times event.waiting, want once a reason", n)
		}
		if rejected := w.named(schemas.TypeEventRejected); len(rejected) != 1 {
			t.Errorf("%d times event.rejected", len(rejected))
		}
	})
}

// An event that waits for nothing that could wake it is looked at on a schedule, as outcome.Wait says.
func TestWaitingForNothing(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll = 5 * time.Second
		d := newDesk(t, func(_ context.Context, _ *attempt.Run, nth int) error {
			if nth < 4 {
				return outcome.Wait(outcome.KYCPending, "")
			}
			return nil
		})
		w.start(d, false)
		began := time.Now()
		w.put(w.order("c1", "a", "e1"))
		w.until("it was looked at again", d.finished("e1"))
		if took := time.Since(began); took < 15*time.Second || took > 17*time.Second {
			t.Errorf("3 polls of 5 s took %s", took)
		}
	})
}

// A follow-up whose handler panics is given up like an event.
func TestFollowUpPanics(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyOrder("o1"), "status")
			return nil
		})
		d.looks = func(context.Context, *attempt.Run, int) error { panic("a bug") }
		w.start(d, true)
		w.emit(w.order("c1", "o1", "e1"))
		w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
		if n := d.tried("e1 status"); n != 5 {
			t.Errorf("tried %d times, want 5", n)
		}
	})
}
