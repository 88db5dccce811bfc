package consumer

import (
	"strings"
	"sync"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// successes remembers, for each kind of call, when one succeeded last, and whose: enough to tell whether such calls are
// answered for all but one customer. That other calls are says nothing: an API may be down in one place only.
type successes struct {
	mu sync.Mutex
	of map[kind]*newest
}

// kind is what calls have to have in common for one to tell something of another: the same step of the same kind of work, hence
// the same endpoint, and bodies made alike.
type kind struct {
	work string // the event's type, or the follow-up's name
	step string // of documents "document/", whichever; empty: a call outside of steps, which only looks
}

func kindOf(w *attempt.Work, step string) kind {
	if w.Follow != "" {
		return kind{general(w.Follow), general(step)}
	}
	return kind{w.Event.Type, general(step)}
}

// general gives a name of a step or follow-up without what it is about in particular.
func general(name string) string {
	if i := strings.IndexByte(name, '/'); i >= 0 {
		return name[:i+1]
	}
	return name
}

// newest are the last successes of one kind of call.
type newest struct {
	last   success // of all
	second success // of all of other customers than last's
}

type success struct {
	customer string
	at       time.Time
}

// took takes note of a call that succeeded.
func (s *successes) took(k kind, customer string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of[k]
	if l == nil {
		if s.of == nil {
			s.of = map[kind]*newest{}
		}
		l = &newest{}
		s.of[kind{strings.Clone(k.work), strings.Clone(k.step)}] = l // which keeps no event in memory
	}
	if l.last.customer != customer {
		l.second = l.last
	}
	l.last = success{customer, at}
}

// others says whether such a call of another customer has succeeded after since.
func (s *successes) others(k kind, customer string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.of[k]
	if l == nil {
		return false
	}
	other := l.last
	if other.customer == customer {
		other = l.second
	}
	return other.at.After(since)
}

// succeeded takes note of the calls that succeeded in an attempt at t.work, which is after now: steps have their answers, or it
// has looked. (An answer says more than a verdict: a later step may have failed.)
func (p *partition) succeeded(t *task, run *attempt.Run, v *outcome.Error) {
	customer, now, answered := t.lane.customer, time.Now(), false
	run.Steps(func(step string) {
		answered = true
		p.successes.took(kindOf(&t.work, step), customer, now)
	})
	if !answered && v == nil {
		p.successes.took(kindOf(&t.work, ""), customer, now)
	}
	looked := v == nil || v.Verdict == outcome.Waiting && v.On == "" || v.Reason == outcome.TaskUnknown
	if answered || t.work.Follow != "" && looked {
		t.work.Failing = 0
	}
}

// answering is for how long after a call that succeeded the API counts as one that answers.
const answering = 2 * time.Minute

// failing counts for how long each try at an event has got a 5xx although calls of the same kind succeeded for other customers,
// and says whether that is too long: it is this event, and not the API. Only the time between two tries counts in which
// another's call succeeded, or shortly before, so that the clock stands while nobody is answered, whether that is known to be an
// outage or not; and no more of it than retries usually take, since an attempt can have been kept waiting. A try that failed while
// the gate was shut is none. How long is kept with the work, and goes on after a restart.
//
// So one of a kind that nobody else has is retried for ever: a needless retry costs time, a needless give-up costs data.
func (p *partition) failing(t *task, v *outcome.Error, now time.Time) bool {
	if p.turnedAway(v) {
		return false
	}
	since := t.tried
	t.tried = now
	if v.Class != outcome.ClassServer || t.work.Follow != "" && t.work.Intent == nil { // looks have no effect to be unsure of
		return false
	}
	if !since.IsZero() && p.successes.others(kindOf(&t.work, v.Step), t.lane.customer, since.Add(-answering)) {
		t.work.Failing += min(now.Sub(since), 2*max(p.cfg.RetryMost, time.Minute))
	}
	return t.work.Failing >= p.cfg.FailingAfter
}
