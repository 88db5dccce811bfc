package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/state"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// paid is the data of an order.paid that keeps its schema, with a note of n bytes.
func paid(customer, id string, n int) string {
	return fmt.Sprintf(`{"customer_id":%q,"order_id":%q,"offering":"o","units":1,"signed_at":"2026-03-01T10:00:00Z",`+
		`"accepted_at":"2026-03-01T10:00:00Z","paid_at":"2026-03-01T10:00:00Z","signed_documents":[{"document":{"name":"a.pdf",`+
		`"content_type":"application/pdf","size":1,"sha256":"%064d","url":"https://example.com/%s"},"category":"C","subject":"%s"}]}`,
		customer, id, 0, strings.Repeat("u", n), "S")
}

func (w *world) order(customer, id string) schemas.Event {
	return w.event(id, schemas.TypeOrderPaid, paid(customer, id, 1))
}

// rejected is the record of a subject whose event was given up.
func rejected(e schemas.Event, rejection state.Rejection) *state.Record {
	r := state.NewRecord()
	rejection.Event = attempt.Event{Source: e.Source, ID: e.ID}.Hash()
	r.Remember(rejection.Event)
	r.Rejected = append(r.Rejected, rejection)
	return r
}

func (w *world) prepare(q replay.Query, edit *replay.Edit) *replay.Batch {
	w.t.Helper()
	b, err := w.desk().Prepare(w.t.Context(), q, edit)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// What the replay of a letter would do, by what state remembers of its event.
func TestForecast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, id := range []string{"runs", "new", "done", "doubt", "again", "known", "given-up", "left-out", "unfit"} {
		e := w.order("c", id)
		if id == "unfit" {
			e.Data = json.RawMessage(order("c", id))
		}
		w.die(e, now.Add(time.Duration(i)*time.Second), func(l *producer.Letter) {
			if id == "left-out" {
				l.Record.Value = nil
			}
		})
	}
	intent := &attempt.Intent{Step: "investment", Digest: "d"}
	known := state.NewRecord()
	known.Remember(attempt.Event{Source: "/shop", ID: "known"}.Hash())
	given := with(attempt.Object{}, attempt.Work{
		Event: attempt.Event{Source: "/shop", ID: "given-up"}, Follow: "credit", Held: outcome.Unresolved,
		Reason: outcome.TaskUnknown, Told: []outcome.Reason{outcome.NeverResolved},
	})
	w.remember("c", map[string]*state.Record{
		"order/runs": rejected(w.order("c", "runs"), state.Rejection{
			Reason: outcome.Refused, Answers: map[string]json.RawMessage{"a": json.RawMessage(`1`)},
		}),
		"order/done":  rejected(w.order("c", "done"), state.Rejection{Round: 1, Closed: true}),
		"order/doubt": rejected(w.order("c", "doubt"), state.Rejection{Reason: outcome.NeverResolved, Intent: intent}),
		"order/again": rejected(w.order("c", "again"), state.Rejection{Round: 1, Reason: outcome.Refused}),
		"order/known": known, "order/given-up": given,
	})
	want := map[string]replay.Forecast{
		"runs": replay.Runs, "new": replay.Forgotten, "doubt": replay.Unknown, "again": replay.Pending, "known": replay.Forgotten,
		"given-up": replay.Unknown, "left-out": replay.NoPayload, "unfit": replay.Invalid,
	}
	b := w.prepare(replay.Query{}, nil)
	got := map[string]replay.Forecast{}
	for _, it := range b.Items {
		got[it.Letter.ID] = it.Forecast
		if put := it.Forecast == replay.Runs; it.Put != put {
			t.Errorf("%s is put back: %v", it.Letter.ID, it.Put)
		}
		if it.Letter.ID == "runs" && !slices.Equal(it.Answered, []string{"a"}) {
			t.Errorf("remembered: %s", it.Answered)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("forecasts %v\nwant %v", got, want)
	}
	for id, put := range map[string]bool{"doubt": true, "given-up": false, "known": false} { // asked for
		if it := w.prepare(replay.Query{Filter: replay.Filter{IDs: []string{id}}}, nil).Items[0]; it.Put != put {
			t.Errorf("%s, asked for, is put back: %v", id, it.Put)
		}
	}
}

// Letters of a customer are put back in the order in which the inbox had their events, whatever the order of their deaths and
// rounds; the records are what the inbox had, with whose replay it is. One that the inbox does not take for its size is told.
func TestReplayWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	offset := func(n int64, round string) func(*producer.Letter) {
		return func(l *producer.Letter) {
			l.Record.Offset = n
			if round != "" {
				l.Record.Headers = append(l.Record.Headers, kafka.Header{Key: producer.HeaderReplays, Value: []byte(round)})
			}
		}
	}
	w.die(w.order("c", "second"), now.Add(2*time.Second), offset(20, ""))
	w.die(w.order("other", "else"), now.Add(3*time.Second), offset(5, ""))
	w.die(w.order("c", "third"), now.Add(4*time.Second), offset(30, ""))
	w.die(w.order("c", "first"), now.Add(time.Second), offset(10, ""))
	w.die(w.order("c", "first"), now.Add(5*time.Second), offset(40, "1")) // it was put back before
	large := w.event("large", schemas.TypeOrderPaid, paid("c", "large", 1900))
	w.die(large, now.Add(6*time.Second), offset(35, ""))
	first := w.order("c", "first")
	records := map[string]*state.Record{"order/first": rejected(first, state.Rejection{Round: 1, Reason: outcome.Refused})}
	for _, id := range []string{"second", "third", "large"} {
		records["order/"+id] = rejected(w.order("c", id), state.Rejection{Reason: outcome.Refused})
	}
	w.remember("c", records)
	w.remember("other", map[string]*state.Record{"order/else": rejected(w.order("other", "else"), state.Rejection{Reason: outcome.Refused})})

	b := w.prepare(replay.Query{}, nil)
	id, err := w.desk().Replay(t.Context(), b, replay.How{Who: replay.Who{By: "alex", Why: "mended"}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]replay.Outcome{}
	for _, it := range b.Items {
		outcomes[it.Letter.ID] = it.Outcome
	}
	if want := (map[string]replay.Outcome{
		"first": replay.Written, "second": replay.Written, "third": replay.Written, "else": replay.Written, "large": replay.TooLarge,
	}); !maps.Equal(outcomes, want) {
		t.Errorf("outcomes %v, want %v", outcomes, want)
	}
	var order []string
	for _, r := range w.inbox() {
		told := map[string]string{}
		for _, h := range r.Headers {
			told[h.Key] = string(h.Value)
		}
		if string(r.Key) == "c" {
			order = append(order, told["ce_id"]+" "+told[producer.HeaderReplays])
		}
		if r.Partition != kafka.Partition(r.Key, partitions) || told[replay.HeaderBy] != "alex" || told[replay.HeaderWhy] != "mended" ||
			told[replay.HeaderRun] != id || told[producer.HeaderReason] != "" || told[producer.HeaderSourceTopic] != "orders" {
			t.Errorf("%s in partition %d with %v", r.Key, r.Partition, told)
		}
		if told["ce_id"] == "first" && string(r.Value) != string(first.Data) {
			t.Errorf("value %s", r.Value)
		}
	}
	if want := []string{"first 2", "second 1", "third 1"}; !slices.Equal(order, want) {
		t.Errorf("written %q, want %q", order, want)
	}
	if b := w.prepare(replay.Query{}, nil); b.Items[0].Forecast != replay.Pending || b.Items[0].Put {
		t.Errorf("once more: %+v", b.Items[0])
	}
}

// inbox gives its records, partition by partition.
func (w *world) inbox() (records []kafka.Record) {
	w.t.Helper()
	ends, err := w.cfg.Client.EndOffset(w.t.Context(), w.cfg.Inbox)
	if err != nil {
		w.t.Fatal(err)
	}
	for p, end := range ends {
		if err := w.cfg.Client.Read(w.t.Context(), w.cfg.Inbox, p, 0, end, func(r kafka.Record) error {
			records = append(records, r)
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	return records
}

// Nothing is written into a topic that has another number of partitions than the configuration says, nor after an interrupt.
func TestReplayWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.die(w.order("c", "one"), now)
	w.remember("c", map[string]*state.Record{"order/one": rejected(w.order("c", "one"), state.Rejection{Reason: outcome.Refused})})
	b := w.prepare(replay.Query{}, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := w.desk().Replay(ctx, b, replay.How{Wait: true}); !errors.Is(err, context.Canceled) || b.Items[0].Outcome != replay.NotPut {
		t.Errorf("interrupted: %v, %q", err, b.Items[0].Outcome)
	}
	if n := len(w.inbox()); n != 0 {
		t.Errorf("%d records were written", n)
	}
	w.cfg.Partitions = 3
	if _, err := w.desk().Prepare(t.Context(), replay.Query{}, nil); err == nil || !strings.Contains(err.Error(), "has 2 partitions") {
		t.Errorf("another number of partitions: %v", err)
	}
	if _, err := w.desk().Discard(t.Context(), replay.Held{Customer: "c", Key: "order/o", ID: "e", Source: "/s", Type: "order.paid"},
		replay.Who{By: "a", Why: "b"}); err == nil {
		t.Error("a command was written into another number of partitions")
	}
}

// A letter of intake that was mended into one order's event, and put back, is not put back about another order.
func TestForecastOfAnotherObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.order("c", "right")
	w.die(e, now, func(l *producer.Letter) {
		l.Record.Topic, l.Record.Headers = "orders", l.Record.Headers[:len(l.Record.Headers)-1]
	})
	w.remember("c", map[string]*state.Record{"order/wrong": rejected(e, state.Rejection{Round: 1, Closed: true})})
	b := w.prepare(replay.Query{}, nil)
	if len(b.Items) != 1 || b.Items[0].Forecast != replay.Invalid || b.Items[0].Put || !strings.Contains(b.Items[0].Note, "order/wrong") {
		t.Errorf("%+v", b.Items)
	}
}
