// Package attempt is an event being worked on: its remembered steps, and the objects it sees. Handlers use it to make
// calls, the consumer to hold, record and repeat them.
//
// # The promise of a step
//
// Do makes one call with an effect, once, whatever happens in between:
//
//   - Before the first call the intent (step, generation, time, digest of the body) is written down and acknowledged.
//   - Every repeat has the same key and the same body.
//   - A crash before the intent is durable: nothing was sent, the step starts anew.
//   - A crash after it: the next owner inherits the intent, is in doubt, and repeats the same key; the API answers with
//     what it answered first.
//   - In doubt, a refusal may be that of a repeat while the first call is still under way: it counts only when the last
//     try is Quiet ago.
//   - In doubt for longer than the API keeps keys, nobody can know: the verdict is Unknown, and nothing is sent.
//   - A replay of an event that was given up goes on with the answers that it had. Mended data that would have an answered
//     step send something else is refused.
//   - An answer is remembered with the work; a later attempt gets it and makes no call. It becomes durable with the next
//     write, be that the next step's intent, a hold or the outcome; a crash before costs a repeat with the same key.
//
// The package knows neither Kafka nor the API.
package attempt

import (
	"context"
	"crypto/sha1" //nolint:gosec // see Key
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/draft"
	"distributor-bridge/internal/outcome"
)

// namespace is the project's own name space for idempotency keys. It must never change: keys of steps in doubt would.
var namespace = uuid.MustParse("6f1c3a52-97d2-4b0e-8a55-6b1d4e0c7f21")

// Key gives the idempotency key of a step: a UUIDv5 of the event's source and ID, the step and its generation.
func Key(e Event, step string, generation int) uuid.UUID {
	name := append(make([]byte, 0, 256), namespace[:]...) // which stays on the stack, as a rule
	for _, part := range []string{e.Source, e.ID, step} {
		name = binary.AppendUvarint(name, uint64(len(part))) // the length first: no two lists of parts look alike
		name = append(name, part...)
	}
	name = binary.AppendUvarint(name, uint64(generation))
	sum := sha1.Sum(name) //nolint:gosec // UUIDv5 is made of it; nobody's safety hangs on it
	key := uuid.UUID(sum[:16])
	key[6], key[8] = key[6]&0x0f|0x50, key[8]&0x3f|0x80 // version 5, and the variant of RFC 9562
	return key
}

// Do makes the step's call with an effect, or gives the answer that it had. refs are what the body takes from elsewhere
// than the event; body makes it from them, the same each time; send makes the call. The answer is kept in state, so A
// must hold IDs and statuses only. The error is a verdict that names the step; of one that has been answered (Answered) the answer is
// given beside it, so that what was made is remembered although the event is refused.
func Do[B, A any](ctx context.Context, r *Run, step string, refs Refs, body func(Refs) B,
	send func(ctx context.Context, key uuid.UUID, body B) (A, error)) (A, error) {
	if r.Answered(step) {
		return answered[A](r, step, func(refs Refs) any { return body(refs) })
	}
	var none A
	if in := r.work.Intent; in != nil && in.Step == step {
		refs = in.Refs
	}
	b := body(refs)
	digest, err := r.digest(b)
	if err != nil {
		return none, outcome.At(step, err)
	}
	if err := r.intend(ctx, step, refs, digest); err != nil {
		return none, outcome.At(step, err)
	}
	ready, err := r.journal.Ready(ctx)
	if err != nil {
		return none, outcome.At(step, err)
	}
	doubted := r.work.Intent.Ambiguous
	r.work.Intent.Ambiguous = true // should send not come back
	a, err := send(ready, Key(r.work.Event, step, r.work.Intent.Generation), b)
	r.work.Intent.Ambiguous = doubted
	if err != nil {
		return a, outcome.At(step, r.unanswered(outcome.Of(err)))
	}
	return a, r.keep(a, Sent{step, refs, digest})
}

// Repeat makes the call of a step that may be repeated without harm (a document, a PATCH), or gives the answer that it
// had. It needs no intent; else it is like Do. what is that part of the event which the step sends.
func Repeat[A any](ctx context.Context, r *Run, step string, what any,
	send func(ctx context.Context, key uuid.UUID) (A, error)) (A, error) {
	if r.Answered(step) {
		return answered[A](r, step, func(Refs) any { return what })
	}
	var none A
	digest, err := r.digest(what)
	if err != nil {
		return none, outcome.At(step, err)
	}
	ready, err := r.journal.Ready(ctx)
	if err != nil {
		return none, outcome.At(step, err)
	}
	// Each replay has another key, since its data may be other, too.
	a, err := send(ready, Key(r.work.Event, step, r.work.Generation[step]+r.work.Round))
	if err != nil {
		return a, outcome.At(step, err)
	}
	return a, r.keep(a, Sent{Step: step, Digest: digest})
}

// answered gives the answer that a step had; body makes what a replay would send.
func answered[A any](r *Run, step string, body func(Refs) any) (A, error) {
	var answer A
	if err := json.Unmarshal(r.Work().Answers[step], &answer); err != nil {
		return answer, outcome.At(step, err)
	}
	return answer, outcome.At(step, r.unchanged(step, body))
}

// unchanged sees to it that a replay would have an answered step send what it has sent. One of which that is not known was
// answered for an older bridge.
func (r *Run) unchanged(step string, body func(Refs) any) error {
	if r.work.Round == 0 {
		return nil // the inbox's record is the one that was attempted before
	}
	i := slices.IndexFunc(r.work.Sent, func(s Sent) bool { return s.Step == step })
	if i < 0 {
		return nil
	}
	digest, err := r.digest(body(r.work.Sent[i].Refs))
	if err == nil && digest != r.work.Sent[i].Digest {
		err = outcome.Reject(outcome.StepChanged)
	}
	return err
}

// Answered says whether the step has its answer, so that a handler need not look at what only the call needs.
func (r *Run) Answered(step string) bool {
	_, ok := r.work.Answers[step]
	return ok || slices.ContainsFunc(r.answers, func(a answer) bool { return a.Step == step })
}

// Begun says whether the step's call may have been made already: it must be repeated before anything else is decided.
func (r *Run) Begun(step string) bool {
	return r.Answered(step) || r.work.Intent != nil && r.work.Intent.Step == step
}

// intend sees to it that the step's intent is durable and may still be acted on.
func (r *Run) intend(ctx context.Context, step string, refs Refs, digest string) error {
	now := stamp()
	in := r.work.Intent
	switch {
	case in == nil:
		r.work.Intent = &Intent{Step: step, Generation: r.work.Generation[step], FirstSent: now, LastTry: now, Refs: refs, Digest: digest}
	case in.Step != step:
		// Steps come in one order, and an answer closes its intent: the handler's order has changed since.
		return outcome.Unknown(outcome.BodyChanged, fmt.Errorf("step %s is in doubt, and another is to be made", in.Step))
	case in.Digest != digest:
		return outcome.Unknown(outcome.BodyChanged, nil)
	case in.doubt() && r.tooOld(in, now):
		return outcome.Unknown(outcome.KeyExpired, nil)
	case !in.inherited:
		return nil // this owner wrote it, and has been the owner since
	default:
		// Written again, so that a takeover in turn knows of this try: quiet counts from here.
		in.LastTry, in.Ambiguous, in.inherited = now, true, false
	}
	changed := r.Changed()
	for i := range changed {
		changed[i].Object = changed[i].Object.Clone() // the handler goes on
	}
	if err := r.journal.Intend(ctx, r.Work().Clone(), changed); err != nil {
		r.work.Intent = in // what was not acknowledged is not to be acted on
		return err
	}
	for _, e := range changed {
		r.look(e.Key).written = true
	}
	// The write may have taken any time.
	if in := r.work.Intent; r.tooOld(in, stamp()) {
		return outcome.Retry(outcome.ClassInternal, in.doubt(), fmt.Errorf("the intent took too long to write"))
	}
	return nil
}

// unanswered brings the intent up to what was observed, and gives the verdict that follows.
func (r *Run) unanswered(e *outcome.Error) error {
	in := r.work.Intent
	switch {
	case e.Verdict == outcome.Rejected && in.doubt() && stamp().Before(in.LastTry.Add(r.cfg.Quiet)):
		// A lost call may still land; only when all is quiet does the refusal say that it did not. LastTry is the last
		// try whose end is not known: this answer does not push the quiet time further away.
		retry := *e
		retry.Verdict, retry.Reason, retry.InDoubt = outcome.Retrying, outcome.Temporary, true
		retry.After = max(e.After, in.LastTry.Add(r.cfg.Quiet).Sub(stamp()))
		return &retry
	case e.Verdict == outcome.Rejected:
		r.work.Intent = nil
	case e.Verdict == outcome.Unresolved, e.Verdict == outcome.Retrying && e.InDoubt:
		in.Ambiguous = true
		in.LastTry = stamp()
	case e.Verdict == outcome.Retrying && !in.doubt():
		r.work.Intent = nil // surely never sent: the next attempt starts anew, with a first_sent of its own
	}
	return e
}

func (r *Run) tooOld(in *Intent, now time.Time) bool {
	return now.Sub(in.FirstSent) >= r.cfg.KeyRetention-r.cfg.Margin
}

// stamp gives the present as state keeps it: UTC, in milliseconds.
func stamp() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// digest gives 16 bytes of the SHA-256 of the event's identity and the body's JSON, in hexadecimal digits. With the identity in it,
// short bodies of personal data cannot be told by trying what they may be for all customers at once.
func (r *Run) digest(body any) (string, error) {
	d := draft.New()
	defer func() { _ = d.Close() }()
	for _, part := range [...]string{r.work.Event.Source, r.work.Event.ID} {
		_, _ = d.WriteString(part) // a Buffer's methods give no error
		_ = d.WriteByte(0)
	}
	if err := d.JSON(body); err != nil {
		return "", err
	}
	sum := sha256.Sum256(d.Bytes())
	return hexadecimal(sum[:16]), nil
}
