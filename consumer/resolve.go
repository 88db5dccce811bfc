package consumer

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// What a command does about something held. It acts only on that event, step and generation, and only while that is held: given
// twice, late, or delivered again it does nothing. What it is about it never waits behind.

// heldAt gives the index of the work that a command is about; -1 if it is not held any more.
func heldAt(r *state.Record, event schemas.EventRef, follow string) int {
	if r == nil {
		return -1
	}
	return slices.IndexFunc(r.Work, func(w attempt.Work) bool {
		return w.Follow == follow && w.Event.ID == event.ID && w.Event.Source == event.Source && w.Held != outcome.Done
	})
}

// resolve goes on with what was unknown, by what an operator has found out.
//
//	it happened        the step has its answer: what the provider calls that which it made
//	it did not happen  the step is made again, under a new key; not before the last try can no more land
//	of a task          it has ended, one way or the other
func (p *partition) resolve(ctx context.Context, l *lane, data schemas.CommandResolve) (current bool, err error) {
	c := newChange(p.store, l.customer)
	i := heldAt(p.store.Get(l.customer, data.Object), data.Event, data.FollowUp)
	if i < 0 {
		return false, nil
	}
	home := c.record(data.Object)
	w := home.Work[i].Clone()
	if current, err = p.decide(&w, data); err != nil || !current {
		return false, err
	}
	w.Told = slices.DeleteFunc(w.Told, func(r outcome.Reason) bool { return r == w.Reason }) // should it be unknown again
	now := stamp()
	w.Held, w.Reason, w.On, w.Since, w.Due = outcome.Retrying, outcome.Temporary, "", now, now
	w.Tries, w.Panics, w.Failed, w.Failing = 0, 0, time.Time{}, 0
	home.Put(w)
	t := &task{lane: l, home: data.Object, work: w}
	if err := p.write(ctx, t, c, nil, nil); err != nil {
		return false, err
	}
	it := l.item(data.Object, w.Offset, w.Follow)
	it.due, it.ready, it.backoff = now, true, nil
	return true, nil
}

// decide brings w up to an operator's decision. false: it is about another step or generation, or comes too early.
func (p *partition) decide(w *attempt.Work, data schemas.CommandResolve) (current bool, err error) {
	in := w.Intent
	switch {
	case w.Held != outcome.Unresolved:
		return false, nil
	case in == nil && w.Reason == outcome.TaskUnknown:
		w.Decided = attempt.DidNotHappen
		if data.Happened {
			w.Decided = attempt.Happened
		}
		return true, nil
	case in == nil || in.Step != data.Step || in.Generation != data.Generation:
		return false, nil
	case data.Happened:
		answer, err := p.cfg.Answer(in.Step, in.Refs, data.ProviderID)
		if err != nil {
			return false, err
		}
		w.Answers = maps.Clone(w.Answers)
		if w.Answers == nil {
			w.Answers = map[string]json.RawMessage{}
		}
		w.Answers[in.Step] = answer
		w.Sent = append(slices.Clip(w.Sent), attempt.Sent{Step: in.Step, Refs: in.Refs, Digest: in.Digest})
	case stamp().Before(latest(in.LastTry, w.Since).Add(p.cfg.Attempt.Quiet)):
		return false, nil
	default:
		w.Generation = maps.Clone(w.Generation)
		if w.Generation == nil {
			w.Generation = map[string]int{}
		}
		w.Generation[in.Step] = in.Generation + 1
	}
	w.Intent = nil
	return true, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// discard gives up what is held. Of what is in doubt it is not said that it was rejected: nobody knows.
func (p *partition) discard(ctx context.Context, l *lane, data schemas.CommandDiscard) (current bool, err error) {
	r := p.store.Get(l.customer, data.Object)
	i := heldAt(r, data.Event, data.FollowUp)
	if i < 0 || r.Work[i].Outcome != nil || isGivenUp(&r.Work[i]) {
		return false, nil
	}
	w := r.Work[i].Clone()
	w.Event.Customer, w.Event.Subject = l.customer, attempt.Subject(data.Object)
	t := &task{lane: l, home: data.Object, work: w, item: l.item(data.Object, w.Offset, w.Follow), began: time.Now(), was: w.Held}
	if w.Held == outcome.Unresolved || w.Intent != nil {
		return true, p.forsake(ctx, t)
	}
	return true, p.end(ctx, t, p.idle(t), outcome.Reject(outcome.Discarded))
}
