package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// Decision is what a person has found out of something unknown.
type Decision struct {
	Happened   bool
	ProviderID string // of what the call made; required if it happened, but of a task that is known
	Step       string // of one that may be repeated without harm, and so has no intent; event.unresolved names it
}

// Effect is a command about something held, and what it brought about.
type Effect struct {
	Command string // its ID
	Held    Held   // what it is about, as it was
	At      Place  // of the command, in the inbox
	Word    string // see EffectDone and so on
	Now     string // Held.Verdict afterwards, if it is still held
	Reason  outcome.Reason
}

// What a command has brought about. The set is closed.
const (
	EffectOpen = "written"   // it is not known yet: it is done when the bridge does it
	EffectIdle = "no_effect" // it was not current any more when its turn came
	EffectOn   = "goes_on"   // what was unknown goes on, or waits for its turn to
	EffectDone = "ended"     // what was held is no more: status and dead show tell how it ended
)

// ErrSeveral is that of a command about one thing of which there are several.
var ErrSeveral = errors.New("several are held")

// ErrNoProviderID is that of a decision that something happened without what it made.
var ErrNoProviderID = errors.New("that it happened needs the provider's ID of what was made, from its front end: give --provider-id")

// Unknown gives the one thing among those that the filter is about of which a person has to say what happened, and may say so
// now. The error is ErrNothing where there is none, and says why; ErrSeveral where there are more.
func (d *Desk) Unknown(ctx context.Context, f Filter, decision Decision) (Held, error) {
	held, err := d.Held(ctx, HeldQuery{Filter: f, FollowUps: true})
	if err != nil {
		return Held{}, err
	}
	unknown := slices.DeleteFunc(slices.Clone(held), func(h Held) bool { return h.Verdict != HeldUnknown })
	switch {
	case len(held) == 0:
		return Held{}, fmt.Errorf("%w: nothing of it is held; status and dead show tell what became of it", ErrNothing)
	case len(unknown) == 0:
		return Held{}, fmt.Errorf("%w: it is %s, and nothing of it unknown", ErrNothing, strings.ReplaceAll(held[0].Verdict, "_", " "))
	case len(unknown) > 1:
		return Held{}, fmt.Errorf("%w of that ID: say which by --source, --customer or --subject", ErrSeveral)
	}
	h := unknown[0]
	switch end := d.quietAt(&h); {
	case h.Intent == nil && h.Reason != outcome.TaskUnknown && decision.Step != "" && !decision.Happened: // made again by another key
	case h.Intent == nil && h.Reason != outcome.TaskUnknown:
		return h, fmt.Errorf("%w: no call of it is in doubt, so that nothing is to be found out: held discard gives it up,"+
			" dead replay puts it back; or --did-not-happen --step, as event.unresolved names it, repeats the step under a new key",
			ErrNothing)
	case !decision.Happened && h.Intent != nil && time.Now().Before(end):
		return h, fmt.Errorf("%w: the last try may still land; say that it did not happen not before %s", ErrNothing,
			end.UTC().Format(time.RFC3339))
	case decision.Happened && decision.ProviderID == "" && (h.Intent != nil || h.Task == ""):
		return h, ErrNoProviderID
	}
	return h, nil
}

// quietAt says when the last try of a call in doubt can no more land.
func (d *Desk) quietAt(h *Held) time.Time {
	if h.Intent == nil {
		return time.Time{}
	}
	last := h.Intent.LastTry
	if h.Since.After(last) {
		last = h.Since
	}
	return last.Add(d.cfg.Quiet).Truncate(time.Second).Add(time.Second) // not earlier than the engine, which has its own clock
}

// Resolve writes the command that something unknown has happened, or has not.
func (d *Desk) Resolve(ctx context.Context, h Held, decision Decision, who Who) (Effect, error) {
	data := schemas.CommandResolve{
		By: who.By, Why: who.Why, CustomerID: h.Customer, Object: h.Key, Event: d.ref(&h), FollowUp: h.Follow,
		Step: cmp.Or(decision.Step, h.Follow), Reason: string(h.Reason), Happened: decision.Happened,
		ProviderID: cmp.Or(decision.ProviderID, h.Task),
	}
	data.Generation = h.generations[data.Step]
	if h.Intent != nil {
		data.Step, data.Generation = h.Intent.Step, h.Intent.Generation
	}
	if !decision.Happened {
		data.ProviderID = ""
	}
	return d.command(ctx, h, schemas.TypeCommandResolve, data)
}

// Discardable gives what of the filter can be given up: not what has only bare offsets, is at work, has ended or is given up.
func (d *Desk) Discardable(ctx context.Context, q HeldQuery) ([]Held, error) {
	held, err := d.Held(ctx, q)
	return slices.DeleteFunc(held, func(h Held) bool {
		return h.Verdict == HeldBehind || h.Verdict == HeldAtWork || h.Verdict == HeldEnded || h.GivenUp ||
			h.processing && h.Follow != "" && h.Verdict != HeldUnknown // nobody would see the end of its task, for which others wait
	}), err
}

// Discard writes the command that gives up something held.
func (d *Desk) Discard(ctx context.Context, h Held, who Who) (Effect, error) {
	return d.command(ctx, h, schemas.TypeCommandDiscard, schemas.CommandDiscard{
		By: who.By, Why: who.Why, CustomerID: h.Customer, Object: h.Key, Event: d.ref(&h), FollowUp: h.Follow,
	})
}

func (d *Desk) ref(h *Held) schemas.EventRef {
	return schemas.EventRef{ID: h.ID, Source: h.Source, Type: d.cfg.Contract.FullType(h.Type)}
}

// command writes a command about a customer, acknowledged, to the customer's partition. Once it is begun it is brought to its
// end, so that it is known whether it was written.
func (d *Desk) command(ctx context.Context, h Held, name string, data any) (done Effect, err error) {
	if err := d.fit(ctx); err != nil {
		return Effect{}, err
	}
	if err := ctx.Err(); err != nil {
		return Effect{}, err
	}
	e, err := d.cfg.Contract.NewCommand(name, d.cfg.Source, data)
	if err != nil {
		return Effect{}, err
	}
	value, headers := e.Binary()
	r := kafka.Record{Topic: d.cfg.Inbox, Key: []byte(h.Customer), Value: value, Headers: headers}
	r.Partition = kafka.Partition(r.Key, d.cfg.Partitions)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	producer := d.cfg.Client.Producer(kafka.ProducerConfig{MaxBatchBytes: d.cfg.MaxRecord})
	defer func() { err = errors.Join(err, producer.Close(ctx)) }()
	offsets, err := producer.Produce(ctx, r)
	if err != nil {
		return Effect{}, fmt.Errorf("write the command: it may stand in the inbox or not; giving it again is harmless: %w", err)
	}
	return Effect{Command: e.ID, Held: h, Word: EffectOpen, At: Place{r.Topic, r.Partition, offsets[0]}}, nil
}

// Await looks what commands have brought about, for at most so long. What is not known then stays EffectOpen.
func (d *Desk) Await(ctx context.Context, effects []Effect, limit time.Duration) error {
	end := time.Now().Add(limit)
	for pause := lookEvery; ; pause = min(2*pause, slowestLook) {
		open, err := d.effects(ctx, effects)
		if err != nil || !open || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(pause, max(time.Until(end), time.Millisecond))):
		}
	}
}

// effects looks once, and says whether something is still to come: what goes on is looked at until it has ended, or is held
// again.
func (d *Desk) effects(ctx context.Context, effects []Effect) (open bool, err error) {
	done, err := d.cfg.Client.GroupOffsets(ctx, d.cfg.Group, d.cfg.Inbox)
	if err != nil {
		return false, fmt.Errorf("look how far the inbox is done: %w", err)
	}
	customers := map[string]bool{}
	for i := range effects {
		customers[effects[i].Held.Customer] = true
	}
	known, err := d.remembered(ctx, customers)
	if err != nil {
		return false, err
	}
	for i := range effects {
		e := &effects[i]
		e.judge(known[e.Held.Customer][e.Held.Key], e.At.Offset >= 0 && done[e.At.Partition] > e.At.Offset)
		open = open || e.Word == EffectOpen || e.Word == EffectOn && (e.Now == HeldRetrying || e.Now == HeldAtWork)
	}
	return open, nil
}

// judge says what has come of a command, by the record of what it is about. passed: its turn has come.
func (e *Effect) judge(r *state.Record, passed bool) {
	at := -1
	if r != nil {
		at = r.Find(e.Held.Offset, e.Held.Follow)
	}
	if at < 0 {
		e.Word, e.Now, e.Reason = EffectDone, "", ""
		return
	}
	w := r.Work[at]
	now := verdictOf(w)
	same := now == e.Held.Verdict && w.Intent.Equal(e.Held.Intent) && w.Since.Equal(e.Held.Since) &&
		givenUp(w) == e.Held.GivenUp && string(w.Decided) == e.Held.Decided
	switch {
	case givenUp(w) && !e.Held.GivenUp, w.Outcome != nil && (w.Outcome.Dead != nil || w.Held == outcome.Done):
		e.Word, e.Now, e.Reason = EffectDone, "", ""
	case !same:
		e.Word, e.Now, e.Reason = EffectOn, now, w.Reason
	case passed && e.Word == EffectOpen:
		e.Word = EffectIdle
	}
}
