package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// recall judges an item by what state remembers of its event, as the engine will.
func (it *Item) recall(known map[string]*state.Record) {
	r := known[it.Letter.Subject]
	var last *state.Rejection
	if r != nil {
		last = r.Rejection(it.hash, it.Letter.Follow)
	}
	if last != nil {
		it.Round, it.follow, it.Answered = last.Round+1, last.Key, slices.Sorted(maps.Keys(last.Answers))
	}
	if key := it.elsewhere(known); last == nil && key != "" {
		it.is(Invalid, "it was put back already, about "+key)
		return
	}
	switch {
	case last != nil && last.Closed: // since the letters were read
		it.Letter.Closed = ClosedReplayed
		it.is(IsClosed, "")
	case last != nil && last.Round > it.Letter.Replays:
		it.is(Pending, "it has just been given up again: its new letter is being written")
	case it.Letter.Follow != "" && stillHeld(known, it):
		it.is(Unknown, "it is still held: held resolve says what happened")
	case last != nil && last.Intent != nil:
		it.Forecast, it.Step = Unknown, last.Intent.Step
		it.Note = "its replay repeats the call with the same key, or is unknown again: then held resolve"
	case last == nil && stillHeld(known, it):
		it.is(Unknown, "it is still held: held resolve says what happened")
	case last == nil && (it.Letter.fromInbox() || r != nil && r.Knows(it.hash)):
		it.is(Forgotten, "")
	default:
		it.Forecast = Runs
	}
}

// elsewhere gives the subject about which a letter of intake was put back, if that is another one than it would be now: intake had no
// subject to hold it to.
func (it *Item) elsewhere(known map[string]*state.Record) string {
	if it.Letter.fromInbox() {
		return ""
	}
	for key, other := range known {
		if key != it.Letter.Subject && (other.Knows(it.hash) || other.Rejection(it.hash, "") != nil) {
			return key
		}
	}
	return ""
}

// stillHeld says whether a follow-up that was given up as unknown stays beside its letter.
func stillHeld(known map[string]*state.Record, it *Item) bool {
	for _, r := range known {
		if slices.ContainsFunc(r.Work, func(w attempt.Work) bool {
			follow, _, _ := strings.Cut(w.Follow, "/") // a letter has no more than that
			return givenUp(w) && w.Event.Hash() == it.hash && (it.Letter.Follow == "" || follow == it.Letter.Follow)
		}) {
			return true
		}
	}
	return false
}

// foresee tells of what runs from where, or that it would not.
func (d *Desk) foresee(ctx context.Context, b *Batch, known map[string]map[string]*state.Record) error {
	if d.cfg.Foresee == nil {
		return nil
	}
	var trials []Trial
	var of []*Item
	for i := range b.Items {
		if it := &b.Items[i]; it.Forecast == Runs {
			of, trials = append(of, it), append(trials, it.trial(known[it.event.CustomerID]))
		}
	}
	seen, err := d.cfg.Foresee(ctx, trials)
	if err != nil {
		return fmt.Errorf("foresee what the replays do: %w", err)
	}
	for i, f := range seen {
		it := of[i]
		it.Step = f.Step
		switch v := f.Error; {
		case v == nil:
		case v.Reason == outcome.Superseded:
			it.Forecast = Overtaken
		case v.Verdict == outcome.Rejected:
			it.Forecast, it.Reason, it.Step, it.Fields = Refused, v.Reason, v.Step, v.Fields
		case v.Verdict == outcome.Waiting:
			it.Reason, it.On = v.Reason, v.On
		}
	}
	return nil
}

func (it *Item) trial(known map[string]*state.Record) Trial {
	e := it.event
	t := Trial{Objects: map[string]attempt.Object{}, Work: attempt.Work{Round: it.Round, Event: attempt.Event{
		Source: e.Source, ID: e.ID, Type: e.Name, Customer: e.CustomerID, Subject: it.Letter.Subject, Time: e.Time, Data: e.Data,
	}}}
	for key, r := range known {
		t.Objects[key] = r.Object
	}
	if r := known[it.Letter.Subject]; r != nil {
		if last := r.Rejection(it.hash, it.Letter.Follow); last != nil {
			w := &t.Work
			w.Answers, w.Sent, w.Generation = last.Answers, last.Sent, last.Generation
			if w.Follow = last.Follow; w.Follow != "" {
				w.Event.Subject, w.Event.Data = attempt.Subject(last.Key), nil
			}
		}
	}
	return t
}
