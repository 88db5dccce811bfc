package state

import (
	"encoding/json"
	"maps"
	"slices"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// Rejection is an event that was given up, and what its replay goes on from. It stays when a replay has ended otherwise, so
// that the letter can be put back any number of times without doing anything again.
type Rejection struct {
	Event      string                     `json:"event"`            // its hash
	Follow     string                     `json:"follow,omitempty"` // the follow-up that was given up; empty: the event itself
	Key        string                     `json:"key,omitempty"`    // of the follow-up's object
	Round      int                        `json:"round,omitempty"`  // how often the event had been replayed
	Closed     bool                       `json:"closed,omitempty"` // its last replay has ended otherwise: nothing is left to be done
	Reason     outcome.Reason             `json:"reason,omitempty"`
	Step       string                     `json:"step,omitempty"`
	Answers    map[string]json.RawMessage `json:"answers,omitempty"`    // as in attempt.Work
	Sent       []attempt.Sent             `json:"sent,omitempty"`       // …
	Generation map[string]int             `json:"generation,omitempty"` // … but what the next replay has
	Intent     *attempt.Intent            `json:"intent,omitempty"`     // of one that was unknown: in doubt for ever
}

// mostRejections is how many a subject remembers; the closed ones go first.
const mostRejections = 64

// Rejection gives what is remembered of an event that was given up; nil if nothing is.
func (r *Record) Rejection(hash string) *Rejection {
	for i := range r.Rejected {
		if r.Rejected[i].Event == hash {
			return &r.Rejected[i]
		}
	}
	return nil
}

// Reject remembers that w was given up for the reason v, in place of what was remembered of its event. A definite refusal by
// the API has used the step's key up: the replay's has the next generation.
func (r *Record) Reject(w attempt.Work, key string, v *outcome.Error) {
	rejection := Rejection{
		Event: w.Event.Hash(), Follow: w.Follow, Round: w.Round, Reason: v.Reason, Step: v.Step,
		Answers: w.Answers, Sent: w.Sent, Generation: maps.Clone(w.Generation), Intent: w.Intent,
	}
	if w.Follow != "" {
		rejection.Key = key
	}
	if v.Step != "" && v.Class == outcome.ClassClient && w.Intent == nil {
		if rejection.Generation == nil {
			rejection.Generation = map[string]int{}
		}
		rejection.Generation[v.Step]++
	}
	r.remember(rejection)
}

// CloseRejection remembers that a replay of the event has ended, and that nothing of it is left to be done.
func (r *Record) CloseRejection(hash string, round int) {
	r.remember(Rejection{Event: hash, Round: round, Closed: true})
}

// remember puts a rejection at the end of the list. What was there is not changed, since it may be shared.
func (r *Record) remember(rejection Rejection) {
	list := make([]Rejection, 0, len(r.Rejected)+1)
	for _, other := range r.Rejected {
		if other.Event != rejection.Event {
			list = append(list, other)
		}
	}
	list = append(list, rejection)
	if len(list) > mostRejections {
		oldest := max(0, slices.IndexFunc(list, func(r Rejection) bool { return r.Closed }))
		list = slices.Delete(list, oldest, oldest+1)
	}
	r.Rejected = list
}

func encodeRejection(e *attempt.Encoder, r *Rejection) {
	raw, err := json.Marshal(r)
	if err != nil {
		e.Err = err
		return
	}
	e.Raw(raw)
}
