package consumer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// What a partition does about types that have paused. Their events are held as retrying, for a reason of its own, without an
// attempt and without a date: later ones of their subject stay behind them, and the lane goes on. What has a step in doubt goes
// on: it has begun, and only its answer can say how it stands. Nothing expires meanwhile.

// impatience is how long a lane waits to be called before it looks by itself: who has called it may have been given up since.
const impatience = 5 * time.Second

// isPaused says whether events of a type are not attempted: by what the partition's state says, or the member by itself.
func (p *partition) isPaused(typ string) bool {
	c := p.store.Control()
	if c.IsPaused(typ) {
		return true
	}
	id := p.floods.paused(typ)
	return id != "" && !c.IsLifted(typ, id)
}

// halts says whether t must not be attempted, since its type has paused.
func (p *partition) halts(t *task) bool {
	w := &t.work
	return w.Follow == "" && w.Event.Type != "" && w.Intent == nil && p.isPaused(w.Event.Type)
}

// halt holds t until its type goes on.
func (p *partition) halt(ctx context.Context, t *task) error {
	t.lane.hand.turn(recording)
	return p.hold(ctx, t, p.idle(t), &outcome.Error{Verdict: outcome.Retrying, Reason: outcome.Paused})
}

// try attempts t, or holds it if its type has paused. If the gate is shut, or there is no room for an attempt, the lane waits for
// its turn.
func (p *partition) try(ctx context.Context, t *task) error {
	if p.halts(t) {
		return p.halt(ctx, t)
	}
	if !p.enter(t.lane) {
		if err := p.retract(ctx, t); err != nil {
			return err
		}
		return p.wait(t)
	}
	t.goOn()
	if t.work.Follow != "" {
		return p.traced(ctx, t)
	}
	typ, l := t.work.Event.Type, t.lane
	if !p.floods.enter(typ, p, l, t.work.Intent != nil || t.work.Tries > 0) {
		if l.parked = time.Now().Add(impatience); t.fresh() {
			l.task = t
		} else {
			t.item.ready = true
		}
		return errPaused
	}
	defer p.floods.leave(typ)
	if t.work.Reason == outcome.Paused {
		t.work.Reason = ""
	}
	return p.traced(ctx, t)
}

// admit lets a lane go on that waits for its turn. It is false if the lane does not wait any more, or will never go on.
func (p *partition) admit(l *lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.over.IsZero():
		return false
	case l.running:
		l.called = true // it is about to wait
		return true
	case l.parked.IsZero():
		return false
	}
	l.parked = time.Time{}
	l.paused, l.wake = false, time.Time{}
	p.alarms.set(l)
	p.enqueue(l)
	p.dispatch()
	p.schedule()
	return true
}

// judge counts an event that has ended; v is nil if it is done. If its type is to pause, that is written down before the event's
// results are published. Not counted are what has waited too long, which is nobody's fault here, what an operator has discarded,
// and replays: whoever puts them back watches them.
func (p *partition) judge(ctx context.Context, t *task, v *outcome.Error) error {
	typ := t.work.Event.Type
	if t.work.Follow != "" || typ == "" || t.work.Round > 0 || v != nil && (v.Reason == outcome.Expired || v.Reason == outcome.Discarded) {
		return nil
	}
	pause := p.floods.count(typ, v != nil)
	if pause == nil {
		return nil
	}
	p.cfg.Log.Error().Str("event_type", typ).Int("rejected", pause.Rejected).Int("of", pause.Ended).
		Dur("within_ms", p.cfg.FloodWithin).Str("last_reason", string(v.Reason)).Str("pause", pause.ID).
		Msg("alert: so many events of this type are rejected that it pauses: its events are held, the others go on; " +
			"find out why (dead letters), then run: distributor-bridge resume " + typ + " --why TEXT --config FILE")
	return stopped(ctx, p.keepPauses(ctx))
}

// keepPauses writes the member's own pauses to the partition's state, where they are not there.
func (p *partition) keepPauses(ctx context.Context) error {
	pauses := p.floods.pauses()
	for _, typ := range types(pauses) {
		pause := pauses[typ]
		err := p.store.SetControl(ctx, func(c *state.Control) bool {
			if c.IsPaused(typ) || c.IsLifted(typ, pause.ID) {
				return false
			}
			c.Pause(typ, pause)
			return true
		})
		if err != nil {
			return err
		}
		if p.store.Control().IsLifted(typ, pause.ID) { // the command has been here before this member was
			p.floods.lift(typ, []string{pause.ID})
		}
	}
	return nil
}

// release lets go on, in inbox order, what is held although its type has not paused (any more).
func (p *partition) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	type first struct {
		l      *lane
		offset int64
	}
	var woken []first
	for _, l := range p.lanes {
		if l.running {
			l.released = true // its items are its worker's: turn sees to them
		} else if offset := p.free(l); offset >= 0 {
			woken = append(woken, first{l, offset})
		}
	}
	slices.SortFunc(woken, func(a, b first) int { return cmp.Compare(a.offset, b.offset) })
	for _, w := range woken {
		p.enqueue(w.l)
	}
	p.dispatch()
}

// free makes what release lets go on ready in one lane, and gives the first offset of it; -1 if there is none. p.mu is held.
func (p *partition) free(l *lane) int64 {
	first := int64(-1)
	for _, it := range l.items {
		if it.behind || it.follow != "" {
			continue
		}
		r := p.store.Get(l.customer, it.key)
		w := &r.Work[r.Find(it.offset, it.follow)]
		if w.Held != outcome.Retrying || w.Reason != outcome.Paused || p.isPaused(w.Event.Type) {
			continue
		}
		it.ready = true
		if first < 0 {
			first = it.offset
		}
	}
	return first
}

// after takes note, at the end of a lane's turn, of what happened to it meanwhile, and says whether it has to go on at once. p.mu
// is held.
func (l *lane) after(p *partition) (goOn bool) {
	released, called := l.released, l.called
	l.released, l.called = false, false
	freed := released && p.free(l) >= 0
	switch {
	case !l.parked.IsZero() && called:
		l.parked = time.Time{}
		return true
	case !l.parked.IsZero(), l.task != nil: // when its time has come
		return false
	}
	return freed
}
