package state

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

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

// mostRejections is how many a subject remembers. The closed ones go first, those in doubt last.
const mostRejections = 64

// Rejection gives what is remembered of an event that was given up (follow is empty), or of a follow-up of it, of whose name the part
// before the first slash is enough; nil if nothing is.
func (r *Record) Rejection(hash, follow string) *Rejection {
	for i := range r.Rejected {
		if r.Rejected[i].Event == hash && kind(r.Rejected[i].Follow) == kind(follow) {
			return &r.Rejected[i]
		}
	}
	return nil
}

// kind gives a follow-up's name without what it is about: an event causes one of a kind.
func kind(follow string) string {
	name, _, _ := strings.Cut(follow, "/")
	return name
}

// Reject remembers that w was given up for the reason v, in place of what was remembered of it before. A definite refusal by
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

// CloseRejection remembers that a replay of the event, or of a follow-up of it that was given up, has ended, and that nothing of it is
// left to be done.
func (r *Record) CloseRejection(hash, follow string, round int) {
	if follow == "" || r.Rejection(hash, follow) != nil {
		r.remember(Rejection{Event: hash, Follow: follow, Round: round, Closed: true})
	}
}

// remember puts a rejection at the end of the list. What was there is not changed, since it may be shared.
func (r *Record) remember(rejection Rejection) {
	list := make([]Rejection, 0, len(r.Rejected)+1)
	for _, other := range r.Rejected {
		if other.Event != rejection.Event || kind(other.Follow) != kind(rejection.Follow) {
			list = append(list, other)
		}
	}
	list = append(list, rejection)
	if len(list) > mostRejections {
		oldest := slices.IndexFunc(list, func(r Rejection) bool { return r.Closed })
		if oldest < 0 {
			oldest = max(0, slices.IndexFunc(list, func(r Rejection) bool { return r.Intent == nil }))
		}
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
