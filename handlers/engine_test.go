package handlers_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

var rules = attempt.Config{KeyRetention: 20 * time.Hour, Margin: 10 * time.Minute, Quiet: time.Minute}

const (
	poll    = time.Minute     // between two looks of a follow-up
	pause   = time.Second     // before a retry
	patient = 5 * time.Minute // how long settle goes on
)

var errCrash = errors.New("the engine crashed")

// engine does events and follow-ups as the consumer does, in memory. At crashAt, counted over the places where a
// process may die, it loses what is not written down, and goes on as the next owner would.
type engine struct {
	t        *testing.T
	handlers *handlers.Handlers
	contract *schemas.Contract

	objects   map[string]map[string]attempt.Object // by customer and key: what is written down
	items     []*item
	offset    int64
	published []published

	crashAt, places int
	crashed         bool
}

// item is an event or a follow-up that has not ended.
type item struct {
	customer string
	home     string // key of the record that holds it
	event    attempt.Event
	work     attempt.Work
	stored   []byte // work as it is written down; nil if it is not
	ready    bool
	due      time.Time // zero: only when it is woken
}

type published struct {
	Type, Subject string
	Data          json.RawMessage
}

func newEngine(t *testing.T, h *handlers.Handlers, contract *schemas.Contract, crashAt int) *engine {
	return &engine{t: t, handlers: h, contract: contract, crashAt: crashAt, objects: map[string]map[string]attempt.Object{}}
}

// deliver puts an event into the inbox.
func (e *engine) deliver(in schemas.Event) {
	e.offset++
	ev := attempt.Event{
		Source: in.Source, ID: in.ID, Type: in.Name, Customer: in.CustomerID, Subject: e.contract.Subject(in),
		Time: in.Time, Correlation: in.CorrelationID, Data: in.Data,
	}
	e.items = append(e.items, &item{
		customer: ev.Customer, home: ev.Subject, event: ev, work: attempt.Work{Event: ev, Offset: e.offset}, ready: true,
	})
}

// settle goes on until nothing is to be done for a while.
func (e *engine) settle() { e.pass(patient) }

// pass goes on for d.
func (e *engine) pass(d time.Duration) {
	e.t.Helper()
	end := time.Now().Add(d)
	for n := 0; ; n++ {
		if n > 1000 {
			e.t.Fatal("the engine does not settle")
		}
		if it := e.next(); it != nil {
			e.attempt(it)
			continue
		}
		due := e.earliest()
		if due.IsZero() || due.After(end) {
			return
		}
		time.Sleep(time.Until(due))
	}
}

// next gives the first item that can go on: events in their order, then follow-ups.
func (e *engine) next() *item {
	var first *item
	for _, it := range e.items {
		if !it.ready && (it.due.IsZero() || it.due.After(time.Now())) || e.blocked(it) {
			continue
		}
		if first == nil || first.work.Follow != "" && it.work.Follow == "" {
			first = it
		}
	}
	return first
}

// blocked says whether an earlier event of the subject retries or is unknown.
func (e *engine) blocked(it *item) bool {
	return it.work.Follow == "" && slices.ContainsFunc(e.items, func(o *item) bool {
		return o.work.Follow == "" && o.customer == it.customer && o.home == it.home && o.work.Offset < it.work.Offset &&
			(o.work.Held == outcome.Retrying || o.work.Held == outcome.Unresolved)
	})
}

func (e *engine) earliest() time.Time {
	var first time.Time
	for _, it := range e.items {
		if !it.due.IsZero() && !e.blocked(it) && (first.IsZero() || it.due.Before(first)) {
			first = it.due
		}
	}
	return first
}

func (e *engine) attempt(it *item) {
	it.ready, it.due = false, time.Time{}
	r := attempt.New(rules, &journal{e, it}, it.work)
	do := e.handlers.Handle
	if it.work.Follow != "" {
		do = e.handlers.FollowUp
	}
	err := do(e.t.Context(), r)
	if e.crash() {
		e.takeOver()
		return
	}
	e.record(it, r, outcome.Of(err))
}

// crash says whether the process dies here.
func (e *engine) crash() bool {
	e.places++
	e.crashed = e.crashed || e.places == e.crashAt
	return e.crashed
}

// takeOver makes the engine the next owner: it knows what is written down, and doubts every open intent.
func (e *engine) takeOver() {
	e.crashed = false
	for _, it := range e.items {
		it.ready = true
		it.work = attempt.Work{Event: it.event, Offset: it.work.Offset}
		if it.stored == nil {
			continue
		}
		if err := json.Unmarshal(it.stored, &it.work); err != nil {
			e.t.Fatal(err)
		}
		it.work.Event = it.event
		it.work.Inherit()
	}
}

// record writes down how an attempt ended, publishes, and wakes who waits for what it changed.
func (e *engine) record(it *item, r *attempt.Run, v *outcome.Error) {
	changed := r.Changed()
	e.write(it.customer, changed)
	told := it.work.Told
	it.work = r.Work()
	it.work.Told = told
	for _, result := range r.Results() {
		e.publish(published{result.Type, result.Subject, result.Data})
	}
	e.follow(it, r.Follows())
	if v == nil || v.Verdict == outcome.Rejected {
		e.items = slices.DeleteFunc(e.items, func(o *item) bool { return o == it })
		if v != nil {
			e.refuse(it, v)
		}
	} else {
		e.hold(it, v)
	}
	for _, o := range e.items {
		woken := slices.ContainsFunc(changed, func(entry attempt.Entry) bool { return attempt.Awaited(entry.Key) == o.work.On })
		if woken && o.customer == it.customer && o.work.Held == outcome.Waiting {
			o.ready = true
		}
	}
	if (&journal{e, it}).Processing("") {
		return
	}
	i := slices.IndexFunc(e.items, func(o *item) bool {
		return o.customer == it.customer && o.work.Held == outcome.Waiting && o.work.On == schemas.SubjectPositions
	})
	if i >= 0 { // the first only: the next has its turn when this one's task has ended
		e.items[i].ready = true
	}
}

func (e *engine) write(customer string, changed []attempt.Entry) {
	if e.objects[customer] == nil {
		e.objects[customer] = map[string]attempt.Object{}
	}
	for _, entry := range changed {
		raw, err := json.Marshal(entry.Object)
		if err != nil {
			e.t.Fatal(err)
		}
		var read attempt.Object
		if err := json.Unmarshal(raw, &read); err != nil {
			e.t.Fatal(err)
		}
		e.objects[customer][entry.Key] = read
	}
}

func (e *engine) store(it *item, w attempt.Work) {
	raw, err := json.Marshal(w)
	if err != nil {
		e.t.Fatal(err)
	}
	it.stored = raw
}

func (e *engine) follow(cause *item, follows []attempt.Follow) {
	for _, f := range follows {
		i := slices.IndexFunc(e.items, func(o *item) bool {
			return o.customer == cause.customer && o.home == f.Key && o.work.Follow == f.Name
		})
		if i >= 0 {
			e.items[i].ready = true
			continue
		}
		ev := cause.event
		ev.Subject, ev.Data = attempt.Subject(f.Key), nil
		it := &item{
			customer: cause.customer, home: f.Key, event: ev, ready: true,
			work: attempt.Work{Event: ev, Offset: cause.work.Offset, Follow: f.Name},
		}
		e.store(it, it.work)
		e.items = append(e.items, it)
	}
	slices.SortStableFunc(e.items, func(a, b *item) int { return cmp.Compare(a.work.Offset, b.work.Offset) })
}

func (e *engine) hold(it *item, v *outcome.Error) {
	w := &it.work
	w.Held, w.Reason, w.On = v.Verdict, v.Reason, v.On
	switch {
	case v.Verdict == outcome.Retrying:
		it.due = time.Now().Add(max(pause, v.After))
	case w.Follow != "" && (v.Verdict == outcome.Waiting && v.On == "" || v.Reason == outcome.TaskUnknown):
		it.due = time.Now().Add(poll)
	}
	ref := schemas.EventRef{ID: it.event.ID, Source: it.event.Source, Type: e.contract.FullType(it.event.Type)}
	news := !slices.Contains(w.Told, v.Reason)
	switch {
	case news && v.Verdict == outcome.Waiting && w.Follow == "":
		e.publishData(schemas.TypeEventWaiting, it.event.Subject, schemas.EventWaiting{
			CustomerID: it.customer, Reason: schemas.Reason(v.Reason), On: v.On, Event: ref,
		})
		w.Told = append(w.Told, v.Reason)
	case news && v.Verdict == outcome.Unresolved:
		e.publishData(schemas.TypeEventUnresolved, it.event.Subject, schemas.EventUnresolved{
			CustomerID: it.customer, Reason: schemas.Reason(v.Reason), Step: v.Step, Event: ref,
		})
		w.Told = append(w.Told, v.Reason)
	}
	e.store(it, *w)
}

func (e *engine) refuse(it *item, v *outcome.Error) {
	e.publishData(schemas.TypeEventRejected, it.event.Subject, schemas.EventRejected{
		CustomerID: it.customer, Reason: schemas.Reason(v.Reason), Step: v.Step, Status: v.Status, Code: v.Code, Fields: v.Fields,
		Event: schemas.EventRef{ID: it.event.ID, Source: it.event.Source, Type: e.contract.FullType(it.event.Type)},
	})
}

func (e *engine) publishData(typ, subject string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		e.t.Fatal(err)
	}
	e.publish(published{typ, subject, raw})
}

// publish takes a result, if its schema does.
func (e *engine) publish(p published) {
	e.t.Helper()
	err := e.contract.ValidateResult(schemas.Event{Name: p.Type, DataContentType: "application/json", Data: p.Data})
	if err != nil {
		e.t.Errorf("result %s %s: %v", p.Type, p.Data, err)
	}
	e.published = append(e.published, p)
}

// journal is what an attempt sees of the engine.
type journal struct {
	e  *engine
	it *item
}

// Object shares nothing with what is kept: a handler that changes a list or a map in place changes nothing.
func (j *journal) Object(key string) attempt.Object {
	o := j.e.objects[j.it.customer][key].Clone()
	if c := o.Customer; c != nil {
		c.Wallets, c.Parts = slices.Clone(c.Wallets), maps.Clone(c.Parts)
	}
	return o
}

func (j *journal) Processing(except string) bool {
	for key, o := range j.e.objects[j.it.customer] {
		if key != except && o.Processing() {
			return true
		}
	}
	return false
}

func (j *journal) Intend(_ context.Context, w attempt.Work, changed []attempt.Entry) error {
	if j.e.crash() {
		return errCrash
	}
	j.e.write(j.it.customer, changed)
	j.e.store(j.it, w)
	if j.e.crash() {
		return errCrash
	}
	return nil
}

func (j *journal) Ready(ctx context.Context) (context.Context, error) {
	if j.e.crash() {
		return nil, errCrash
	}
	return ctx, nil
}
