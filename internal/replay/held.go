package replay

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// What something held is; see Held.Verdict. The set is closed.
const (
	HeldWaiting  = "waiting"  // for something else to be there
	HeldRetrying = "retrying" // a call failed, and is made again
	HeldUnknown  = "unknown"  // only a person can say what happened
	HeldBehind   = "behind"   // an earlier event of the subject retries or is unknown
	HeldAtWork   = "at_work"  // being worked on as state was read; in doubt, if its member has died
	HeldEnded    = "ended"    // ended, and about to be told
)

// HeldVerdicts are the values of Held.Verdict.
func HeldVerdicts() []string {
	return []string{HeldWaiting, HeldRetrying, HeldUnknown, HeldBehind, HeldAtWork, HeldEnded}
}

// Held is an event, or a follow-up of one, that has not ended; or a number of events behind such a one.
type Held struct {
	Customer string
	Subject  string // within the customer
	Key      string // of the record that holds it
	Verdict  string // HeldWaiting and so on
	Count    int    // 1; of HeldBehind, how many events
	Offset   int64  // in the inbox; of HeldBehind, the first one's

	// The rest is not known of what is behind: only its offsets are kept.

	Source, ID, Type string
	Emitted          time.Time
	Follow           string // the follow-up's name; empty: the event itself
	Reason           outcome.Reason
	On               string    // the object that it waits for
	Since            time.Time // when it was held first
	Due              time.Time // when it is looked at again, or given up; zero: when something happens
	Tries            int
	Failed           time.Time       // when it failed first
	GivenUp          bool            // a follow-up that was unknown for too long: a dead letter tells of it, and it stays
	Decided          string          // what a person has said of a task whose end is not known: happened, did_not_happen
	Answered         []string        // steps that have their answer
	Intent           *attempt.Intent // the step that is under way or in doubt

	Task string // the provider's ID of the credit, redemption or transfer that is followed

	processing  bool           // a task of its object is under way
	generations map[string]int // of steps' keys
}

// HeldQuery says what of what is held is wanted. Its zero value: events, and those follow-ups that need a look.
type HeldQuery struct {
	Filter
	FollowUps bool // all of them: also those that only wait for a status to change
}

// Held gives what is held, longest first.
func (d *Desk) Held(ctx context.Context, q HeldQuery) ([]Held, error) {
	var customers []string
	if len(q.Customers) > 0 {
		customers = q.Customers
	}
	var all []Held
	err := d.state(ctx, customers, func(customer, _ string) bool { return among(q.Customers, customer) },
		func(customer string, e state.Entry) {
			for _, h := range heldIn(customer, e.Key, e.Record) {
				if q.Filter.Held(&h) && (q.FollowUps || !h.routine()) {
					all = append(all, h)
				}
			}
		})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, Held.compare)
	return all, nil
}

// compare puts what is held longest first; of what is behind it is not known since when: last.
func (h Held) compare(o Held) int {
	if h.Since.IsZero() != o.Since.IsZero() {
		return map[bool]int{true: 1, false: -1}[h.Since.IsZero()]
	}
	return cmp.Or(h.Since.Compare(o.Since), cmp.Compare(h.Offset, o.Offset))
}

// routine says whether it is a follow-up that only takes its time.
func (h *Held) routine() bool {
	return h.Follow != "" && (h.Verdict == HeldWaiting || h.Verdict == HeldEnded || h.Verdict == HeldAtWork)
}

// heldIn gives what a record holds.
func heldIn(customer, key string, r *state.Record) []Held {
	var list []Held
	for _, w := range r.Work {
		h := Held{
			Customer: customer, Subject: attempt.Subject(key), Key: key, Verdict: verdictOf(w), Count: 1, Offset: w.Offset,
			Source: w.Event.Source, ID: w.Event.ID, Type: w.Event.Type, Emitted: w.Event.Time, Follow: w.Follow,
			Reason: w.Reason, On: w.On, Since: w.Since, Due: w.Due, Tries: w.Tries, Failed: w.Failed, Intent: w.Intent,
			GivenUp: givenUp(w), Decided: string(w.Decided), Task: taskOf(w, r),
			processing: r.Processing(), generations: w.Generation,
		}
		for step := range w.Answers {
			h.Answered = append(h.Answered, step)
		}
		slices.Sort(h.Answered)
		list = append(list, h)
	}
	if n := len(r.Behind); n > 0 {
		list = append(list, Held{
			Customer: customer, Subject: attempt.Subject(key), Key: key, Verdict: HeldBehind, Count: n, Offset: r.Behind[0],
		})
	}
	return list
}

// taskOf gives the task at the provider that a follow-up looks at.
func taskOf(w attempt.Work, r *state.Record) string {
	switch {
	case w.Follow == "":
		return ""
	case r.Order != nil:
		return r.Order.CreditTask
	case r.Position != nil:
		return r.Position.TaskID
	}
	return ""
}

// givenUp says whether work is a dead letter already, although it is still there.
func givenUp(w attempt.Work) bool { return slices.Contains(w.Told, outcome.NeverResolved) }

func verdictOf(w attempt.Work) string {
	switch w.Held {
	case outcome.Waiting:
		return HeldWaiting
	case outcome.Retrying:
		return HeldRetrying
	case outcome.Unresolved:
		return HeldUnknown
	}
	if w.Outcome != nil {
		return HeldEnded
	}
	return HeldAtWork
}

// Words says for people why something waits, retries, is unknown or was given up; the reason itself if there are none.
func Words(reason outcome.Reason) string {
	return cmp.Or(words[reason], strings.ReplaceAll(string(reason), "_", " "))
}

var words = map[outcome.Reason]string{
	outcome.InvestorMissing:    "the customer is not registered at the provider yet",
	outcome.KYCPending:         "the customer's KYC has not succeeded yet",
	outcome.WalletMissing:      "the customer has no wallet yet, or not the one that is named",
	outcome.InvestmentMissing:  "the order has no investment yet",
	outcome.PositionProcessing: "an earlier credit, redemption or transfer is still processing",
	outcome.StatusPending:      "its status at the provider is not final yet",
	outcome.Temporary:          "a call failed, and is made again with the same key",
	outcome.Paused:             "its type has paused, since too many of its events were rejected",

	outcome.Invalid:             "the event does not keep its schema",
	outcome.Refused:             "the provider refused the call",
	outcome.Conflict:            "the same order or position came before, with other data",
	outcome.AmbiguousWallet:     "no wallet is named, and the customer has several",
	outcome.UnknownOffering:     "the offering is not in the bridge's configuration",
	outcome.PersonCompanyChange: "a person cannot become a company, nor the other way",
	outcome.DocumentGone:        "a document is no longer where the event says",
	outcome.DocumentTooLarge:    "a document is larger than it may be",
	outcome.DocumentMismatch:    "a document has another size or SHA-256 than the event says",
	outcome.DocumentRefusedLink: "a document's link leads to a place that is not allowed",
	outcome.NotRegistered:       "the provider knows no such investor, wallet, investment or task",
	outcome.Expired:             "it waited for too long",
	outcome.Bug:                 "the bridge failed at it time and again",
	outcome.Discarded:           "an operator gave it up while it was held",
	outcome.NeverResolved:       "nobody found out for too long whether it happened",
	outcome.StepChanged:         "the mended data would change a step that has succeeded",
	outcome.TooLarge:            "it is larger than the inbox takes",
	outcome.Undecodable:         "it is no CloudEvent",
	outcome.UnknownType:         "its type is not known",
	outcome.ForeignCommand:      "upstream emitted a command, which only operators give",

	outcome.TaskUnknown:    "the provider does not know whether it happened",
	outcome.ContractBroken: "the provider's answer does not say what it promises to say",
	outcome.KeyReused:      "the provider knows the call's key with another body",
	outcome.BodyChanged:    "what would be sent now differs from what was sent before",
	outcome.KeyExpired:     "it is not known whether the call arrived, and it is too late to repeat it safely",
	outcome.Failing:        "it alone fails for long, while others succeed",
}
