package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// released is the type of the orders that the tests of this file flood with.
const released = schemas.TypeOrderCreditReleased

// orders makes n events about orders of some customers, each of an order of its own.
func (w *world) orders(name string, n int) (events []schemas.Event, ids []string) {
	for i := range n {
		id := fmt.Sprintf("%s%03d", name, i)
		events = append(events, w.order(fmt.Sprintf("c%02d", i%25), id, id))
		ids = append(ids, id)
	}
	return events, ids
}

// pauses gives the IDs of a type's pauses as state has them, by partition; "" where it has not paused.
func (w *world) pauses(typ string) []string {
	w.t.Helper()
	starts, err := w.client.StartOffset(w.t.Context(), w.cfg.State)
	if err != nil {
		w.t.Fatal(err)
	}
	ends, err := w.client.EndOffset(w.t.Context(), w.cfg.State)
	if err != nil {
		w.t.Fatal(err)
	}
	ids := make([]string, partitions)
	for n := range ids {
		c, err := state.ReadControl(w.t.Context(), w.client, w.cfg.State, n, starts[n], ends[n])
		if err != nil {
			w.t.Fatal(err)
		}
		ids[n] = c.Paused[typ].ID
	}
	return ids
}

// everywhere waits until state has a pause of the type in each partition, and gives them.
func (w *world) everywhere(typ string) (ids []string) {
	w.t.Helper()
	w.until("all partitions have the pause written down", func() bool {
		ids = w.pauses(typ)
		return !slices.Contains(ids, "")
	})
	return ids
}

// command gives a command that lets a type go on, as it stands in each partition.
func (w *world) command(typ string, pauses ...string) []kafka.Record {
	w.t.Helper()
	e, err := w.contract.NewCommand(schemas.TypeCommandResume, "/bridge", schemas.CommandResume{
		By: "test", Why: "mended", Type: typ, Pauses: pauses,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	records := make([]kafka.Record, partitions)
	for n := range records {
		value, headers := e.Binary()
		records[n] = kafka.Record{
			Topic: w.cfg.Inbox, Partition: n, Key: []byte(schemas.CommandKey), Value: value, Headers: headers,
		}
	}
	return records
}

// commands gives what was reported of commands.
func (d *desk) commands(fits func(consumer.Report) bool) int {
	return len(d.told(func(r consumer.Report) bool { return r.Stage == consumer.StageCommand && fits(r) }))
}

func current(r consumer.Report) bool { return r.Error == nil && !r.Repeated }
func notCurrent(r consumer.Report) bool {
	return r.Error != nil && r.Error.Reason == outcome.NotCurrent
}

// refusing gives a handler that rejects orders while closed is set, after a while.
func refusing(closed *atomic.Bool) func(context.Context, *attempt.Run, int) error {
	return func(ctx context.Context, run *attempt.Run, _ int) error {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if run.Event().Type == released && closed.Load() {
			return outcome.Reject(outcome.Refused)
		}
		return nil
	}
}

// A flood of rejections stops after 50 of them, however many lanes are at work, in all partitions; other types go on, and so
// do other subjects of its customers. The pause outlives the member, in which nothing expires. A command lets it go on: if the
// fault is still there it pauses again after 50 more; else all that was held is done, in order.
func TestFlood(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait = 5 * time.Minute
		var closed atomic.Bool
		closed.Store(true)
		d := newDesk(t, refusing(&closed))
		m := w.start(d, false)
		events, ids := w.orders("o", 500)
		w.put(events...)
		w.put(w.linked("c00", "l00"), w.linked("c11", "l11"))
		w.committed() // nothing waits in its lane
		if n := len(w.read(w.dead)); n != 50 {
			t.Errorf("%d dead letters, want 50", n)
		}
		if !d.finished("l00", "l11")() {
			t.Error("other types do not go on")
		}
		first := w.everywhere(released)
		m.stop()

		m = w.start(d, false)
		w.put(w.order("c03", "late", "late"))
		w.put(w.order("c03", "o003", "again")) // behind, or beside, one that was held or rejected
		time.Sleep(10 * time.Minute)           // past max_wait
		w.committed()
		if n := len(w.read(w.dead)); n != 50 || d.tried("late") != 0 {
			t.Errorf("after a restart: %d dead letters, want 50; %d attempts of one that came later", n, d.tried("late"))
		}
		if n := len(w.named(schemas.TypeEventWaiting)); n > 0 {
			t.Errorf("%d times event.waiting: nothing is told of what is held", n)
		}

		// The campaign is still closed.
		w.write(w.command(released, first...)...)
		w.until("the command is done in all partitions", func() bool { return d.commands(current) == partitions })
		w.until("it pauses again", func() bool {
			ids := w.pauses(released)
			return !slices.Contains(ids, "") && !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(first, id) })
		})
		w.committed()
		if n := len(w.read(w.dead)); n != 100 {
			t.Errorf("%d dead letters after a resume that was too early, want 100", n)
		}

		// The first command again, which is not current any more: nothing.
		closed.Store(false)
		attempts := len(d.attempts())
		w.write(w.command(released, first...)...)
		w.until("the stale command is done", func() bool { return d.commands(notCurrent) == partitions })
		time.Sleep(time.Minute)
		if n := len(d.attempts()); n != attempts {
			t.Errorf("%d attempts after a command that is not current", n-attempts)
		}

		w.write(w.command(released, w.everywhere(released)...)...)
		w.until("all end", d.finished(append(ids, "late", "again")...))
		w.committed()
		if n := len(w.read(w.dead)); n != 100 {
			t.Errorf("%d dead letters in the end, want 100", n)
		}
		inOrder(t, d.ends(), 25)
		m.stop()
	})
}

// inOrder fails if the orders of a customer have not ended in their order.
func inOrder(t *testing.T, ends []string, customers int) {
	t.Helper()
	last := make([]int, customers)
	for _, id := range ends {
		var n int
		if _, err := fmt.Sscanf(id, "o%d", &n); err != nil || !strings.HasPrefix(id, "o") {
			continue
		}
		if c := n % customers; n < last[c] {
			t.Errorf("%s ended after o%03d of the same customer", id, last[c])
		} else {
			last[c] = n
		}
	}
}

// What has begun goes on: a step in doubt is not held by a pause of its type. What waits for something does not expire during
// one, and later events of a held one's subject stay behind it, whatever their type.
func TestFloodLeavesWhatHasBegun(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait = 5 * time.Minute
		registry := prometheus.NewPedanticRegistry()
		w.cfg.Registry = registry
		var closed, answered atomic.Bool
		closed.Store(true)
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
			switch id := run.Event().ID; {
			case id == "begun":
				_, err := attempt.Do(ctx, run, "credit", nil, func(attempt.Refs) string { return "body" },
					func(context.Context, uuid.UUID, string) (string, error) {
						if !answered.Load() {
							return "", outcome.Retry(outcome.ClassNoAnswer, true, errTrouble)
						}
						return "task", nil
					})
				return err
			case id == "waits" && run.Customer().InvestorID == "":
				return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
			case strings.HasPrefix(id, "o") && closed.Load():
				return outcome.Reject(outcome.Refused)
			}
			return nil
		})
		w.start(d, false)
		w.put(w.order("x", "1", "begun"), w.order("y", "1", "waits"))
		w.until("one is in doubt", func() bool { return d.tried("begun") > 1 })
		events, _ := w.orders("o", 60)
		w.put(events...)
		pauses := w.everywhere(released)
		for typ, want := range map[string]float64{released: partitions, schemas.TypeOrderPaid: 0} {
			if n := w.number(registry, "paused_partitions", "type", typ); n != want {
				t.Errorf("%v partitions are told to have paused %s, want %v", n, typ, want)
			}
		}
		tried := d.tried("begun")
		w.until("what has begun is tried again", func() bool { return d.tried("begun") > tried+1 })
		answered.Store(true)
		w.until("it ends", d.finished("begun"))
		time.Sleep(10 * time.Minute)
		if d.finished("waits")() {
			t.Error("one that waited has expired while its type paused")
		}
		closed.Store(false)
		w.write(w.command(released, pauses...)...)
		time.Sleep(4 * time.Minute)
		if d.finished("waits")() {
			t.Error("one that waited has expired at the end of the pause")
		}
		if n := w.number(registry, "paused_partitions"); n != 0 {
			t.Errorf("%v partitions are told to have paused", n)
		}
		if n := w.number(registry, "events_total", "stage", "command", "type", schemas.TypeCommandResume, "outcome", "done"); n != partitions {
			t.Errorf("%v commands are counted, want %d", n, partitions)
		}
		w.until("held ones end", func() bool { return len(d.told(isDone)) >= 11 })
	})
}

func isDone(r consumer.Report) bool {
	return r.Stage == consumer.StageEvent && r.Verdict == outcome.Done && !r.Repeated && !r.Behind
}

// Rejections among many more successes pause nothing, nor do few, nor such as lie longer apart than the while, nor what has
// expired, nor replays.
func TestNoFlood(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.MaxWait = time.Minute
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			switch id := run.Event().ID; {
			case strings.HasPrefix(id, "expires"):
				return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
			case strings.HasPrefix(id, "bad"), strings.HasPrefix(id, "mixed") && id[len(id)-1] < '4':
				return outcome.Reject(outcome.Refused)
			}
			return nil
		})
		w.start(d, false)
		for _, c := range []struct {
			name string
			n    int
		}{{"mixed", 300}, {"expires", 100}, {"bad", 49}, {"badly", 49}} {
			events, ids := w.orders(c.name, c.n)
			w.put(events...)
			w.until(c.name, d.finished(ids...))
			time.Sleep(11 * time.Minute)
		}
		w.until("all letters", func() bool { return len(w.read(w.dead)) == 120+100+98 })
		for _, name := range []string{"bad", "badly"} { // as many replays as two pauses would take
			for i := range 49 {
				id := fmt.Sprintf("%s%03d", name, i)
				d.again(id)
				w.replay(id, 1, nil)
			}
		}
		if n := len(d.told(func(r consumer.Report) bool {
			return r.Verdict == outcome.Rejected && r.Error.Reason == outcome.Refused
		})); n < 120+98 {
			t.Errorf("%d events were refused", n)
		}
		w.until("all letters again", func() bool { return len(w.read(w.dead)) == 120+100+2*98 })
		time.Sleep(time.Minute)
		if got := strings.Join(w.pauses(released), ""); got != "" {
			t.Error("a type has paused")
		}
	})
}

// A pause moves with its partitions: a member that gets them keeps it, and one that has paused a type itself writes it down in
// what it gets. A command ends it at every member.
func TestFloodWithMembers(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var closed atomic.Bool
		closed.Store(true)
		d := newDesk(t, refusing(&closed))
		first, second := w.start(d, false), w.start(d, false)
		time.Sleep(20 * time.Second) // both have partitions
		// Only what lies in one partition floods: its owner pauses the type in its own partitions.
		var here, there []schemas.Event
		var ids []string
		for i := 0; len(here) < 120 || len(there) < 10; i++ {
			customer := fmt.Sprintf("k%03d", i)
			e := w.order(customer, "1", customer)
			if w.partition(customer) == 0 && len(here) < 120 {
				here = append(here, e)
			} else if w.partition(customer) != 0 && len(there) < 10 {
				there = append(there, e)
			} else {
				continue
			}
			ids = append(ids, customer)
		}
		w.put(here...)
		w.until("partition 0 has paused", func() bool { return w.pauses(released)[0] != "" })
		w.committed()
		if n := len(w.read(w.dead)); n != 50 {
			t.Errorf("%d dead letters, want 50", n)
		}
		time.Sleep(5 * time.Second)
		if !slices.Contains(w.pauses(released), "") {
			t.Error("the other member has paused the type, too")
		}
		first.stop() // one of them has what both had: it knows the pause by itself, or by partition 0's state
		time.Sleep(2 * time.Minute)
		w.put(there...)
		w.committed()
		pauses := w.pauses(released)
		closed.Store(false)
		w.write(w.command(released, slices.DeleteFunc(pauses, func(id string) bool { return id == "" })...)...)
		w.until("all end", d.finished(ids...))
		w.until("state has no pause", func() bool { return strings.Join(w.pauses(released), "") == "" })
		if d.commands(func(r consumer.Report) bool { return r.Repeated }) > 0 {
			t.Error("a command was delivered again")
		}
		second.stop()
	})
}
