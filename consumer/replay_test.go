package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// replay puts the event of a dead letter into the inbox again, as the nth replay, with its data changed if mend is not nil.
func (w *world) replay(id string, n int, mend func(string) string) {
	w.t.Helper()
	headers, letters := w.letters()
	i := slices.IndexFunc(headers, func(h map[string]string) bool { return h[producer.HeaderEventID] == id })
	if i < 0 {
		w.t.Fatalf("no dead letter of %s", id)
	}
	w.putBack(letters[i], n, mend)
}

// putBack puts the event of a letter into the inbox again.
func (w *world) putBack(letter kafka.Record, n int, mend func(string) string) {
	w.t.Helper()
	key := letter.Key
	if key == nil { // intake's letter, with upstream's key: c1's
		key = []byte("c1")
	}
	r := kafka.Record{Topic: w.cfg.Inbox, Partition: w.partition(string(key)), Key: key, Value: letter.Value}
	for _, h := range letter.Headers {
		if !strings.HasPrefix(h.Key, "dlq_") || isKept(h) {
			r.Headers = append(r.Headers, h)
		}
	}
	r.Headers = append(r.Headers, kafka.Header{Key: producer.HeaderReplays, Value: []byte(strconv.Itoa(n))})
	if mend != nil {
		r.Value = []byte(mend(string(r.Value)))
	}
	w.write(r)
}

// calls are those that handlers made: "event step", and by which key.
type calls struct {
	mu   sync.Mutex
	made []string
	keys map[string]uuid.UUID
}

func (c *calls) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.made)
}

// do makes a step with the body that answer is called with, and takes its error as the API's answer.
func (c *calls) do(ctx context.Context, run *attempt.Run, step, body string, answer error) error {
	_, err := attempt.Do(ctx, run, step, nil, func(attempt.Refs) string { return body },
		func(_ context.Context, key uuid.UUID, _ string) (string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			name := run.Event().ID + " " + step
			if c.keys == nil {
				c.keys = map[string]uuid.UUID{}
			}
			if other, ok := c.keys[name]; ok && other == key {
				name += " same-key"
			}
			c.keys[run.Event().ID+" "+step] = key
			c.made = append(c.made, name)
			return "answered", answer
		})
	return err
}

func refused() error {
	return &outcome.Error{Verdict: outcome.Rejected, Reason: outcome.Refused, Class: outcome.ClassClient, Status: 400}
}

// A replay goes on from what is remembered: answered steps make no call, the one that was refused has a new key. Any number of
// further replays do nothing, and so does one of a round that is not the last's next.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
		if err := c.do(ctx, run, "first", string(run.Event().Data), nil); err != nil {
			return err
		}
		var answer error
		if run.Event().ID == "e1" && nth < 3 { // the event, and its first replay
			answer = refused()
		}
		if err := c.do(ctx, run, "second", "", answer); err != nil {
			return err
		}
		run.Order("o1").InvestmentID = "inv"
		return nil
	})
	m := w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	w.replay("e1", 2, nil) // of a round that is still to come
	w.replay("e1", 1, nil)
	w.until("it is given up again", func() bool { h, _ := w.letters(); return len(h) == 2 })
	m.stop()
	w.start(d, false)
	w.replay("e1", 1, nil)
	w.replay("e1", 2, nil)
	w.replay("e1", 2, nil)
	w.replay("e1", 3, nil)
	w.emit(w.order("c1", "o1", "last"))
	w.start(nil, true)
	w.until("all is done", d.finished("last"))
	w.committed()
	want := []string{"e1 first", "e1 second", "e1 second", "e1 second", "last first", "last second"}
	if got := c.list(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	headers, _ := w.letters()
	if len(headers) != 2 || headers[1][producer.HeaderReplays] != "1" {
		t.Errorf("dead letters %v, want two, the second of the first replay", headers)
	}
	if n := len(w.named(schemas.TypeEventRejected)); n != 2 {
		t.Errorf("event.rejected was published %d times, want 2", n)
	}
}

// Mended data that would change what a step has sent is refused, and names the step; the original goes on.
func TestReplayMended(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
		data := string(run.Event().Data)
		if err := c.do(ctx, run, "first", data, nil); err != nil {
			return err
		}
		var answer error
		if nth == 1 {
			answer = refused()
		}
		return c.do(ctx, run, "second", data, answer)
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	w.replay("e1", 1, func(data string) string { return strings.Replace(data, "{", `{"note":"mended",`, 1) })
	w.until("it is given up again", func() bool { h, _ := w.letters(); return len(h) == 2 })
	w.replay("e1", 2, nil)
	w.until("it is done", func() bool { return len(c.list()) == 3 })
	w.committed()
	headers, _ := w.letters()
	if h := headers[1]; len(headers) != 2 || h[producer.HeaderReason] != "step_changed" || h[producer.HeaderStep] != "first" {
		t.Errorf("dead letters %v, want one more, for a changed step: first", headers)
	}
	if want := []string{"e1 first", "e1 second", "e1 second"}; !slices.Equal(c.list(), want) {
		t.Errorf("calls %q, want %q", c.list(), want)
	}
}

// A follow-up that was given up is put back by itself: its event had been done.
func TestReplayFollowUp(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
		if err := c.do(ctx, run, "order", "", nil); err != nil {
			return err
		}
		if run.Event().ID == "e1" {
			run.Follow(attempt.KeyOrder("o1"), "credit")
		}
		return nil
	})
	d.looks = func(ctx context.Context, run *attempt.Run, nth int) error {
		var answer error
		if nth == 1 {
			answer = refused()
		}
		return c.do(ctx, run, "credit", "", answer)
	}
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("the follow-up is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	w.replay("e1", 1, nil)
	w.replay("e1", 1, nil)
	w.until("it is done", func() bool { return len(c.list()) == 3 })
	w.replay("e1", 2, nil)
	w.emit(w.order("c1", "o2", "last"))
	w.until("all is done", d.finished("last"))
	w.committed()
	headers, _ := w.letters()
	if len(headers) != 1 || headers[0][producer.HeaderFollow] != "credit" {
		t.Errorf("dead letters %v, want one of the follow-up", headers)
	}
	if want := []string{"e1 order", "e1 credit", "e1 credit", "last order"}; !slices.Equal(c.list(), want) {
		t.Errorf("calls %q, want %q", c.list(), want)
	}
}

// What something newer has overtaken is done without doing anything, and said so.
func TestReplaySuperseded(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		if run.Replayed() {
			return outcome.Reject(outcome.Superseded)
		}
		return outcome.Reject(outcome.Conflict)
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	w.replay("e1", 1, nil)
	w.until("it is superseded", func() bool {
		return len(d.told(func(r consumer.Report) bool { return r.Superseded && r.Verdict == outcome.Done })) == 1
	})
	w.committed()
	if h, _ := w.letters(); len(h) != 1 {
		t.Errorf("%d dead letters, want 1", len(h))
	}
}

// Replays keep their place behind an earlier event of their subject, and are known when their turn comes.
func TestReplayBehind(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var c calls
	open := make(chan struct{})
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
		id := run.Event().ID
		switch {
		case id == "blocks":
			select {
			case <-open:
				return nil
			default:
				return outcome.Retry(outcome.ClassServer, false, fmt.Errorf("not yet"))
			}
		case id == "e1" && nth == 1:
			return c.do(ctx, run, "step", "", refused())
		}
		return c.do(ctx, run, "step", "", nil)
	})
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
	bad := w.order("c1", "o1", "invalid")
	bad.Data = []byte(strings.Replace(string(bad.Data), `"o1"`, `"o 1"`, 1))
	w.emit(w.order("c1", "o1", "blocks"), bad)
	w.until("intake has refused one", func() bool { h, _ := w.letters(); return len(h) == 2 })
	w.until("the first is held", func() bool {
		return len(d.told(func(r consumer.Report) bool { return r.Verdict == outcome.Retrying })) > 0
	})
	mend := func(data string) string { return strings.Replace(data, "o 1", "o1", 1) }
	for range 2 {
		w.replay("e1", 1, nil)
		w.replay("invalid", 1, mend)
	}
	w.emit(w.order("c1", "o2", "last"))
	w.until("the last is done", d.finished("last"))
	close(open)
	w.until("the replays are done", func() bool { return len(c.list()) == 4 })
	w.emit(w.order("c1", "o1", "after"))
	w.until("what comes after them is done", d.finished("after"))
	w.committed()
	if want := []string{"e1 step", "last step", "e1 step", "invalid step", "after step"}; !slices.Equal(c.list(), want) {
		t.Errorf("calls %q, want %q", c.list(), want)
	}
}
