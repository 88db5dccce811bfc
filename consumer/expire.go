package consumer

import (
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// heldAs gives t's work as it is held for the reason v. news says whether there are results.
func heldAs(t *task, v *outcome.Error, news bool, now time.Time) attempt.Work {
	w := t.work
	if t.was == outcome.Unresolved && v.Verdict == outcome.Retrying { // a look has failed: what it is held as stays
		w.Held = outcome.Unresolved
	} else {
		w.Held, w.Reason, w.On = v.Verdict, v.Reason, v.On
	}
	if w.Since.IsZero() || w.Follow != "" && news || begins(t, w) {
		w.Since = now
	}
	if v.Verdict != outcome.Retrying {
		w.Failing = 0
	}
	return w
}

// begins says whether what w is held as begins now, so that its time is counted from here: waiting not from a trouble before
// it, but from before one that came in between; unknown from when it became so.
func begins(t *task, w attempt.Work) bool {
	switch {
	case w.Held == outcome.Unresolved, t.was == outcome.Unresolved:
		return t.was != w.Held
	}
	paused := t.work.Reason == "" // its type was: that does not count
	return t.was == outcome.Retrying && w.Held == outcome.Waiting && (len(w.Told) == 0 || paused)
}

// reprieve is for how much longer an event waits whose time is over while what it waits for may be about to come.
const reprieve = time.Minute

// mayCome says whether what t waits for may have come already, and only not have been worked on: the bridge was down while the
// time ran out, so that it lies in the inbox, or the API is, so that it is retried. An outage gives up nothing.
func (p *partition) mayCome(t *task) bool {
	l := t.lane
	p.mu.Lock()
	unread := p.next < p.before || len(l.queue) > 0 && l.queue[0].Offset < p.before
	p.mu.Unlock()
	if unread {
		return true
	}
	for _, e := range p.store.Live(l.customer) { // among them is all that is held
		for _, w := range e.Record.Work {
			if w.Held == outcome.Retrying && (w.Offset != t.work.Offset || w.Follow != "") {
				return true
			}
		}
	}
	return false
}
