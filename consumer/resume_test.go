package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Positions of a customer go one after another: one that retries in doubt keeps its turn, although nothing is
// processing that the API has told of.
func TestPositionsTurn(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var processing = true
		var doubted []string
		d := newDesk(t, nil)
		d.on = func(_ context.Context, run *attempt.Run, nth int) error {
			e := run.Event()
			key := attempt.KeyRedemption(e.ID)
			switch {
			case e.ID == "other":
				return nil
			case run.Processing(key):
				return outcome.Wait(outcome.PositionProcessing, schemas.SubjectPositions)
			}
			if d.tried("p2") > 0 && !d.finished("p2")() && e.ID == "p3" {
				t.Error("p3 is tried while p2 is in doubt")
			}
			if e.ID == "p2" && len(doubted) < 4 {
				doubted = append(doubted, e.ID)
				return outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
			}
			p := run.Position(key)
			p.TaskID, p.Status = "t-"+e.ID, attempt.TaskProcessing
			run.Follow(key, "task")
			return nil
		}
		d.looks = func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "p1" && processing {
				return outcome.Wait(outcome.StatusPending, "")
			}
			run.Position(attempt.KeyRedemption(run.Event().ID)).Status = attempt.TaskSucceeded
			return nil
		}
		w.start(d, false)
		w.put(w.redeemed("c1", "p1", "p1"), w.redeemed("c1", "p2", "p2"), w.redeemed("c1", "p3", "p3"), w.order("c1", "o", "other"))
		w.until("others go on", d.finished("p1", "other"))
		time.Sleep(time.Minute)
		if n := d.tried("p2") + d.tried("p3"); n > 4 {
			t.Errorf("%d looks at what waits for its turn", n)
		}
		processing = false
		w.until("all have ended", d.finished("p1 task", "p2", "p2 task", "p3", "p3 task"))
		var ends []string
		for _, id := range d.ends() {
			if id != "other" {
				ends = append(ends, id)
			}
		}
		if want := []string{"p1", "p1 task", "p2", "p2 task", "p3", "p3 task"}; !slices.Equal(ends, want) {
			t.Errorf("ended %v, want %v", ends, want)
		}
	})
}

// What the inbox has forgotten is given up by its own offset, and nothing else is.
func TestForgotten(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var mended bool
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "a1" && !mended {
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
			return nil
		})
		m := w.start(d, false)
		offsets := w.put(w.order("c1", "z", "done"), w.order("c1", "a", "a1"), w.order("c1", "a", "a2"), w.order("c1", "a", "a3"))
		w.until("they are behind", func() bool {
			return len(d.told(func(r consumer.Report) bool { return r.Behind })) == 2
		})
		w.committed()
		m.stop()
		p := w.partition("c1")
		if err := w.broker.Cluster().DeleteRecords(w.cfg.Inbox, int32(p), offsets[3]); err != nil {
			t.Fatal(err)
		}
		mended = true
		w.start(d, false)
		w.until("what is still there is done", d.finished("a3"))
		w.until("what is gone is given up", func() bool { h, _ := w.letters(); return len(h) >= 2 })
		time.Sleep(time.Minute) // nothing goes on and on
		headers, _ := w.letters()
		var got []string
		for _, h := range headers {
			if h["dlq_reason"] != "expired" {
				t.Errorf("dead letter %v", h)
			}
			got = append(got, h["dlq_offset"])
		}
		slices.Sort(got)
		if want := []string{fmt.Sprint(offsets[1]), fmt.Sprint(offsets[2])}; !slices.Equal(got, want) {
			t.Errorf("given up at offsets %v, want %v", got, want)
		}
	})
}

// A new trouble begins with a short pause, however long the one before it lasted.
func TestPauseBeginsAnew(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.RetryFirst, w.cfg.RetryMost, w.cfg.Poll = 500*time.Millisecond, time.Minute, 5*time.Second
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyCustomer, "kyc")
			return nil
		})
		var failed, again time.Time
		d.looks = func(_ context.Context, _ *attempt.Run, nth int) error {
			switch {
			case nth <= 10:
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			case nth == 11:
				return outcome.Wait(outcome.StatusPending, "")
			case nth == 12:
				failed = time.Now()
				return outcome.Retry(outcome.ClassServer, true, errTrouble)
			}
			again = time.Now()
			return nil
		}
		w.start(d, false)
		w.put(w.linked("c1", "e1"))
		w.until("it has ended", d.finished("e1 kyc"))
		if pause := again.Sub(failed); pause > 2*time.Second {
			t.Errorf("after one failure a pause of %s, the first is 500 ms", pause)
		}
	})
}

// A lane that has something to do soon does it soon, also if its alarm was set for a time long after.
func TestSoonerAlarm(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll = 5 * time.Second
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "waits" { // for 30 days, unless it is woken
				return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
			}
			run.Follow(attempt.KeyOrder("o2"), "status")
			return nil
		})
		d.looks = func(_ context.Context, _ *attempt.Run, nth int) error {
			if nth < 3 {
				return outcome.Wait(outcome.StatusPending, "")
			}
			return nil
		}
		w.start(d, false)
		w.put(w.order("c1", "o1", "waits"))
		w.until("it waits", func() bool { return len(w.named(schemas.TypeEventWaiting)) == 1 })
		time.Sleep(time.Second)
		w.put(w.order("c1", "o2", "followed"))
		began := time.Now()
		w.until("the follow-up has ended", d.finished("followed status"))
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("three looks took %s, one is due each 5 s", took)
		}
	})
}

// The longer nothing has happened, the rarer the looks of a follow-up: a tenth of that time, never more often than Poll and
// never more rarely than PollMost. News begins it anew, a restart does not.
func TestIntervalsGrow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll, w.cfg.PollMost = 5*time.Second, time.Minute
		news := 0
		d, looked := invests(t, func(run *attempt.Run, nth int) error {
			if nth == news {
				run.Order("o1").Status = "PAID"
				if err := registered(run); err != nil {
					return err
				}
			}
			return outcome.Wait(outcome.StatusPending, "")
		})
		began := time.Now()
		m := w.start(d, false)
		w.put(w.order("c1", "o1", "e1"))
		time.Sleep(15 * time.Minute)
		check := func(looks []time.Time, since time.Time) {
			t.Helper()
			for i, at := range looks[1:] {
				want := max(5*time.Second, min(looks[i].Sub(since)/10, time.Minute))
				if pause := at.Sub(looks[i]); pause < want-time.Second || pause > want+time.Second {
					t.Errorf("a pause of %s at %s after the last news, want %s", pause, looks[i].Sub(since), want)
				}
			}
		}
		check(looked(), began)
		if n := len(looked()); n < 34 || n > 42 { // 10 in the first 50 s, 23 up to the tenth minute, then one a minute
			t.Errorf("%d looks in 15 minutes", n)
		}
		m.stop()
		before := len(looked())
		m = w.start(d, false)
		time.Sleep(5 * time.Minute)
		check(looked()[before:], began)
		news = d.tried("e1 status") + 1
		w.until("there is news", func() bool { return d.tried("e1 status") == news })
		before = len(looked()) - 1
		time.Sleep(5 * time.Minute)
		m.stop()
		check(looked()[before:], looked()[before])
	})
}
