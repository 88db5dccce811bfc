package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// A replay puts the record of a dead letter into the inbox again, as the next round of its event: in order with all else, with
// what was sent and answered remembered by the engine. A round that has been done, or that is not the next, does nothing; so
// nothing that this package writes twice has an effect twice.

// Forecast says what the replay of a letter would do. The set is closed.
type Forecast string

// What would happen.
const (
	Runs      Forecast = "runs"       // it is attempted: Item.Step says from which step
	Overtaken Forecast = "superseded" // something newer has overtaken it: done, without a call
	Refused   Forecast = "refused"    // it would be given up again at once: Item.Reason; its step, if mended data would change one
	Invalid   Forecast = "invalid"    // the data breaks its schema, or is another event's: Item.Fields, Item.Note
	Unknown   Forecast = "unknown"    // nobody knows whether its call happened: a replay repeats it with the same key at most
	NoPayload Forecast = "no_payload" // the letter does not hold the event's data
	Forgotten Forecast = "forgotten"  // state knows the event, but no more what was done of it: a replay would do nothing
	Pending   Forecast = "pending"    // its replay stands in the inbox already, or was given up again just now
	IsClosed  Forecast = "closed"     // Letter.Closed says why
)

// Forecasts are the values of Forecast.
func Forecasts() []Forecast {
	return []Forecast{Runs, Overtaken, Refused, Invalid, Unknown, NoPayload, Forgotten, Pending, IsClosed}
}

// Item is a letter that may be replayed, and what becomes of it.
type Item struct {
	Letter   Letter
	Forecast Forecast
	Step     string         // see Forecast
	Reason   outcome.Reason // why it is refused, or would wait
	On       string         // the object that it would wait for
	Fields   []string       // pointer and keyword of what breaks the schema
	Note     string
	Answered []string // steps that are remembered, and not done again
	Mended   bool
	Put      bool // whether Replay writes it
	Round    int  // which replay of its event it is

	Outcome Outcome // see Replay
	Again   outcome.Reason
	Offset  int64 // in the inbox, of what was written; -1

	data    []byte // mended
	event   schemas.Event
	hash    string
	follow  string // record of the follow-up that was given up
	decided bool   // Forecast is final
}

// Batch is what a replay is about, in the order in which it is written.
type Batch struct {
	Items []Item
	from  map[int]int64 // state's ends before anything of it was read: outcomes come from there on
}

// Trial is a replay that is to be foreseen.
type Trial struct {
	Work    attempt.Work
	Objects map[string]attempt.Object // what state knows of the customer
}

// Foreseen is how a Trial went.
type Foreseen struct {
	Step  string         // the first that makes a call; empty if none does
	Error *outcome.Error // why it ends or is held before; nil: it does not
}

// Prepare says what the replay of the letters that q is about would do. Closed ones are among them, to be told, if q asks for
// All. edit mends the data; nil leaves it. What is unknown is put back only if q asks for it: by reason or by event.
func (d *Desk) Prepare(ctx context.Context, q Query, edit *Edit) (*Batch, error) {
	if err := d.fit(ctx); err != nil {
		return nil, err
	}
	from, err := d.cfg.Client.EndOffset(ctx, d.cfg.State)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.cfg.State, err)
	}
	q.Payload, q.whole = true, true
	letters, err := d.Letters(ctx, q)
	if err != nil {
		return nil, err
	}
	b := &Batch{from: from, Items: make([]Item, len(letters))}
	customers := map[string]bool{}
	for i, l := range letters {
		it := &b.Items[i]
		*it = Item{Letter: l, Offset: -1, hash: attempt.Event{Source: l.Source, ID: l.ID}.Hash(), Round: l.Replays + 1}
		it.mend(ctx, d.cfg.Contract, edit)
		if !it.decided {
			customers[it.event.CustomerID] = true
		}
	}
	known, err := d.remembered(ctx, customers)
	if err != nil {
		return nil, err
	}
	pending, err := d.pending(ctx)
	if err != nil {
		return nil, err
	}
	for i := range b.Items {
		it := &b.Items[i]
		wait, waits := pending[it.Letter.identity()+"\x00"+it.Letter.Follow]
		if !it.decided {
			it.recall(known[it.event.CustomerID])
		}
		if waits && wait.round == it.Round && it.Forecast != IsClosed { // also of one that is invalid as it is: it was mended
			it.is(Pending, "")
			it.Outcome, it.Offset = Written, wait.offset
			it.Letter.Customer, it.Letter.Subject = wait.customer, wait.subject
		}
	}
	if err := d.foresee(ctx, b, known); err != nil {
		return nil, err
	}
	asked := func(reason outcome.Reason) bool { return slices.Contains(q.Reasons, string(reason)) || len(q.IDs) > 0 }
	for i := range b.Items {
		switch it := &b.Items[i]; it.Forecast {
		case Runs:
			it.Put = true
		case Overtaken: // of a conflict only a person can say which of the two is right
			it.Put = it.Letter.Reason != outcome.Conflict || asked(outcome.Conflict)
		case Unknown:
			it.Put = asked(outcome.NeverResolved) && !it.decided
		}
	}
	b.order()
	return b, nil
}

// fit says what is wrong with the inbox, or with its or state's number of partitions: a record must come to its customer's.
func (d *Desk) fit(ctx context.Context) error {
	have, err := d.cfg.Client.Topics(ctx, d.cfg.Inbox, d.cfg.State)
	if err != nil {
		return fmt.Errorf("look at the topics: %w", err)
	}
	var wrong []error
	for _, topic := range []string{d.cfg.Inbox, d.cfg.State} {
		switch n := have[topic].Partitions; {
		case n == 0:
			wrong = append(wrong, fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic))
		case n != d.cfg.Partitions:
			wrong = append(wrong, fmt.Errorf("topic %s has %d partitions, topics.partitions says %d: the number is fixed for ever",
				topic, n, d.cfg.Partitions))
		}
	}
	return errors.Join(wrong...)
}

func (it *Item) is(f Forecast, note string) {
	it.Forecast, it.Note, it.decided = f, note, true
}

// mend makes the event that would be put back, and holds it to the contract.
func (it *Item) mend(ctx context.Context, contract *schemas.Contract, edit *Edit) {
	l := &it.Letter
	switch {
	case l.Closed != Open:
		it.is(IsClosed, "")
	case l.LeftOut != "" || l.Value == nil:
		it.is(NoPayload, "the record was too large for the topic, or the inbox had forgotten it")
	case l.Event.ID == "":
		it.is(Invalid, "it is no CloudEvent: upstream has to emit it anew")
	}
	if it.decided {
		return
	}
	it.event, it.data = l.Event, l.Event.Data
	if edit != nil {
		data, err := edit.apply(ctx, l.Event.Data)
		if err != nil {
			it.is(Invalid, err.Error())
			return
		}
		if it.Mended = string(data) != string(l.Event.Data); it.Mended && l.Follow != "" {
			it.is(Invalid, "it is of a follow-up, which has no data to mend")
			return
		}
		it.data, it.event.Data = data, data
		value, headers := it.event.Binary()
		if it.event, err = contract.Decode(value, headers); err != nil {
			it.invalid(err)
			return
		}
	}
	if err := contract.Validate(it.event); err != nil {
		it.invalid(err)
		return
	}
	switch subject := contract.Subject(it.event); {
	case l.Customer != "" && l.Customer != it.event.CustomerID && (l.fromInbox() || l.Event.CustomerID != ""):
		it.is(Invalid, "it would be another customer's")
	case l.fromInbox() && (l.Subject != subject || l.wanted.object != wishOf(it.event).object):
		it.is(Invalid, "it would be about another object")
	default:
		it.Letter.Customer, it.Letter.Subject = it.event.CustomerID, subject
	}
}

func (it *Item) invalid(err error) {
	it.is(Invalid, "")
	var broken *schemas.InvalidError
	switch {
	case errors.As(err, &broken):
		for _, v := range broken.Violations {
			it.Fields = append(it.Fields, v.Pointer+" "+v.Keyword)
		}
	case errors.Is(err, schemas.ErrUnknownType):
		it.Note = "its type is not known to this bridge"
	case errors.Is(err, schemas.ErrCommand):
		it.Note = "it is a command: give it anew"
	default:
		it.Note = "it is no event of the contract"
	}
}

// remembered gives all that state knows of customers, by customer and key.
func (d *Desk) remembered(ctx context.Context, customers map[string]bool) (map[string]map[string]*state.Record, error) {
	known := map[string]map[string]*state.Record{}
	err := d.state(ctx, slices.AppendSeq([]string{}, maps.Keys(customers)), func(customer, _ string) bool {
		return customers[customer]
	}, func(customer string, e state.Entry) {
		if known[customer] == nil {
			known[customer] = map[string]*state.Record{}
		}
		known[customer][e.Key] = e.Record
	})
	return known, err
}

// order puts the letters of each customer in the order in which the inbox had their events first; those that were never there
// stand by the time at which they were emitted. The customers among each other stay as they were, by the time of the letters.
func (b *Batch) order() {
	places, came, never := map[string][]int{}, map[string][]Item{}, map[string][]Item{}
	for i, it := range b.Items {
		customer := it.Letter.Customer
		places[customer] = append(places[customer], i)
		if it.Letter.first >= 0 {
			came[customer] = append(came[customer], it)
		} else {
			never[customer] = append(never[customer], it)
		}
	}
	for customer, at := range places {
		a, n := came[customer], never[customer]
		slices.SortStableFunc(a, func(x, y Item) int { return cmp.Compare(x.Letter.first, y.Letter.first) })
		slices.SortStableFunc(n, func(x, y Item) int {
			return cmp.Or(x.Letter.Emitted.Compare(y.Letter.Emitted), cmp.Compare(x.Letter.Upstream.Offset, y.Letter.Upstream.Offset))
		})
		for _, i := range at {
			if len(a) == 0 || len(n) > 0 && n[0].Letter.Emitted.Before(a[0].Letter.Emitted) {
				b.Items[i], n = n[0], n[1:]
			} else {
				b.Items[i], a = a[0], a[1:]
			}
		}
	}
}
