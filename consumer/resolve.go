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

// heldAt gives the index of the work that the command at an offset of the inbox is about; -1 if it is not held any more. What came
// after the command it cannot mean: a replay of the same event.
func heldAt(r *state.Record, offset int64, event schemas.EventRef, follow string) int {
	return slices.IndexFunc(r.Work, func(w attempt.Work) bool {
		return w.Offset < offset && w.Follow == follow && w.Event.ID == event.ID && w.Event.Source == event.Source && w.Held != outcome.Done
	})
}

// resolve goes on with what was unknown, by what an operator has found out.
//
//	it happened        the step has its answer: what the provider calls that which it made
//	it did not happen  the step is made again, under a new key; not before the last try can no more land
//	of a task          it has ended, one way or the other
func (p *partition) resolve(ctx context.Context, l *lane, offset int64, data schemas.CommandResolve) (current bool, err error) {
	c := newChange(p.store, l.customer)
	home := c.record(data.Object)
	home.Seen, home.Last = offset, nil // delivered again it does nothing, whatever has come of it
	t := &task{lane: l, home: data.Object}
	i := heldAt(home, offset, data.Event, data.FollowUp)
	if i < 0 {
		return false, p.write(ctx, t, c, nil, nil)
	}
	w := home.Work[i].Clone()
	if !p.decide(&w, data) {
		return false, p.write(ctx, t, c, nil, nil)
	}
	w.Told = slices.DeleteFunc(w.Told, func(r outcome.Reason) bool { // should it be unknown again
		return r == w.Reason || r == outcome.NeverResolved
	})
	now := stamp()
	w.Held, w.Reason, w.On, w.Since, w.Due = outcome.Retrying, outcome.Temporary, "", now, now
	w.Tries, w.Panics, w.Failed, w.Failing = 0, 0, time.Time{}, 0
	home.Put(w)
	t.work = w
	if err := p.write(ctx, t, c, nil, nil); err != nil {
		return false, err
	}
	it := l.item(data.Object, w.Offset, w.Follow)
	it.due, it.ready, it.backoff = now, true, nil
	return true, nil
}

// decide brings w up to an operator's decision. false: it is about another step or generation, or comes too early.
func (p *partition) decide(w *attempt.Work, data schemas.CommandResolve) (current bool) {
	in := w.Intent
	switch {
	case w.Held != outcome.Unresolved, string(w.Reason) != data.Reason:
		return false
	case in == nil && w.Reason == outcome.TaskUnknown:
		w.Decided = attempt.DidNotHappen
		if data.Happened {
			w.Decided = attempt.Happened
		}
		return true
	case in == nil && !data.Happened && data.Generation == w.Generation[data.Step]: // of a step that may be repeated without harm
		w.Generation = raised(w.Generation, data.Step, data.Generation+1)
		return true
	case in == nil || in.Step != data.Step || in.Generation != data.Generation:
		return false
	case data.Happened:
		answer, err := p.cfg.Answer(in.Step, in.Refs, data.ProviderID)
		if err != nil {
			p.cfg.Log.Error().Err(err).Int("partition", p.number).Str("customer", data.CustomerID).Str("step", in.Step).
				Msg("a command cannot be done: a newer bridge wrote the intent, or the step's name is wrong")
			return false
		}
		w.Answers = maps.Clone(w.Answers)
		if w.Answers == nil {
			w.Answers = map[string]json.RawMessage{}
		}
		w.Answers[in.Step] = answer
		w.Sent = append(slices.Clip(w.Sent), attempt.Sent{Step: in.Step, Refs: in.Refs, Digest: in.Digest})
	case stamp().Before(latest(in.LastTry, w.Since).Add(p.cfg.Attempt.Quiet)):
		return false
	default:
		w.Generation = raised(w.Generation, in.Step, in.Generation+1)
	}
	w.Intent = nil
	return true
}

// raised gives generations with another one for a step.
func raised(generations map[string]int, step string, to int) map[string]int {
	out := map[string]int{}
	maps.Copy(out, generations)
	out[step] = to
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// discard gives up what is held. Of what is in doubt it is not said that it was rejected: nobody knows.
func (p *partition) discard(ctx context.Context, l *lane, offset int64, data schemas.CommandDiscard) (current bool, err error) {
	r := p.store.Get(l.customer, data.Object)
	i := heldAt(r, offset, data.Event, data.FollowUp)
	running := i >= 0 && r.Processing() && r.Work[i].Follow != "" && r.Work[i].Held != outcome.Unresolved
	if i < 0 || r.Work[i].Outcome != nil || isGivenUp(&r.Work[i]) || running { // nobody would see the end of a running task
		c := newChange(p.store, l.customer)
		home := c.record(data.Object)
		home.Seen, home.Last = offset, nil
		return false, p.write(ctx, &task{lane: l, home: data.Object}, c, nil, nil)
	}
	w := r.Work[i].Clone()
	w.Event.Customer, w.Event.Subject = l.customer, attempt.Subject(data.Object)
	t := &task{
		lane: l, home: data.Object, work: w, item: l.item(data.Object, w.Offset, w.Follow), began: time.Now(), was: w.Held,
		command: offset,
	}
	if w.Held == outcome.Unresolved || w.Intent != nil {
		if w.Held != outcome.Unresolved {
			t.work.Reason = outcome.KeyExpired // in doubt, and not to be repeated any more
		}
		return true, p.forsake(ctx, t)
	}
	return true, p.end(ctx, t, p.idle(t), outcome.Reject(outcome.Discarded))
}
