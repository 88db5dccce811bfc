package consumer_test

import (
	"context"
	"slices"
	"testing"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// What a replay has asked for, and is done, does not close what the replay itself was given up for.
func TestReplayGivenUpBesideItsFollowUp(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
		if run.Event().ID == "last" {
			return nil
		}
		if nth > 1 {
			run.Follow(attempt.KeyOrder("o1"), "kyc")
		}
		var answer error
		if nth < 3 {
			answer = refused()
		}
		return c.do(ctx, run, "identification", "", answer)
	})
	d.looks = func(context.Context, *attempt.Run, int) error { return nil }
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	w.replay("e1", 1, nil)
	w.until("its follow-up is done", d.finished("e1 kyc"))
	d.again("e1 kyc")
	w.replay("e1", 2, nil)
	w.emit(w.order("c1", "o2", "last"))
	w.until("all is done", d.finished("last"))
	w.until("the second replay is done", func() bool { return len(c.list()) == 3 })
}

// Two follow-ups of one event that are given up are put back one by one.
func TestReplayOfTwoFollowUps(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		run.Follow(attempt.KeyOrder("o1"), "status")
		run.Follow(attempt.KeyOrder("o1"), "credit")
		return nil
	})
	d.looks = func(_ context.Context, run *attempt.Run, nth int) error {
		if nth == 1 {
			return refused()
		}
		return nil
	}
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("both are given up", func() bool { h, _ := w.letters(); return len(h) == 2 })
	w.replayOf("e1", "status", 1)
	w.until("one is done", func() bool { return d.tried("e1 status") == 2 })
	w.committed()
	if n := d.tried("e1 credit"); n != 1 {
		t.Errorf("the other was tried %d times", n)
	}
	w.replayOf("e1", "credit", 1)
	w.until("the other is done", func() bool { return d.tried("e1 credit") == 2 })
}

// A replay of an event of which nothing is known any more is not taken for one that was never attempted.
func TestReplayOfTheForgotten(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
		if run.Event().ID == "last" {
			return nil
		}
		return c.do(ctx, run, "step", "", refused())
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	// With another subject, of which state knows nothing.
	w.replay("e1", 1, func(string) string { return `{"customer_id":"c1","order_id":"other"}` })
	w.emit(w.order("c1", "o2", "last"))
	w.until("all is done", d.finished("last"))
	w.committed()
	if want := []string{"e1 step"}; !slices.Equal(c.list(), want) {
		t.Errorf("calls %q, want %q", c.list(), want)
	}
}

// A follow-up that was put back and is in doubt again is not taken for one that another event has asked for.
func TestReplayOfAFollowUpInDoubt(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var c calls
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyOrder("o1"), "credit")
			return nil
		})
		d.looks = func(ctx context.Context, run *attempt.Run, nth int) error {
			answer := refused()
			if nth > 1 {
				answer = outcome.Unknown(outcome.ContractBroken, nil)
			}
			return c.do(ctx, run, "credit", "", answer)
		}
		w.start(d, true)
		w.emit(w.order("c1", "o1", "e1"))
		w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
		w.replayOf("e1", "credit", 1)
		w.until("it is unknown", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
		d.again("e1 credit")
		w.give(d, schemas.TypeCommandDiscard, schemas.CommandDiscard{
			By: "alex", Why: "gone", CustomerID: "c1", Object: "order/o1", Event: ref("e1"), FollowUp: "credit",
		})
		w.until("it is given up in doubt", func() bool { h, _ := w.letters(); return len(h) == 2 })
		w.replayOf("e1", "credit", 1)
		w.committed()
		if n := len(d.told(func(r consumer.Report) bool { return r.Superseded })); n > 0 {
			t.Error("a replay was taken for superseded")
		}
	})
}

// replayOf puts the letter of a follow-up of c1's event into the inbox again.
func (w *world) replayOf(id, follow string, n int) {
	w.t.Helper()
	headers, letters := w.letters()
	i := slices.IndexFunc(headers, func(h map[string]string) bool {
		return h[producer.HeaderEventID] == id && h[producer.HeaderFollow] == follow
	})
	if i < 0 {
		w.t.Fatalf("no dead letter of %s %s", id, follow)
	}
	w.putBack(letters[i], n, nil)
}

// kept are the headers of a letter that its replay has.
var kept = []string{producer.HeaderFollow, producer.HeaderTopic}

func isKept(h kafka.Header) bool { return slices.Contains(kept, h.Key) }
