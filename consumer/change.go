package consumer

import (
	"context"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// change gathers what is to be written of one customer's records in one piece: one or two of them as a rule.
type change struct {
	store    *state.Store
	customer string
	entries  []state.Entry
	freed    bool // an attempt has ended what was processing
}

func newChange(store *state.Store, customer string) *change {
	return &change{store: store, customer: customer, entries: make([]state.Entry, 0, 2)}
}

// record gives a record to be changed.
func (c *change) record(key string) *state.Record {
	if r := c.find(key); r != nil {
		return r
	}
	r := c.store.Edit(c.customer, key)
	c.entries = append(c.entries, state.Entry{Key: key, Record: r})
	return r
}

// find gives a record that is among those to be written; nil if it is not.
func (c *change) find(key string) *state.Record {
	for _, e := range c.entries {
		if e.Key == key {
			return e.Record
		}
	}
	return nil
}

// objects takes over the objects that an attempt changed.
func (c *change) objects(changed []attempt.Entry) {
	for _, e := range changed {
		r := c.record(e.Key)
		c.freed = c.freed || r.Processing() && !e.Object.Processing()
		r.Object = e.Object
	}
}

// abandon takes out of the customer's objects what an event that is given up has only begun.
func (c *change) abandon(event string) {
	for _, e := range c.entries {
		e.Record.Object = e.Record.Without(event)
	}
	for _, e := range c.store.Live(c.customer) { // among them is all that has only begun
		if c.find(e.Key) != nil {
			continue
		}
		if left := e.Record.Without(event); left != e.Record.Object {
			c.record(e.Key).Object = left
		}
	}
}

// follow adds the follow-ups that an attempt at w asked for. One of the same name goes on instead, with its own cause
// and keys; it is due at once.
func (c *change) follow(w attempt.Work, follows []attempt.Follow, now time.Time) {
	for _, f := range follows {
		r := c.record(f.Key)
		if i := r.FindFollow(f.Name); i >= 0 {
			if w := r.Work[i]; w.Held == outcome.Waiting {
				w.Since, w.Due = now, now
				r.Put(w)
			}
			continue
		}
		r.Put(attempt.Work{
			Event: w.Event, Offset: w.Offset, Follow: f.Name, Round: w.Round,
			Held: outcome.Waiting, Reason: outcome.StatusPending, Since: now, Due: now,
		})
	}
}

func (c *change) write(ctx context.Context) error {
	return c.store.Write(ctx, c.customer, c.entries...)
}

// journal is what an attempt sees of the partition; home is the key of the record that holds its work.
type journal struct {
	store    *state.Store
	customer string
	home     string
	// sendBefore gives a context under which no call is sent after t.
	sendBefore func(ctx context.Context, t time.Time) context.Context
	behind     bool  // the event was behind another: once it has an intent it is work, and no longer a bare offset
	err        error // the first failure to write: the partition is to be given up
}

// Object gives an object of the customer, not to be changed.
func (j *journal) Object(key string) attempt.Object {
	if r := j.store.Get(j.customer, key); r != nil {
		return r.Object
	}
	return attempt.Object{}
}

// Processing says whether a task of the customer is under way at the API.
func (j *journal) Processing(except string) bool {
	for _, e := range j.store.Live(j.customer) { // among them is all that is processing
		if e.Key != except && e.Record.Processing() {
			return true
		}
	}
	return false
}

// Intend writes work and changed objects down.
func (j *journal) Intend(ctx context.Context, w attempt.Work, changed []attempt.Entry) error {
	c := newChange(j.store, j.customer)
	c.objects(changed)
	home := c.record(j.home)
	home.Put(w)
	if j.behind {
		unqueue(home, w.Offset)
	}
	return j.fail(c.write(ctx))
}

// Ready proves that the partition is still owned. A call that has to wait until the proof has grown old is not sent.
func (j *journal) Ready(ctx context.Context) (context.Context, error) {
	until, err := j.store.Ready(ctx)
	if err != nil {
		return nil, j.fail(err)
	}
	return j.sendBefore(ctx, until), nil
}

func (j *journal) fail(err error) error {
	if err != nil && j.err == nil {
		j.err = err
	}
	return err
}

// retract takes a fresh event's intent out of state if its call was surely not sent, or has its answer, before the event waits in
// memory for nobody knows how long: whoever found the intent there would be in doubt, and after the time for which the API keeps
// keys could not make the call any more. Answers stay.
func (p *partition) retract(ctx context.Context, t *task) error {
	if !t.fresh() || t.work.Intent != nil {
		return nil
	}
	r := p.store.Get(t.lane.customer, t.home)
	if r == nil {
		return nil
	}
	if i := r.Find(t.work.Offset, ""); i < 0 || r.Work[i].Intent == nil {
		return nil
	}
	t.lane.hand.turn(recording)
	c := newChange(p.store, t.lane.customer)
	c.record(t.home).Put(t.work.Clone())
	return p.write(ctx, t, c, nil, nil)
}
