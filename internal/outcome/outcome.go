// Package outcome holds the closed set of ways in which an attempt at an event can end, and why.
//
// A handler returns nil (done) or an error whose type is the verdict: an *Error made by Retry, Wait, Reject or
// Unknown, marked where the knowledge is (an API status, a missing object), and decided on in one place, the
// consumer. An error that carries no verdict is a retry: a needless retry costs time, a needless give-up costs data.
//
// The package knows nothing of Kafka, of the API, or of events. No text in an Error comes from a third party, so it
// can be logged: who makes one sees to that (Clean helps with codes). Of is the exception: it takes any error, as the
// bridge's own code makes them.
package outcome

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Verdict says how an attempt ended. The set is closed; see design section 5.
type Verdict uint8

// The verdicts.
const (
	Done       Verdict = iota // all steps are done
	Retrying                  // the same key and body again, later, without a limit of attempts
	Waiting                   // something that has to be there first is not there yet
	Rejected                  // given up: dead letter, and the result event.rejected
	Unresolved                // it is not known whether it happened: never repeated by itself, a person looks
)

// String gives the verdict's word as it stands in state, logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Done:
		return "done"
	case Retrying:
		return "retrying"
	case Waiting:
		return "waiting"
	case Rejected:
		return "rejected"
	case Unresolved:
		return "unknown"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Error is a verdict other than Done, with what an operator, a dead letter and a metric need to know.
type Error struct {
	Verdict Verdict
	Reason  Reason        // from the closed set
	Class   Class         // what was observed, for retries and dead letters
	Step    string        // the step in which it happened; empty outside of steps
	Status  int           // HTTP status; 0 if there was no answer
	Code    string        // the API's machine-readable code, cleaned; empty if it gave none
	Fields  []string      // names of the fields that the API refused, cleaned
	On      string        // Waiting: the object that is waited for, such as "customer" or "order/1001"
	After   time.Duration // Retrying: not before this much time has passed (Retry-After); 0 if nothing was told
	InDoubt bool          // Retrying: the call may have had its effect, although no answer says so
	Err     error         // the cause, for the log; never third-party text
}

// Error says what happened in words made of closed sets, and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Verdict, e.Reason)
	if e.Step != "" {
		fmt.Fprintf(&b, " in step %s", e.Step)
	}
	if e.Class != "" {
		fmt.Fprintf(&b, ", %s", e.Class)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ", status %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ", code %s", e.Code)
	}
	if len(e.Fields) > 0 {
		fmt.Fprintf(&b, ", fields %s", strings.Join(e.Fields, " "))
	}
	if e.After > 0 {
		fmt.Fprintf(&b, ", not before %s from now", e.After)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retry makes the verdict that the same call may be made again. inDoubt says whether it may have had its effect.
func Retry(class Class, inDoubt bool, err error) *Error {
	return &Error{Verdict: Retrying, Reason: Temporary, Class: class, InDoubt: inDoubt, Err: err}
}

// Wait makes the verdict that the event has to wait, why, and for which object of its customer. An empty on means
// that nothing will wake it, so that it has to be looked at again on a schedule.
func Wait(reason Reason, on string) *Error {
	return &Error{Verdict: Waiting, Reason: reason, On: on}
}

// Reject makes the verdict that the event is given up, and which of its fields are to blame, if that is known.
func Reject(reason Reason, fields ...string) *Error {
	return &Error{Verdict: Rejected, Reason: reason, Class: ClassEvent, Fields: fields}
}

// Unknown makes the verdict that only a person can say what happened.
func Unknown(reason Reason, err error) *Error {
	return &Error{Verdict: Unresolved, Reason: reason, Err: err}
}

// Of gives the verdict that err carries; nil stands for Done. An error without a verdict, the end of a context among
// them, is a retry in doubt: the careful reading, since nobody knows how far the call got.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Retry(ClassInternal, true, err)
}

// At gives a copy of the verdict of err that names the step in which it happened. A step that is named already stays.
func At(step string, err error) error {
	if err == nil {
		return nil
	}
	e := *Of(err)
	if e.Step == "" {
		e.Step = step
	}
	return &e
}
