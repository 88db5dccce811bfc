package consumer_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Upstream can give no command: what looks like one goes to the dead letters, and so does one in the inbox that is none.
func TestForeignCommands(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	d := newDesk(t, func(context.Context, *attempt.Run, int) error { return nil })
	w.start(d, true)
	command := w.command(released, "p-1")[0]
	command.Topic = w.up
	newer := w.event("command.newer", "newer", `{"customer_id":"c1"}`)
	w.write(command, w.record(newer), w.record(w.linked("c1", "l1")))
	w.until("the next one goes on", d.finished("l1"))
	headers, _ := w.letters()
	if len(headers) != 2 {
		t.Fatalf("%d dead letters, want 2", len(headers))
	}
	for _, h := range headers {
		if h["dlq_reason"] != string(outcome.ForeignCommand) || h["dlq_class"] != string(outcome.ClassEvent) {
			t.Errorf("given up for %s, %s", h["dlq_reason"], h["dlq_class"])
		}
	}
	if n := len(w.taken()); n != 1 {
		t.Errorf("%d records in the inbox, want 1", n)
	}

	// In the inbox, from somebody who may write there: with a customer's key, of an unknown kind, without what it needs.
	keyed := w.command(released, "p-1")[w.partition("c1")]
	keyed.Key = []byte("c1")
	unknown := w.record(newer)
	unknown.Topic, unknown.Key = w.cfg.Inbox, []byte(schemas.CommandKey)
	empty := w.command(released, "p-1")[0]
	empty.Value = []byte(`{}`)
	w.write(keyed, unknown, empty)
	w.until("three more letters", func() bool { h, _ := w.letters(); return len(h) == 5 })
	w.committed()
	if n := d.commands(func(consumer.Report) bool { return true }); n > 0 {
		t.Errorf("%d commands were done", n)
	}
}

// A command that is delivered again, since its offset was not committed, does nothing: also when the type has paused anew by
// then.
func TestCommandAgain(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var closed atomic.Bool
	closed.Store(true)
	d := newDesk(t, refusing(&closed))
	m := w.start(d, false)
	events, _ := w.orders("o", 60)
	w.put(events...)
	w.until("it pauses", func() bool { return strings.Join(w.pauses(released), "") != "" })
	first := slices.DeleteFunc(w.pauses(released), func(id string) bool { return id == "" })
	w.write(w.command(released, first...)...)
	w.until("the command is done", func() bool { return d.commands(current)+d.commands(notCurrent) == partitions })
	more, _ := w.orders("p", 60)
	w.put(more...)
	w.until("it pauses again", func() bool { return strings.Join(w.pauses(released), "") != "" })
	again := w.pauses(released)
	w.committed()
	m.stop()
	w.cfg.Group.ID += "-new" // whose offsets are not there: all is delivered again

	w.start(d, false)
	w.until("commands are delivered again", func() bool {
		return d.commands(func(r consumer.Report) bool { return r.Repeated }) == partitions
	})
	for n, id := range w.pauses(released) {
		if again[n] != "" && id != again[n] {
			t.Errorf("partition %d: the pause %q has become %q", n, again[n], id)
		}
	}
}
