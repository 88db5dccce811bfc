package consumer

import (
	"sync"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// successes remembers when calls of the API succeeded last, and whose: enough to tell whether it answers all but one customer.
type successes struct {
	mu     sync.Mutex
	last   success // of all
	second success // of all of other customers than last's
}

type success struct {
	customer string
	at       time.Time
}

// took takes note of a call that succeeded.
func (s *successes) took(customer string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.customer != customer {
		s.second = s.last
	}
	s.last = success{customer, at}
}

// others says whether a call of another customer has succeeded after since.
func (s *successes) others(customer string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	other := s.last
	if other.customer == customer {
		other = s.second
	}
	return other.at.After(since)
}

// succeeded says whether a call succeeded in an attempt at work that was before, and is after now: a step has its answer, or a
// follow-up has looked. (A step's answer says more than a verdict: a later step may have failed.)
func succeeded(after, before attempt.Work, v *outcome.Error) bool {
	looked := v == nil || v.Verdict == outcome.Waiting && v.On == "" || v.Reason == outcome.TaskUnknown
	return len(after.Answers) > len(before.Answers) || after.Follow != "" && looked
}

// answering is for how long after a call that succeeded the API counts as one that answers.
const answering = 2 * time.Minute

// failing counts for how long each try at an event has got a 5xx although calls of other customers succeeded, and says
// whether that is too long: it is this event, and not the API. Only the time between two tries counts in which another's call
// succeeded, or shortly before, so that the clock stands while nobody is answered, whether that is known to be an outage or
// not; and no more of it than retries usually take, since an attempt can have been kept waiting. How long is kept with the
// work, and goes on after a restart.
func (p *partition) failing(t *task, v *outcome.Error, now time.Time) bool {
	since := t.tried
	t.tried = now
	if v.Class != outcome.ClassServer || t.work.Follow != "" && t.work.Intent == nil { // looks have no effect to be unsure of
		return false
	}
	if !since.IsZero() && p.successes.others(t.lane.customer, since.Add(-answering)) {
		t.work.Failing += min(now.Sub(since), 2*max(p.cfg.RetryMost, time.Minute))
	}
	return t.work.Failing >= p.cfg.FailingAfter
}
