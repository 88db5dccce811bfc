package consumer

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// hintPause is the least time between two looks of one follow-up that hints ask for: a flood of them is no flood of calls.
const hintPause = time.Second

// whose is what a hint about an investment is for.
type whose struct {
	lane *lane
	key  string // of the order's record
}

// Hint makes the owner of an investment look at it at once, if that is this member and the investment is followed; else it
// does nothing. Nothing of a hint is believed. One that comes before the investment is known, or while its partition moves,
// is lost: follow-ups are polled all the same.
func (e *Engine) Hint(investment uuid.UUID) {
	e.mu.Lock()
	s := e.present
	e.mu.Unlock()
	if s == nil {
		return
	}
	for _, p := range s.owned() {
		if p.hint(investment) {
			return
		}
	}
}

// track takes note of whether an order's investment is followed, whenever the order's record is read or written.
func (p *partition) track(l *lane, key string, r *state.Record) {
	if r.Order == nil || r.Order.InvestmentID == "" {
		return
	}
	id, err := uuid.Parse(r.Order.InvestmentID)
	if err != nil {
		return // no hint can name it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(r.Work, func(w attempt.Work) bool { return w.Follow != "" }) {
		p.investments[id] = whose{l, key}
	} else {
		delete(p.investments, id)
	}
}

// hint says whether an investment is followed here, and makes its follow-ups look at it soon. A lane that runs is told at the
// end of what it is at: a look that is under way may have seen less than the hint tells of.
func (p *partition) hint(investment uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.investments[investment]
	l := w.lane
	switch {
	case !ok:
		return false
	case l.running:
		if !slices.Contains(l.hinted, w.key) {
			l.hinted = append(l.hinted, w.key)
		}
		return true
	}
	p.hurry(l, w.key)
	if !l.queued && !l.paused {
		p.rest(l) // which sets its alarm
	}
	return true
}

// hurry makes the follow-ups of a record due that look at the API from time to time; p.mu is held, and the lane does not run, or
// has done its thing. One in trouble is left alone: it is tried again soon, and not before the time that the API has named.
func (p *partition) hurry(l *lane, key string) {
	r := p.store.Get(l.customer, key)
	now := time.Now()
	for _, it := range l.items {
		if it.key != key || it.follow == "" {
			continue
		}
		if w := r.Work[r.Find(it.offset, it.follow)]; w.Held != outcome.Waiting || w.On != "" {
			continue
		}
		at := it.looked.Add(hintPause)
		if at.Before(now) {
			at = now
		}
		if it.due.IsZero() || at.Before(it.due) {
			it.due = at
		}
	}
}
