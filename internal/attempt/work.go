package attempt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/outcome"
)

// Event is what an attempt knows of the event that it works on. All of it but Data is kept with held work and
// follow-ups; Data stays in the inbox.
type Event struct {
	Source      string          `json:"source"`
	ID          string          `json:"id"`
	Type        string          `json:"type"` // without the configured prefix: "order.paid"
	Customer    string          `json:"-"`    // the customer ID; a record's key holds it
	Subject     string          `json:"-"`    // within the customer: "customer", "wallet/0x…", "order/ID", "positions"
	Time        time.Time       `json:"time"`
	Correlation string          `json:"correlation,omitempty"` // upstream's correlationid; empty stands for ID
	Trace       string          `json:"trace,omitempty"`       // upstream's traceparent
	Data        json.RawMessage `json:"-"`
}

// Hash gives the event's identity in 16 hexadecimal digits (8 bytes of a SHA-256 over source and id), as state keeps it.
func (e Event) Hash() string {
	pair := append(make([]byte, 0, 256), e.Source...)
	pair = append(pair, 0) // no source holds it: two pairs cannot run into each other
	sum := sha256.Sum256(append(pair, e.ID...))
	return hexadecimal(sum[:8])
}

func hexadecimal(b []byte) string { return string(hex.AppendEncode(make([]byte, 0, 64), b)) }

// Work is an event, or a follow-up of one, with what has been done of it so far.
type Work struct {
	Event      Event                      `json:"event"`
	Offset     int64                      `json:"offset"`               // of its record in the inbox
	Follow     string                     `json:"follow,omitempty"`     // the follow-up's name; empty for the event itself
	Round      int                        `json:"round,omitempty"`      // which replay of the event it is; 0: none
	Held       outcome.Verdict            `json:"held,omitempty"`       // Waiting, Retrying or Unresolved; Done while it is open
	Reason     outcome.Reason             `json:"reason,omitempty"`     // of that verdict
	On         string                     `json:"on,omitempty"`         // the object that it waits for
	Since      time.Time                  `json:"since,omitzero"`       // when it was held first
	Due        time.Time                  `json:"due,omitzero"`         // when to look at it again; zero: only when it is woken
	Tries      int                        `json:"tries,omitempty"`      // attempts that ended in a retry
	Panics     int                        `json:"panics,omitempty"`     // attempts in which the handler panicked
	Failed     time.Time                  `json:"failed,omitzero"`      // when it failed first
	Failing    time.Duration              `json:"failing,omitempty"`    // for how long each try got a 5xx, while others succeeded
	Answers    map[string]json.RawMessage `json:"answers,omitempty"`    // per step, the API's answer: IDs and statuses
	Sent       []Sent                     `json:"sent,omitempty"`       // what the answered steps had sent
	Generation map[string]int             `json:"generation,omitempty"` // per step; 0 is left out
	Intent     *Intent                    `json:"intent,omitempty"`     // the step that is under way or in doubt
	Told       []outcome.Reason           `json:"told,omitempty"`       // why it was held, as it was published
	Outcome    *Outcome                   `json:"outcome,omitempty"`    // once it has one: what is still to be published
}

// Intent is a call with an effect, written down before it is made.
type Intent struct {
	Step       string    `json:"step"`
	Generation int       `json:"generation,omitempty"`
	FirstSent  time.Time `json:"first_sent"`          // when the first call with this key may have been sent
	LastTry    time.Time `json:"last_try"`            // when the last one without an answer was under way
	Ambiguous  bool      `json:"ambiguous,omitempty"` // a try ended without an answer
	Refs       Refs      `json:"refs,omitempty"`
	Digest     string    `json:"digest"` // of the body: every repeat sends the same

	inherited bool // it was read back, not written by this owner: nobody knows how far the call got
}

// Sent is what a step that has its answer had sent: a replay whose data would have it send something else is refused.
type Sent struct {
	Step   string `json:"step"`
	Refs   Refs   `json:"refs,omitempty"`
	Digest string `json:"digest"` // of the body
}

// Refs are what a call's body takes from elsewhere than its event (investor, wallet, documents), by name: kept, so that
// every repeat sends the same body although the customer has changed since.
type Refs map[string]string

// doubt says whether a call with the intent's key may have had its effect without our knowing.
func (in *Intent) doubt() bool { return in.inherited || in.Ambiguous }

// Equal says whether two intents, or none, say the same.
func (in *Intent) Equal(other *Intent) bool {
	return same(in, other, func(a, b *Intent) bool {
		return a.Step == b.Step && a.Generation == b.Generation && a.FirstSent.Equal(b.FirstSent) && a.LastTry.Equal(b.LastTry) &&
			a.Ambiguous == b.Ambiguous && maps.Equal(a.Refs, b.Refs) && a.Digest == b.Digest && a.inherited == b.inherited
	})
}

// Inherit marks an open intent as another owner's: it is in doubt from now on. State calls it for all it restores.
func (w *Work) Inherit() {
	if w.Intent != nil {
		w.Intent.inherited = true
	}
}

// Clone gives a copy that shares nothing with w that an attempt changes.
func (w Work) Clone() Work {
	w.Answers = maps.Clone(w.Answers)
	w.Generation = maps.Clone(w.Generation)
	w.Told = slices.Clone(w.Told)
	w.Sent = slices.Clip(w.Sent)
	if w.Intent != nil {
		in := *w.Intent
		w.Intent = &in
	}
	return w
}

// Outcome is how an event or a follow-up ended, as it is recorded: what is published is made from it and the event
// alone, so that a repeat has the same bytes.
type Outcome struct {
	Verdict outcome.Verdict `json:"verdict"` // Done, Rejected or Unresolved; Waiting for news of held work
	Time    time.Time       `json:"time"`
	Results []Result        `json:"results,omitempty"`
	Dead    *Dead           `json:"dead,omitempty"` // set if the event goes to the dead letters
}

// Result is one result event to be published.
type Result struct {
	Type    string          `json:"type"`    // without the configured prefix: "investment.created"
	Subject string          `json:"subject"` // as in the CloudEvent: "order/1001"
	Data    json.RawMessage `json:"data"`
}

// Dead is why an event goes to the dead letters.
type Dead struct {
	Reason outcome.Reason `json:"reason"`
	Class  outcome.Class  `json:"class,omitempty"`
	Step   string         `json:"step,omitempty"`
	Status int            `json:"status,omitempty"`
	Code   string         `json:"code,omitempty"`
	Fields []string       `json:"fields,omitempty"`
	Tries  int            `json:"tries"`
	Failed time.Time      `json:"failed"` // when it failed first
}
