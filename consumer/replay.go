package consumer

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/producer"
)

// A replay is the record of an event that was given up, put into the inbox again, maybe with mended data, and with the number of
// its round. It goes on from what the event's rejection has left: answers, and what they were answers to; a step that was
// definitely refused has a new key. One that is not of the last round, or whose event is under way or has ended otherwise, is
// done without doing anything: so letters may be put back any number of times.

// origin is what a record of the inbox says of the letter that it is a replay of.
type origin struct {
	round  int    // which replay of its event it is; 0: none
	follow string // the follow-up that was given up, without what it is about; empty: the event itself
	intake bool   // it was given up by intake
}

// originOf reads the origin of a record. One that does not say where it was given up was in the inbox.
func originOf(record kafka.Record, inbox string) (o origin, err error) {
	for _, h := range record.Headers {
		switch h.Key {
		case producer.HeaderReplays:
			o.round, err = strconv.Atoi(string(h.Value))
			if err != nil || o.round < 0 {
				return origin{}, errNotOurs
			}
		case producer.HeaderFollow:
			o.follow = string(h.Value)
		case producer.HeaderTopic:
			o.intake = string(h.Value) != inbox
		}
	}
	return o, nil
}

// recall says whether an event is to be attempted, by the record of its subject. A replay is brought up to what its last rejection has
// left; one that intake had refused has none.
func recall(w *attempt.Work, r *state.Record, o origin) (last *state.Rejection, current bool) {
	hash := w.Event.Hash()
	if w.Round == 0 {
		return nil, !r.Knows(hash) && r.Rejection(hash, "") == nil
	}
	underWay := slices.ContainsFunc(r.Work, func(other attempt.Work) bool {
		return other.Follow == "" && other.Offset != w.Offset && other.Event.Hash() == hash
	})
	if underWay {
		return nil, false
	}
	last = r.Rejection(hash, o.follow)
	switch {
	case last == nil:
		return nil, o.intake && !r.Knows(hash) // else it ended otherwise, or so much was given up since that it was forgotten
	case last.Closed, w.Round != last.Round+1:
		return last, false
	}
	w.Answers, w.Generation, w.Sent = maps.Clone(last.Answers), maps.Clone(last.Generation), slices.Clip(last.Sent)
	if last.Intent != nil {
		in := *last.Intent
		w.Intent = &in
		w.Inherit()
	}
	return last, true
}

// followAgain puts back a follow-up that was given up. The event itself was done, and is not done again. One of that name that
// another event has asked for since goes on instead.
func (p *partition) followAgain(ctx context.Context, t *task, last *state.Rejection) error {
	t.lane.hand.turn(recording)
	now := stamp()
	c := newChange(p.store, t.lane.customer)
	of, home := c.record(last.Key), c.record(t.home)
	there := of.FindFollow(last.Follow)
	own := there >= 0 && of.Work[there].Event.Hash() == last.Event // put back already, or given up in doubt and kept
	superseded := there >= 0 && !own
	switch {
	case own:
	case superseded:
		home.CloseRejection(last.Event, last.Follow, t.work.Round)
	default:
		w := t.work
		w.Follow, w.Held, w.Reason, w.Since, w.Due = last.Follow, outcome.Waiting, outcome.StatusPending, now, now
		if w.Intent != nil {
			w.Held = outcome.Retrying
		}
		of.Put(w)
	}
	unqueue(home, t.work.Offset)
	if t.fresh() {
		home.Seen, home.Last = t.work.Offset, nil
	}
	if err := p.write(ctx, t, c, nil, nil); err != nil {
		return err
	}
	p.report(t, nil, Report{Superseded: superseded, Repeated: own})
	return nil
}

// pass ends a replay that stands behind others and is not to be attempted any more.
func (p *partition) pass(ctx context.Context, t *task) error {
	t.lane.hand.turn(recording)
	c := newChange(p.store, t.lane.customer)
	unqueue(c.record(t.home), t.work.Offset)
	if err := p.write(ctx, t, c, nil, nil); err != nil {
		return err
	}
	p.report(t, nil, Report{Repeated: true})
	return nil
}
