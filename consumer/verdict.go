package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// end records how t ended: done, or rejected for the reason v. The order is state, acknowledged; then results and dead
// letter. For a held event or a follow-up the publication is an entry of its own in the record, and the lane's next
// thing; for a fresh one the offset is done after it (settle, announced).
func (p *partition) end(ctx context.Context, t *task, run *attempt.Run, v *outcome.Error) error {
	now := stamp()
	out := attempt.Outcome{Verdict: outcome.Done, Time: now, Results: run.Results()}
	superseded := v != nil && v.Reason == outcome.Superseded // done: what newer events have done stays
	if superseded {
		v = nil
	}
	if v != nil {
		out.Verdict = outcome.Rejected
		out.Dead = dead(t.work, v, now)
		if t.work.Event.ID != "" { // else the inbox has forgotten an event of which only the offset was kept
			out.Results = append(slices.Clone(out.Results), p.rejected(t.work, v))
		}
	}
	c, changed, hash := newChange(p.store, t.lane.customer), run.Changed(), t.work.Event.Hash()
	c.objects(changed)
	switch subject := attempt.Subject(t.home); {
	case v != nil:
		c.abandon(hash)
		if t.work.Event.ID != "" {
			c.record(subject).Reject(t.work, t.home, v)
		}
	case t.work.Round > 0:
		c.record(subject).CloseRejection(hash, t.work.Follow, t.work.Round)
	}
	c.follow(t.work, run.Follows(), now)
	home := c.record(t.home)
	if t.work.Event.ID != "" {
		home.Remember(hash)
	}
	home.Drop(t.work.Offset, t.work.Follow)
	unqueue(home, t.work.Offset)
	if t.command > 0 {
		home.Seen, home.Last = t.command, nil
	}
	if t.fresh() {
		home.Seen, home.Last = t.work.Offset, &out
	} else if len(out.Results) > 0 || out.Dead != nil {
		w := attempt.Work{Event: t.work.Event, Offset: t.work.Offset, Follow: t.work.Follow, Outcome: &out}
		home.Put(w)
	}
	if err := p.write(ctx, t, c, changed, run.Follows()); err != nil {
		return err
	}
	p.report(t, v, Report{Verdict: out.Verdict, Results: out.Results, Superseded: superseded})
	if err := p.judge(ctx, t, v); err != nil {
		return err
	}
	if !t.fresh() {
		return nil
	}
	return p.publish(ctx, t, out)
}

// hold writes t down for later, for the reason v: waiting, retrying or unknown. What is new about it is published by
// the lane's next thing. A look that brought nothing new is remembered in memory only.
func (p *partition) hold(ctx context.Context, t *task, run *attempt.Run, v *outcome.Error) error {
	now := stamp()
	w := heldAs(t, v, len(run.Results()) > 0, now)
	if v.Verdict != outcome.Retrying && t.pause != nil {
		t.pause.Reset() // the trouble is over: the next one begins with a short pause
	}
	w.Due = p.dueAt(t, w, v, now)
	switch over := !w.Due.IsZero() && !w.Due.After(now); {
	case over && w.Held == outcome.Waiting && w.Follow == "":
		return p.end(ctx, t, run, outcome.Reject(outcome.Expired))
	case over && w.Held == outcome.Unresolved && t.was == outcome.Unresolved:
		t.work = w
		return p.abandon(ctx, t)
	}
	results := run.Results()
	if r, ok := p.news(&w, v, t); ok {
		results = append(slices.Clone(results), r)
	}
	if len(results) > 0 {
		w.Outcome = &attempt.Outcome{Verdict: v.Verdict, Time: now, Results: results}
	}
	changed := run.Changed()
	if len(results) == 0 && len(changed) == 0 && p.unchanged(t, w) {
		t.item.due, t.item.backoff, t.item.tried = w.Due, t.pause, t.tried
		return nil
	}
	c := newChange(p.store, t.lane.customer)
	c.objects(changed)
	c.follow(w, run.Follows(), now)
	home := c.record(t.home)
	home.Put(w)
	unqueue(home, w.Offset)
	if t.fresh() {
		home.Seen, home.Last = w.Offset, nil
	}
	if w.Follow == "" {
		home.Remember(w.Event.Hash())
	}
	if err := p.write(ctx, t, c, changed, run.Follows()); err != nil {
		return err
	}
	it := t.lane.item(t.home, w.Offset, w.Follow)
	it.due, it.backoff, it.tried = w.Due, t.pause, t.tried
	p.report(t, v, Report{Verdict: v.Verdict, Results: results})
	return nil
}

// dueAt says when to look at held work again; zero if only something that happens can bring it on.
func (p *partition) dueAt(t *task, w attempt.Work, v *outcome.Error, now time.Time) time.Time {
	switch {
	case w.Reason == outcome.Paused:
		return time.Time{}
	case v.Verdict == outcome.Retrying && w.Held == outcome.Unresolved:
		due := p.unknownDue(&w, now)
		if !due.After(now) && v.Class != outcome.ClassClient { // nobody has looked: an outage gives up nothing
			due = now.Add(p.cfg.PollMost)
		}
		return due
	case v.Verdict == outcome.Retrying:
		return now.Add(v.After)
	case w.Held == outcome.Unresolved:
		return p.unknownDue(&w, now)
	case w.Follow == "" && w.Held == outcome.Waiting:
		due := w.Since.Add(p.cfg.MaxWait)
		if !due.After(now) && p.mayCome(t) {
			due = now.Add(reprieve)
		}
		if look := now.Add(p.cfg.Poll); w.On == "" && look.Before(due) {
			return look // nothing will wake it
		}
		return due
	case w.Follow != "" && w.Held == outcome.Waiting && w.On == "":
		return p.nextLook(&w, now)
	}
	return time.Time{}
}

// news gives the result that tells why w is held, once a reason.
func (p *partition) news(w *attempt.Work, v *outcome.Error, t *task) (attempt.Result, bool) {
	ref := schemas.EventRef{ID: w.Event.ID, Source: w.Event.Source, Type: p.cfg.Contract.FullType(w.Event.Type)}
	switch {
	case w.Held == outcome.Unresolved && !slices.Contains(w.Told, w.Reason):
		w.Told = append(w.Told, w.Reason)
		step := v.Step
		if w.Intent != nil {
			step = w.Intent.Step
		}
		return result(schemas.TypeEventUnresolved, w.Event.Subject, schemas.EventUnresolved{
			CustomerID: t.lane.customer, Reason: schemas.Reason(w.Reason), Step: step, Event: ref,
		}), true
	case w.Held == outcome.Waiting && w.Follow == "" && !slices.Contains(w.Told, w.Reason):
		w.Told = append(w.Told, w.Reason)
		return result(schemas.TypeEventWaiting, w.Event.Subject, schemas.EventWaiting{
			CustomerID: t.lane.customer, Reason: schemas.Reason(w.Reason), On: w.On,
			Since: w.Since.Format(time.RFC3339Nano), Event: ref,
		}), true
	}
	return attempt.Result{}, false
}

// unchanged says whether what state holds of w says the same, but for when to look again.
func (p *partition) unchanged(t *task, w attempt.Work) bool {
	if t.fresh() || t.item.behind || w.Follow == "" && w.Held == outcome.Retrying {
		return false
	}
	r := p.store.Get(t.lane.customer, t.home)
	was := r.Work[r.Find(w.Offset, w.Follow)]
	return was.Panics == w.Panics && was.Held == w.Held && was.Reason == w.Reason && was.On == w.On && len(was.Answers) == len(w.Answers) &&
		was.Intent.Equal(w.Intent)
}

// queue puts a fresh event behind one of its subject that retries or is unknown; last is the rejection of which it is a replay.
func (p *partition) queue(ctx context.Context, t *task, last *state.Rejection) error {
	c := newChange(p.store, t.lane.customer)
	home := c.record(t.home)
	home.Behind = append(home.Behind, t.work.Offset)
	home.Seen, home.Last = t.work.Offset, nil
	home.Remember(t.work.Event.Hash())
	if t.work.Round > 0 && last == nil {
		home.Reject(attempt.Work{Event: t.work.Event, Round: t.work.Round - 1}, "", outcome.Reject(outcome.Invalid)) // by intake
	}
	if err := p.write(ctx, t, c, nil, nil); err != nil {
		return err
	}
	p.report(t, nil, Report{Behind: true})
	return nil
}

// unqueue removes an offset from those behind.
func unqueue(r *state.Record, offset int64) {
	if i := slices.Index(r.Behind, offset); i >= 0 {
		r.Behind = slices.Concat(r.Behind[:i], r.Behind[i+1:])
	}
}

// tell publishes what is recorded of held work, then writes its record without it.
func (p *partition) tell(ctx context.Context, t *task) error {
	if err := p.publish(ctx, t, *t.work.Outcome); err != nil {
		return err
	}
	c := newChange(p.store, t.lane.customer)
	home := c.record(t.home)
	if t.work.Held == outcome.Done {
		home.Drop(t.work.Offset, t.work.Follow)
	} else {
		told := home.Work[home.Find(t.work.Offset, t.work.Follow)]
		told.Outcome = nil
		home.Put(told)
	}
	return p.write(ctx, t, c, nil, nil)
}

// write writes a change, then brings the lane up to it: its items, and who is woken. changed are the objects that an
// attempt changed, follows the follow-ups that it asked for; changed is nil if no attempt made the change.
func (p *partition) write(ctx context.Context, t *task, c *change, changed []attempt.Entry, follows []attempt.Follow) error {
	l := t.lane
	if err := l.news.wait(ctx); err != nil {
		return err
	}
	if err := c.write(ctx); err != nil {
		return stopped(ctx, err)
	}
	for _, e := range c.entries {
		l.sync(e.Key, e.Record)
		p.track(l, e.Key, e.Record)
	}
	if changed == nil || len(l.items) == 0 { // nobody to wake
		return nil
	}
	for _, f := range follows {
		p.revive(l, f)
	}
	keys := map[string]bool{}
	for key := range t.wrote {
		keys[attempt.Awaited(key)] = true
	}
	for _, e := range changed {
		keys[attempt.Awaited(e.Key)] = true
	}
	j, freed := journal{store: p.store, customer: l.customer}, c.freed || t.home == schemas.SubjectPositions
	l.woken(p.records(l), keys, freed && !j.Processing(""))
	return nil
}

// revive makes a follow-up that was asked for again go on at once, if it is there and known what became of it.
func (p *partition) revive(l *lane, f attempt.Follow) {
	for _, it := range l.items {
		if it.key != f.Key || it.follow != f.Name {
			continue
		}
		r := p.store.Get(l.customer, it.key)
		it.ready = it.ready || r.Work[r.Find(it.offset, it.follow)].Held != outcome.Unresolved
	}
}

// publish writes the results and the dead letter of an outcome, made from it and the event alone. Those of a fresh record without a
// dead letter are only begun (errPublishing), unless they are published again.
func (p *partition) publish(ctx context.Context, t *task, out attempt.Outcome) error {
	if err := t.lane.news.wait(ctx); err != nil {
		return err
	}
	e := t.work.Event
	ctx = p.cfg.Trace.Below(ctx, e.Trace)
	all := results(e, out, make([]schemas.Result, 0, 2)) // on the stack, unless there are more
	if out.Dead == nil && len(all) > 0 && t.fresh() && !t.repeated {
		return p.announce(ctx, t, all)
	}
	if err := p.cfg.Publisher.Results(ctx, t.lane.customer, all...); err != nil {
		return stopped(ctx, err)
	}
	if out.Dead == nil {
		return nil
	}
	if t.record == nil {
		record, err := p.fetch(ctx, t.work.Offset)
		if err != nil {
			return err
		}
		if record == nil { // the inbox has forgotten it: the letter tells what is known
			record = &kafka.Record{Topic: p.cfg.Inbox, Partition: p.number, Offset: t.work.Offset, Key: []byte(t.lane.customer)}
		}
		t.record = record
	}
	d := out.Dead
	event := schemas.Event{ID: e.ID, Source: e.Source, TraceParent: e.Trace}
	if e.Type != "" {
		event.Type = p.cfg.Contract.FullType(e.Type)
	}
	return stopped(ctx, p.cfg.Publisher.Dead(ctx, producer.Letter{
		Record: *t.record, Event: event,
		Reason: d.Reason, Class: d.Class, Step: d.Step, Status: d.Status, Fields: d.Fields, Follow: t.work.Follow,
		Attempts: d.Tries, FirstFailed: d.Failed, Failed: out.Time,
	}))
}

// reject sends a record of the inbox that is no valid event to the dead letters. Intake lets none through: somebody
// else wrote it, or an older bridge with another contract.
func (p *partition) reject(ctx context.Context, record kafka.Record, err error) error {
	letter := invalidLetter(record, err)
	p.cfg.Report(Report{
		Stage: StageEvent, Offset: record.Offset, Verdict: outcome.Rejected,
		Error: verdictOf(letter),
	})
	return stopped(ctx, p.cfg.Publisher.Dead(ctx, letter))
}

func dead(w attempt.Work, v *outcome.Error, now time.Time) *attempt.Dead {
	d := &attempt.Dead{
		Reason: v.Reason, Class: v.Class, Step: v.Step, Status: v.Status, Code: v.Code, Fields: v.Fields,
		Tries: w.Tries + 1, Failed: w.Failed,
	}
	if d.Failed.IsZero() {
		d.Failed = now
	}
	return d
}

func (p *partition) rejected(w attempt.Work, v *outcome.Error) attempt.Result {
	return result(schemas.TypeEventRejected, w.Event.Subject, schemas.EventRejected{
		CustomerID: w.Event.Customer, Reason: schemas.Reason(v.Reason), Step: v.Step, Status: v.Status, Code: v.Code,
		Fields: v.Fields, Event: schemas.EventRef{ID: w.Event.ID, Source: w.Event.Source, Type: p.cfg.Contract.FullType(w.Event.Type)},
	})
}

// result gives a result with data that is ours: it always has JSON.
func result(typ, subject string, data any) attempt.Result {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return attempt.Result{Type: typ, Subject: subject, Data: raw}
}

// invalidLetter tells of a record that breaks the contract where and by which rule, never the value.
func invalidLetter(record kafka.Record, err error) producer.Letter {
	now := stamp()
	letter := producer.Letter{
		Record: record, Reason: outcome.Invalid, Class: outcome.ClassEvent, Attempts: 1, FirstFailed: now, Failed: now,
	}
	var invalid *schemas.InvalidError
	switch {
	case errors.Is(err, schemas.ErrUnknownType):
		letter.Reason = outcome.UnknownType
	case errors.Is(err, schemas.ErrCommand):
		letter.Reason = outcome.ForeignCommand
	case errors.Is(err, errNotOurs):
		letter.Reason = outcome.Undecodable
	case errors.As(err, &invalid):
		for _, v := range invalid.Violations {
			letter.Fields = append(letter.Fields, v.Pointer+" "+v.Keyword)
		}
	}
	return letter
}

// report tells what became of t.
func (p *partition) report(t *task, v *outcome.Error, r Report) {
	r.Stage = StageEvent
	if t.work.Follow != "" {
		r.Stage = StageFollow
	}
	r.Event, r.Follow, r.Offset, r.Error = t.work.Event, t.work.Follow, t.work.Offset, v
	r.Tries, r.Took = t.work.Tries, time.Since(t.began)
	p.trace(t, &r)
	p.cfg.Report(r)
}
