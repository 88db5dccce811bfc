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
	// errSeated: its follow-up waits at the gate.
	errSeated = errors.New("the gate is shut for follow-ups")
	// errStopped: its time is over. Nothing is written: what was begun is delivered again, or found in state, by whoever
	// owns the partition next.
	errStopped = errors.New("stopped")
)

// serve is a worker: it does one thing of a lane, then one of the first that is ready, and so on, so that a customer with a
// thousand events leaves room for others. It has a place among the lanes at work.
func (p *partition) serve(take, work context.Context, l *lane) {
	for l != nil {
		err := p.step(take, work, l)
		p.brim()
		l = p.turn(l, err)
	}
	p.places.give(p)
	p.kick() // one that made room for another partition gets its place back in turn, or is known to wait
}

// step does one thing of the lane.
func (p *partition) step(take, work context.Context, l *lane) error {
	if take.Err() != nil {
		return errStopped
	}
	if err := l.news.begins(work); err != nil {
		return err
	}
	l.parked = time.Time{}
	if t := l.task; t != nil {
		l.task = nil
		l.hand.begin(t.record.Offset)
		defer l.hand.end()
		return p.settle(*t.record, p.try(work, t))
	}
	if it, look := p.choose(l); it != nil {
		l.hand.begin(it.offset)
		defer l.hand.end()
		if look { // else a place that comes meanwhile is for the lane's next thing
			defer p.yield(l)
		}
		return p.resume(work, l, it)
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
	for _, known := range []error{errIdle, errPaused, errCrowded, errShut, errSeated, errStopped} {
		failed = failed && !errors.Is(err, known)
	}
	if failed {
		p.fail(err)
	}
	l.leave()
	next, unused := p.after(l, err)
	if unused {
		p.following.give(p)
	}
	return next
}

// after is turn under the partition's mutex. unused says that the lane was given a place for its follow-up, and cannot use it.
func (p *partition) after(l *lane, err error) (next *lane, unused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range l.hinted {
		p.hurry(l, key)
	}
	l.hinted = nil
	if l.place.Load() && p.spawn != nil && (err == nil || errors.Is(err, errIdle)) {
		return l, false // it was given one meanwhile
	}
	unused = l.place.Swap(false)
	l.running = false
	if errors.Is(err, errSeated) {
		p.seat(l)
		err = nil // it goes on with what else it has
	}
	missed := l.missed
	l.missed = false
	goOn := l.after(p)
	switch {
	case errors.Is(err, errShut):
		p.atGate(l)
	case goOn, err == nil && (len(l.queue) > 0 || len(l.items) > 0), errors.Is(err, errIdle) && (len(l.queue) > 0 || missed):
		p.enqueue(l)
	default:
		p.rest(l)
	}
	if p.spawn == nil || !p.some() || p.places.crowded(p) {
		return nil, unused
	}
	return p.pick(), unused
}

// some says whether a lane is ready; p.mu is held.
func (p *partition) some() bool { return len(p.ready.lanes)+len(p.first) > 0 }

// pick takes the first lane that is ready, before them one of those that go first; p.mu is held, and there is one.
func (p *partition) pick() (l *lane) {
	if len(p.first) > 0 {
		l = shift(&p.first)
	} else {
		l = p.ready.pop()
	}
	l.queued, l.running = false, true
	p.isIn(l)
	return l
}

// shift takes the first out of a queue, and lets go of an empty one's memory.
func shift(queue *[]*lane) *lane {
	l := (*queue)[0]
	(*queue)[0] = nil
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil
	}
	return l
}

// enqueue marks a lane as one that has something to do; p.mu is held.
func (p *partition) enqueue(l *lane) {
	if l.running || l.queued || l.paused {
		return
	}
	l.queued = true
	oldest, _, some := p.window.oldest()
	if !some {
		oldest = p.next
	}
	p.ready.push(l, oldest, p.next)
}

// dispatch gives ready lanes to new workers, as far as there are places; p.mu is held.
func (p *partition) dispatch() {
	for p.spawn != nil && p.some() && p.places.take(p) {
		p.spawn(p.pick())
	}
}

// kick looks again for places: some have become free.
func (p *partition) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grant()
	p.dispatch()
}

// rest ends a lane's run, and sets its alarm; p.mu is held.
func (p *partition) rest(l *lane) {
	switch {
	case !l.parked.IsZero():
		l.paused, l.wake = true, l.parked
	case l.task != nil:
		l.paused, l.wake = true, l.task.again
	case l.owed >= 0:
		l.wake = time.Time{} // the record comes first
	default:
		l.wake = l.earliest(p.records(l))
	}
	p.forget(l)
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
