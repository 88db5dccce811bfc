package consumer

import (
	"context"
	"slices"
	"time"

	"distributor-bridge/internal/outcome"
)

// Gate says when attempts may begin: while the service that handlers call is down, or takes no more, none does. That is no
// event's fault: what waits for it is not held, and its clocks stand.
//
// A lane that finds the gate shut gives its worker's place away, and is let in by its partition, in the order in which
// lanes came: so thousands of them cost no goroutines, and lanes that need no call (what was recorded is published, repeats are
// known) go on through the longest outage. A partition lets in one lane after the other: several of them take turns.
//
// Lanes with an event and lanes with a follow-up wait apart, since after an outage thousands of follow-ups are due: while both
// wait, one of four that are let in is for a follow-up. A lane whose follow-up waits is free for its records and held events
// meanwhile; these wait for turns of their own.
type Gate interface {
	// Try lets an attempt begin, if it may at once.
	Try() (Pass, bool)
	// Enter waits until an attempt may begin. Its error is that of ctx.
	Enter(ctx context.Context) (Pass, error)
	// Shut says that no attempt is let in whoever asks, so that one which has failed is not to blame.
	Shut() bool
}

// Pass is what an attempt begins with.
type Pass interface {
	// Under gives the context for the attempt's calls.
	Under(ctx context.Context) context.Context
	// Leave ends the attempt, whether calls were made or not.
	Leave()
}

// enter says whether the lane has a pass for its next attempt.
func (p *partition) enter(l *lane) bool {
	if p.cfg.Gate == nil || l.pass != nil {
		return true
	}
	pass, ok := p.cfg.Gate.Try()
	if ok {
		l.pass = pass
	}
	return ok
}

// wait makes the task's lane wait at the gate.
func (p *partition) wait(t *task) error {
	if t.fresh() {
		t.lane.task = t
		t.stand()
		return errShut
	}
	t.item.ready = true // and it is picked again
	if t.item.follow != "" {
		return errSeated
	}
	return errShut
}

// leave gives the lane's pass back, if it has one.
func (l *lane) leave() {
	if l.pass != nil {
		l.pass.Leave()
		l.pass = nil
	}
}

// turnedAway says whether an attempt failed while nobody is let in, or since it was kept from a call that came too soon.
func (p *partition) turnedAway(v *outcome.Error) bool {
	return p.cfg.Gate != nil && (p.cfg.Gate.Shut() || v.Class == outcome.ClassThrottled && v.Status == 0)
}

// away makes a fresh event that the gate has turned away wait: nothing is charged, and nothing held.
func (p *partition) away(work context.Context, t *task, v *outcome.Error) error {
	if err := p.retract(work, t); err != nil {
		return err
	}
	t.lane.task = t
	t.stand()
	if v.After > 0 {
		t.again = time.Now().Add(v.After)
		return errPaused
	}
	return errShut
}

// charge counts an attempt that has failed, and gives the pause after it. One for whose failure no event is to blame does not
// count.
func (p *partition) charge(t *task, blameless bool) time.Duration {
	if blameless {
		return p.cfg.RetryFirst
	}
	t.work.Tries++
	if t.work.Failed.IsZero() {
		t.work.Failed = stamp()
	}
	if t.pause == nil {
		t.pause = p.newPause()
	}
	return t.pause.NextBackOff()
}

// stand makes the task's clocks stand, until goOn.
func (t *task) stand() {
	if t.stands.IsZero() {
		t.stands = time.Now()
	}
}

// goOn makes the clocks go on.
func (t *task) goOn() {
	if t.stands.IsZero() {
		return
	}
	stood := time.Since(t.stands)
	t.began, t.stands = t.began.Add(stood), time.Time{}
	if !t.tried.IsZero() {
		t.tried = t.tried.Add(stood)
	}
}

// atGate makes a lane wait at the gate; p.mu is held.
func (p *partition) atGate(l *lane) {
	l.gated, l.paused, l.wake = true, true, time.Time{}
	p.alarms.set(l)
	p.gated = append(p.gated, l)
	p.keep()
}

// seat makes a lane's follow-up wait at the gate, and not the lane; p.mu is held.
func (p *partition) seat(l *lane) {
	l.seated = true
	if l.ahead {
		p.seats = slices.Insert(p.seats, 0, l)
	} else {
		p.seats = append(p.seats, l)
	}
	l.ahead = false
	p.keep()
}

// keep sees to it that somebody lets in who waits; p.mu is held.
func (p *partition) keep() {
	if p.spawn != nil && !p.kept {
		p.kept = true
		p.keeper()
	}
}

// eventTurns is how many events are let in for each follow-up while both wait.
const eventTurns = followShare - 1

// letIn takes the lane whose turn it is; nil if none can be let in. p.mu is held.
func (p *partition) letIn() *lane {
	for len(p.gated)+len(p.seats) > 0 {
		if len(p.gated) > 0 && (len(p.seats) == 0 || p.turns < eventTurns) {
			p.turns++
			l := shift(&p.gated)
			l.gated, l.paused = false, false
			return l
		}
		l := shift(&p.seats)
		l.seated = false
		if l.running || l.queued || l.paused { // it is at something else: when it comes to its follow-up again, that is the first
			l.ahead, l.missed = true, true
			continue
		}
		p.turns = 0
		return l
	}
	return nil
}

// keepGate lets lanes in that wait at the gate, one after the other, until none does or take ends. It waits for each to begin: a
// pass that nobody uses would still be good when the gate is shut again.
func (p *partition) keepGate(take context.Context) {
	for more := true; more; {
		pass, err := p.cfg.Gate.Enter(take)
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.spawn == nil {
			p.mu.Unlock()
			pass.Leave()
			return
		}
		l := p.letIn()
		if l == nil {
			p.kept = false
			p.mu.Unlock()
			pass.Leave()
			return
		}
		l.queued, l.pass = true, pass
		p.first = append(p.first, l)
		p.dispatch()
		p.mu.Unlock()
		select {
		case <-p.begun:
		case <-take.Done():
			return
		}
		p.mu.Lock()
		more = len(p.gated)+len(p.seats) > 0
		p.kept = more
		p.mu.Unlock()
	}
}

// isIn tells keepGate that a lane which it has given a pass is at work; p.mu is held.
func (p *partition) isIn(l *lane) {
	if l.pass == nil {
		return
	}
	select {
	case p.begun <- struct{}{}:
	default: // keepGate has ended
	}
}
