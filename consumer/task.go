package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v4"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/internal/trace"
	"distributor-bridge/schemas"
)

// onPositions is what positions events wait for when an earlier one is processing: not an object, but the turn.
const onPositions = schemas.SubjectPositions

// mostPanics is how often a handler may panic at an event before it is given up.
const mostPanics = 5

// errNotOurs is that of a record of the inbox that no intake has put there.
var errNotOurs = errors.New("the inbox record is not one that intake writes")

// task is work in a lane's hand.
type task struct {
	lane     *lane
	home     string // key of the record that holds the work
	work     attempt.Work
	item     *item                       // nil for a record that is fresh from the inbox
	record   *kafka.Record               // the inbox's; nil for a follow-up
	own      kafka.Record                // that one, if it is fresh
	pause    *backoff.ExponentialBackOff // nil until there is trouble
	began    time.Time
	stands   time.Time       // since when the clock that began began stands; zero: it goes
	again    time.Time       // of a fresh record: when a short trouble is to be over
	was      outcome.Verdict // what it was held as
	command  int64           // the inbox offset of the operator's command that ends it; 0: none does (one cannot be the first record)
	tried    time.Time       // when it last ended in a retry
	repeated bool            // its outcome was recorded before
	span     trace.Span      // of the present attempt
	wrote    map[string]bool // objects that attempts before the present one changed: their intents have written them
}

func (t *task) fresh() bool { return t.item == nil }

// process does a record of the inbox. nil: its offset is done; errPublishing: it will be.
func (p *partition) process(work context.Context, l *lane, record kafka.Record) error {
	if p.isCommand(record) {
		return p.obey(work, l, record)
	}
	t := &task{lane: l, own: record, began: time.Now()}
	t.record = &t.own
	event, err := p.event(record)
	if err != nil {
		l.hand.turn(recording)
		return p.reject(work, record, err)
	}
	t.home = event.Subject
	t.work = attempt.Work{Event: event, Offset: record.Offset}
	from, err := originOf(record, p.cfg.Inbox)
	if err != nil {
		l.hand.turn(recording)
		return p.reject(work, record, err)
	}
	t.work.Round = from.round
	r := p.store.Get(l.customer, t.home)
	if r == nil && from.round == 0 {
		return p.try(work, t)
	}
	if r == nil {
		r = state.NewRecord()
	}
	if record.Offset <= r.Seen {
		l.hand.turn(recording)
		if record.Offset == r.Seen && r.Last != nil {
			t.repeated = true
			err = p.publish(work, t, *r.Last)
		}
		p.report(t, nil, Report{Repeated: true})
		return err
	}
	if open := r.Find(record.Offset, ""); open >= 0 {
		t.work = r.Work[open].Clone() // begun by an owner before this one
		t.work.Event = event
		return p.try(work, t)
	}
	last, current := recall(&t.work, r, from)
	switch {
	case !current:
		p.report(t, nil, Report{Repeated: true})
		return nil
	case len(r.Behind) >= mostBehind:
		return errCrowded
	case len(r.Behind) > 0 || crowded(r) || blocked(r, record.Offset):
		l.hand.turn(recording)
		return p.queue(work, t, last)
	}
	return p.begin(work, t, last)
}

// begin attempts t, or puts back the follow-up that it is a replay of.
func (p *partition) begin(work context.Context, t *task, last *state.Rejection) error {
	if last != nil && last.Follow != "" {
		return p.followAgain(work, t, last)
	}
	return p.try(work, t)
}

// settle marks a record as done if err is nil, and gives err; nil if it will be done without its lane.
func (p *partition) settle(record kafka.Record, err error) error {
	switch {
	case err == nil:
		p.finish(record)
	case errors.Is(err, errPublishing):
		return nil
	}
	return err
}

// resume goes on with an item of the lane.
func (p *partition) resume(work context.Context, l *lane, it *item) error {
	t := &task{lane: l, home: it.key, item: it, began: time.Now(), work: attempt.Work{Offset: it.offset}}
	t.pause, t.tried = it.backoff, it.tried
	it.ready = false
	if !it.behind {
		r := p.store.Get(l.customer, it.key)
		t.work = r.Work[r.Find(it.offset, it.follow)].Clone()
		t.was = t.work.Held
		t.work.Event.Customer, t.work.Event.Subject = l.customer, attempt.Subject(it.key)
		if t.work.Outcome != nil {
			l.hand.turn(recording)
			return p.ended(t, t.work.Outcome.Verdict == outcome.Done || t.work.Outcome.Verdict == outcome.Rejected, p.tell(work, t))
		}
		if t.was == outcome.Unresolved && !polled(&t.work) { // it is due: nobody has found out
			l.hand.turn(recording)
			return p.abandon(work, t)
		}
	}
	if p.halts(t) {
		return p.halt(work, t)
	}
	if !p.enter(l) {
		return p.wait(t)
	}
	if it.follow == "" {
		l.hand.turn(reading)
		record, err := p.fetch(work, it.offset)
		if err != nil {
			return err
		}
		if record == nil {
			return p.giveUp(work, t, outcome.Expired) // the inbox has forgotten it
		}
		event, err := p.event(*record)
		if err != nil {
			return p.giveUp(work, t, outcome.Invalid) // by the contract of today
		}
		if event.Customer != l.customer || event.Subject != it.key || t.work.Event.ID != "" && event.Hash() != t.work.Event.Hash() {
			return fmt.Errorf("inbox offset %d holds another event than the one held: was the topic made anew?", it.offset)
		}
		t.record, t.work.Event = record, event
		if it.behind {
			return p.behind(work, t)
		}
	}
	return p.again(work, t)
}

// behind goes on with the first event that stands behind others: nothing but its offset was kept.
func (p *partition) behind(work context.Context, t *task) error {
	from, err := originOf(*t.record, p.cfg.Inbox)
	if err != nil {
		return p.giveUp(work, t, outcome.Invalid)
	}
	if t.work.Round = from.round; from.round > 0 {
		last, current := recall(&t.work, p.store.Get(t.lane.customer, t.home), from)
		switch {
		case !current:
			return p.pass(work, t)
		case last != nil && last.Follow != "":
			return p.followAgain(work, t, last)
		}
	}
	return p.again(work, t)
}

// again attempts what was held.
func (p *partition) again(work context.Context, t *task) error {
	// Should the attempt not come back, its intent makes the next owner go on at once.
	t.work.Due = stamp()
	t.work.Held = outcome.Waiting
	if t.item.follow == "" {
		t.work.Held = outcome.Retrying
	}
	return p.try(work, t)
}

// giveUp ends an event that cannot be attempted again. One with an open intent may have had its effect: only a person knows.
func (p *partition) giveUp(ctx context.Context, t *task, reason outcome.Reason) error {
	t.lane.hand.turn(recording)
	if t.work.Intent != nil {
		return p.hold(ctx, t, p.idle(t), outcome.Unknown(outcome.BodyChanged, nil))
	}
	return p.end(ctx, t, p.idle(t), outcome.Reject(reason))
}

// attempt works on t until it ends or has to be held. A fresh event may take hold_after for it; meanwhile its lane
// is paused, so that a short trouble costs neither a write nor the order.
func (p *partition) attempt(work context.Context, t *task) error {
	l := t.lane
	j := &watched{hand: &l.hand, journal: journal{
		store: p.store, customer: l.customer, home: t.home, sendBefore: p.cfg.SendBefore,
		behind: t.item != nil && t.item.behind,
	}}
	run := attempt.New(p.cfg.Attempt, j, t.work)
	l.hand.turn(handling)
	v := outcome.Of(p.call(work, run, t))
	l.leave() // what follows is writing: a broker that takes long for it keeps nobody from the API
	switch {
	case work.Err() != nil:
		return errStopped
	case j.err != nil:
		return j.err
	}
	l.hand.turn(recording)
	p.succeeded(t, run, v)
	if v == nil { // it has ended, and nobody asks for its answers any more
		return p.ended(t, t.fresh(), p.end(work, t, run, nil))
	}
	t.work = carry(run.Work(), t.work)
	switch {
	case v.Verdict == outcome.Rejected && t.work.Intent != nil: // which may have had its effect
		return p.hold(work, t, run, outcome.Unknown(outcome.BodyChanged, nil))
	case v.Verdict == outcome.Rejected:
		return p.ended(t, t.fresh(), p.end(work, t, run, v))
	case v.Verdict != outcome.Retrying:
		return p.hold(work, t, run, v)
	case t.work.Panics >= mostPanics && t.work.Intent != nil: // which may have had its effect
		return p.hold(work, t, run, outcome.Unknown(outcome.Failing, nil))
	case t.work.Panics >= mostPanics:
		return p.ended(t, t.fresh(), p.end(work, t, run, outcome.Reject(outcome.Bug)))
	case p.failing(t, v, time.Now()):
		unknown := *v
		unknown.Verdict, unknown.Reason = outcome.Unresolved, outcome.Failing
		return p.hold(work, t, run, &unknown)
	}
	p.numbers.retried(v.Class)
	t.wroteIn(run)
	turned := p.turnedAway(v)
	if t.fresh() && turned {
		return p.away(work, t, v)
	}
	pause := max(p.charge(t, turned || v.Class == outcome.ClassThrottled), v.After)
	if !t.fresh() || time.Since(t.began)+pause > p.cfg.HoldAfter {
		retry := *v
		retry.After = pause
		return p.hold(work, t, run, &retry)
	}
	t.again = time.Now().Add(pause)
	l.task = t
	return errPaused
}

// wroteIn takes note of the objects that an attempt which goes on later has changed.
func (t *task) wroteIn(run *attempt.Run) {
	if t.wrote == nil {
		t.wrote = map[string]bool{}
	}
	for _, e := range run.Changed() {
		t.wrote[e.Key] = true
	}
}

// ended counts how long an event took, if it has come to its end and this is published, and gives err.
func (p *partition) ended(t *task, yes bool, err error) error {
	if err == nil && yes && t.work.Follow == "" && !t.work.Event.Time.IsZero() {
		p.numbers.told.Observe(time.Since(t.work.Event.Time).Seconds())
	}
	return err
}

// watched is a journal that tells what the lane is at.
type watched struct {
	journal
	hand *hand
}

// Intend writes work and changed objects down.
func (w *watched) Intend(ctx context.Context, work attempt.Work, changed []attempt.Entry) error {
	w.hand.turn(intending)
	defer w.hand.turn(handling)
	return w.journal.Intend(ctx, work, changed)
}

// Ready proves that the partition is still owned.
func (w *watched) Ready(ctx context.Context) (context.Context, error) {
	w.hand.turn(intending)
	defer w.hand.turn(handling)
	return w.journal.Ready(ctx)
}

// carry takes over what an attempt brought on, and what the attempts before it counted.
func carry(w, before attempt.Work) attempt.Work {
	w.Tries, w.Panics, w.Failed, w.Failing = before.Tries, before.Panics, before.Failed, before.Failing
	return w
}

// call runs the handler. A panic is a retry; its value is not logged, since it may quote data.
func (p *partition) call(ctx context.Context, run *attempt.Run, t *task) (err error) {
	p.numbers.attempts.Inc()
	defer p.numbers.attempts.Dec()
	defer func() {
		if recover() != nil {
			t.work.Panics++
			p.cfg.Log.Error().Str("event_id", t.work.Event.ID).Str("event_type", t.work.Event.Type).
				Str("stack", string(debug.Stack())).Msg("handler panicked")
			err = outcome.Retry(outcome.ClassInternal, true, errors.New("the handler panicked"))
		}
	}()
	if t.lane.pass != nil {
		ctx = t.lane.pass.Under(ctx)
	}
	if t.work.Follow != "" {
		defer p.yield(t.lane) // what is written of it needs no call
		return p.cfg.FollowUp(ctx, run)
	}
	return p.cfg.Handle(ctx, run)
}

// idle gives an attempt at t that makes no call.
func (p *partition) idle(t *task) *attempt.Run {
	return attempt.New(p.cfg.Attempt, &journal{store: p.store, customer: t.lane.customer, home: t.home}, t.work)
}

// event decodes a record of the inbox, which intake has validated: its envelope, and what it is about. The error tells
// no value.
func (p *partition) event(record kafka.Record) (attempt.Event, error) {
	e, err := decode(p.cfg.Contract, record)
	if err != nil {
		return attempt.Event{}, err
	}
	subject := p.cfg.Contract.Subject(e)
	if subject == "" || e.CustomerID != string(record.Key) {
		return attempt.Event{}, errNotOurs
	}
	return attempt.Event{
		Source: e.Source, ID: e.ID, Type: e.Name, Customer: e.CustomerID, Subject: subject,
		Time: e.Time, Correlation: e.CorrelationID, Trace: e.TraceParent, Data: e.Data,
	}, nil
}

// fetch gives the inbox's record at an offset; nil if the inbox has forgotten it.
func (p *partition) fetch(ctx context.Context, offset int64) (*kafka.Record, error) {
	record, ok, err := p.cfg.Client.ReadOne(ctx, p.cfg.Inbox, p.number, offset)
	if err != nil {
		return nil, stopped(ctx, fmt.Errorf("fetch held event at inbox offset %d: %w", offset, err))
	}
	if !ok {
		return nil, nil
	}
	return &record, nil
}

func (p *partition) newPause() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(p.cfg.RetryFirst),
		backoff.WithMaxInterval(p.cfg.RetryMost), backoff.WithMaxElapsedTime(0))
}

// stopped gives errStopped for an error after the end of ctx, else the error.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errStopped
	}
	return err
}

// stamp gives the present as state keeps it.
func stamp() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// decode reads the envelope of a Kafka record.
func decode(contract *schemas.Contract, record kafka.Record) (schemas.Event, error) {
	return contract.Decode(record.Value, record.Headers)
}
