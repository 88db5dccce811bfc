package consumer

import (
	"context"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// change gathers what is to be written of one customer's records in one piece.
type change struct {
	store    *state.Store
	customer string
	records  map[string]*state.Record
}

func newChange(store *state.Store, customer string) *change {
	return &change{store: store, customer: customer, records: map[string]*state.Record{}}
}

// record gives a record to be changed.
func (c *change) record(key string) *state.Record {
	r := c.records[key]
	if r == nil {
		r = c.store.Edit(c.customer, key)
		c.records[key] = r
	}
	return r
}

// objects takes over the objects that an attempt changed.
func (c *change) objects(changed map[string]attempt.Object) {
	for key, o := range changed {
		c.record(key).Object = o
	}
}

// abandon takes out of the customer's objects what an event that is given up has only begun.
func (c *change) abandon(event string) {
	for _, key := range c.store.Keys(c.customer) {
		o := c.store.Get(c.customer, key).Object
		if r, ok := c.records[key]; ok {
			o = r.Object
		}
		if left := o.Without(event); left != o {
			c.record(key).Object = left
		}
	}
}

// follow adds the follow-ups that an attempt at w asked for. One of the same name goes on instead, with its own cause
// and keys; it is due at once.
func (c *change) follow(w attempt.Work, follows []attempt.Follow, now time.Time) {
	for _, f := range follows {
		r := c.record(f.Key)
		if i := r.FindFollow(f.Name); i >= 0 {
			if r.Work[i].Held == outcome.Waiting {
				r.Work[i].Since, r.Work[i].Due = now, now
			}
			continue
		}
		r.Put(attempt.Work{
			Event: w.Event, Offset: w.Offset, Follow: f.Name,
			Held: outcome.Waiting, Reason: outcome.StatusPending, Since: now, Due: now,
		})
	}
}

func (c *change) write(ctx context.Context) error { return c.store.Write(ctx, c.customer, c.records) }

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

// Object gives a copy of an object of the customer.
func (j *journal) Object(key string) attempt.Object {
	if r := j.store.Get(j.customer, key); r != nil {
		return r.Object.Clone()
	}
	return attempt.Object{}
}

// Processing says whether a task of the customer is under way at the API.
func (j *journal) Processing(except string) bool {
	for _, key := range j.store.Keys(j.customer) {
		if key != except && j.store.Get(j.customer, key).Processing() {
			return true
		}
	}
	return false
}

// Intend writes work and changed objects down.
func (j *journal) Intend(ctx context.Context, w attempt.Work, changed map[string]attempt.Object) error {
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
