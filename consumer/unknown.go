package consumer

import (
	"context"
	"slices"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// What is unknown, and for how long:
//
//	an event, or a follow-up's call in doubt ──▶ is never attempted again
//	a follow-up's task that the API does not know the end of ──▶ is looked at, ever more rarely
//	either, max_wait later ──▶ is given up: dead letter unresolved, event.unresolved says so, once
//	an event given up ──▶ is gone, and holds back nothing; of what it may have made its object remembers that (GiveUp)
//	a follow-up given up ──▶ stays, so that nobody asks again what may have happened; a task is looked at once a day for
//	                         ever, so that it can still turn

// seldom is how often a task is looked at whose event was given up.
const seldom = 24 * time.Hour

// polled says whether what is unknown is looked at all the same: a look has no effect.
func polled(w *attempt.Work) bool { return w.Follow != "" && w.Reason == outcome.TaskUnknown }

// isGivenUp says whether unknown work is a dead letter already.
func isGivenUp(w *attempt.Work) bool { return slices.Contains(w.Told, outcome.NeverResolved) }

// unknownDue says when unknown work is looked at again, or given up; zero if neither.
func (p *partition) unknownDue(w *attempt.Work, now time.Time) time.Time {
	end := w.Since.Add(p.cfg.MaxWait)
	switch {
	case isGivenUp(w) && polled(w):
		return now.Add(seldom)
	case isGivenUp(w):
		return time.Time{}
	case polled(w):
		if look := p.nextLook(w, now); look.Before(end) {
			return look
		}
	}
	return end
}

// nextLook says when a follow-up looks again: the longer nothing has happened, the longer that can wait.
func (p *partition) nextLook(w *attempt.Work, now time.Time) time.Time {
	return now.Add(max(p.cfg.Poll, min(now.Sub(w.Since)/10, p.cfg.PollMost)))
}

// abandon gives up t if it has been unknown for max_wait. Its outcome is recorded in its entry, and published by the lane's
// next thing: first state, then what is made from it.
func (p *partition) abandon(ctx context.Context, t *task) error {
	now := stamp()
	w := t.work
	if isGivenUp(&w) || now.Before(w.Since.Add(p.cfg.MaxWait)) { // it is not to be given up, or not yet: max_wait was made longer
		t.item.due = p.unknownDue(&w, now)
		return nil
	}
	return p.forsake(ctx, t)
}

// forsake gives up t, of which nobody knows what became of it: a dead letter, and the news that it may have happened.
func (p *partition) forsake(ctx context.Context, t *task) error {
	now := stamp()
	w := t.work
	v := &outcome.Error{Verdict: outcome.Unresolved, Reason: outcome.NeverResolved, Class: outcome.ClassUnknown}
	if w.Intent != nil {
		v.Step = w.Intent.Step
	}
	out := &attempt.Outcome{
		Verdict: outcome.Unresolved, Time: now, Dead: dead(w, v, now),
		Results: []attempt.Result{result(schemas.TypeEventUnresolved, w.Event.Subject, schemas.EventUnresolved{
			CustomerID: t.lane.customer, Reason: schemas.Reason(w.Reason), Step: v.Step, GivenUp: true,
			Event: schemas.EventRef{ID: w.Event.ID, Source: w.Event.Source, Type: p.cfg.Contract.FullType(w.Event.Type)},
		})},
	}
	c := newChange(p.store, t.lane.customer)
	changed := c.giveUp(t.home, w)
	home := c.record(t.home)
	if t.command > 0 {
		home.Seen, home.Last = t.command, nil
	}
	if w.Follow == "" {
		home.Reject(w, t.home, v)                                              // its replay is in doubt, too
		home.Put(attempt.Work{Event: w.Event, Offset: w.Offset, Outcome: out}) // gone when it is told
	} else {
		w.Held, w.Told, w.Outcome = outcome.Unresolved, append(w.Told, outcome.NeverResolved), out
		w.Due = p.unknownDue(&w, now)
		home.Put(w)
	}
	if err := p.write(ctx, t, c, changed, nil); err != nil {
		return err
	}
	it := t.lane.item(t.home, w.Offset, w.Follow)
	it.due, it.backoff = w.Due, nil
	p.report(t, v, Report{Verdict: outcome.Unresolved, Results: out.Results})
	return nil
}

// giveUp marks what w may have made, or takes it out if w surely made nothing of it, and gives the objects that changed. home
// is the key of the record that holds w.
func (c *change) giveUp(home string, w attempt.Work) []attempt.Entry {
	changed := []attempt.Entry{}
	hash := w.Event.Hash()
	for _, e := range c.store.Live(c.customer) { // among them is all that has only begun
		o := e.Record.Object.Clone()
		switch {
		case w.Follow != "" && e.Key == home && polled(&w):
			o.GiveUp()
		case w.Follow == "" && o.BegunBy(hash) && w.Intent != nil:
			o.GiveUp()
		case w.Follow == "" && o.BegunBy(hash):
			o = o.Without(hash)
		default:
			continue
		}
		changed = append(changed, attempt.Entry{Key: e.Key, Object: o})
	}
	c.objects(changed)
	return changed
}
