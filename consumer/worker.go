package consumer

import (
	"container/heap"
	"context"
	"errors"
	"time"
)

// Why a lane stops to run, although nothing has failed.
var (
	// errIdle: it has nothing to do now.
	errIdle = errors.New("nothing to do")
	// errPaused: it waits out a short trouble.
	errPaused = errors.New("paused")
	// errCrowded: so many events of its next record's subject are held that no more can be written down. The record
	// stays in the queue; the window fills, and then nothing is fetched.
	errCrowded = errors.New("too many events of one subject are held")
	// errShut: it waits at the gate.
	errShut = errors.New("the gate is shut")
	// errStopped: its time is over. Nothing is written: what was begun is delivered again, or found in state, by whoever
	// owns the partition next.
	errStopped = errors.New("stopped")
)

// serve is a worker: it does one thing of a lane, then one of the lane that is ready the longest, and so on, so that a
// customer with a thousand events leaves room for others. It has a place among the lanes at work.
func (p *partition) serve(take, work context.Context, l *lane) {
	for l != nil {
		l = p.turn(l, p.step(take, work, l))
	}
	p.places.give(p)
	p.kick() // one that made room for another partition gets its place back in turn, or is known to wait
}

// step does one thing of the lane.
func (p *partition) step(take, work context.Context, l *lane) error {
	if take.Err() != nil {
		return errStopped
	}
	if t := l.task; t != nil {
		if !p.enter(l) {
			t.stand()
			return errShut
		}
		l.task = nil
		t.goOn()
		l.hand.begin(t.record.Offset)
		defer l.hand.end()
		return p.settle(*t.record, p.attempt(work, t))
	}
	if len(l.items) > 0 && l.owed < 0 {
		if it := l.next(p.records(l), time.Now()); it != nil {
			l.hand.begin(it.offset)
			defer l.hand.end()
			return p.resume(work, l, it)
		}
	}
	record, ok := p.pop(l)
	if !ok {
		return errIdle
	}
	l.hand.begin(record.Offset)
	defer l.hand.end()
	err := p.process(work, l, record)
	if errors.Is(err, errCrowded) {
		p.cfg.Log.Error().Int("partition", p.number).Str("customer", l.customer).Int64("offset", record.Offset).
			Msg("too many events of one subject are held: the customer's later ones are not taken until there is room")
		p.unpop(l, record)
		l.owed = -1
		return err
	}
	if record.Offset >= l.owed {
		l.owed = -1
	}
	return p.settle(record, err)
}

// turn ends a lane's thing, and gives the worker its next lane; nil if there is none for it.
func (p *partition) turn(l *lane, err error) *lane {
	failed := err != nil
	for _, known := range []error{errIdle, errPaused, errCrowded, errShut, errStopped} {
		failed = failed && !errors.Is(err, known)
	}
	if failed {
		p.fail(err)
	}
	l.leave()
	p.mu.Lock()
	defer p.mu.Unlock()
	l.running = false
	switch {
	case err == nil && (len(l.queue) > 0 || len(l.items) > 0), errors.Is(err, errIdle) && len(l.queue) > 0:
		p.enqueue(l)
	case errors.Is(err, errShut):
		p.park(l)
	default:
		p.rest(l)
	}
	if p.spawn == nil || len(p.ready) == 0 || p.places.crowded(p) {
		return nil
	}
	return p.pick()
}

// pick takes the lane that is ready the longest; p.mu is held, and there is one.
func (p *partition) pick() *lane {
	l := p.ready[0]
	p.ready[0] = nil
	if p.ready = p.ready[1:]; len(p.ready) == 0 {
		p.ready = nil
	}
	l.queued, l.running = false, true
	p.letIn(l)
	return l
}

// enqueue marks a lane as one that has something to do; p.mu is held.
func (p *partition) enqueue(l *lane) {
	if l.running || l.queued || l.paused {
		return
	}
	l.queued = true
	p.ready = append(p.ready, l)
}

// dispatch gives ready lanes to new workers, as far as there are places; p.mu is held.
func (p *partition) dispatch() {
	for p.spawn != nil && len(p.ready) > 0 && p.places.take(p) {
		p.spawn(p.pick())
	}
}

// kick looks again for places: some have become free.
func (p *partition) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dispatch()
}

// rest ends a lane's run, and sets its alarm; p.mu is held.
func (p *partition) rest(l *lane) {
	switch {
	case l.task != nil:
		l.paused, l.wake = true, l.task.again
	case l.owed >= 0:
		l.wake = time.Time{} // the record comes first
	default:
		l.wake = l.earliest(p.records(l))
	}
	if l.wake.IsZero() && len(l.items) == 0 && len(l.queue) == 0 {
		delete(p.lanes, l.customer)
	}
	p.alarms.set(l)
	p.schedule()
}

// schedule sets the timer to the first alarm, if it is not; p.mu is held.
func (p *partition) schedule() {
	if p.spawn == nil || len(p.alarms) == 0 || p.alarms[0].wake.Equal(p.rings) {
		return
	}
	p.rings = p.alarms[0].wake
	p.timer.Reset(time.Until(p.rings))
}

// ring makes lanes ready whose time has come, and sets the timer for the next; p.mu is held.
func (p *partition) ring() {
	p.rings = time.Time{}
	for len(p.alarms) > 0 && !p.alarms[0].wake.After(time.Now()) {
		l := p.alarms[0]
		l.wake, l.paused = time.Time{}, false
		p.alarms.set(l)
		p.enqueue(l)
	}
	p.dispatch()
	p.schedule()
}

// rung is what the timer calls.
func (p *partition) rung() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spawn != nil {
		p.ring()
	}
}

// alarms is a heap of lanes that have something to do at a time, each once, the earliest first.
type alarms []*lane

// set brings a lane's place up to its time, or takes it out if it has none.
func (a *alarms) set(l *lane) {
	switch {
	case l.wake.IsZero() && l.slot > 0:
		heap.Remove(a, l.slot-1)
	case l.wake.IsZero():
	case l.slot > 0:
		heap.Fix(a, l.slot-1)
	default:
		heap.Push(a, l)
	}
}

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].wake.Before(a[j].wake) }

// Swap, Push and Pop are for container/heap.
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].slot, a[j].slot = i+1, j+1
}

// Push adds a lane.
func (a *alarms) Push(x any) {
	l := x.(*lane)
	*a = append(*a, l)
	l.slot = len(*a)
}

// Pop takes the last lane out.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	l := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	l.slot = 0
	return l
}
