package consumer

import "time"

// Follow-ups take at most a part of the calls in flight (places.go), so that a thousand of them that are due at once hold back
// no event:
//
//	due, a place free     the lane takes it, attempts the follow-up, gives it back when the handler returns
//	due, none free        the lane goes to the end of those that wait, and does its records and held events meanwhile
//	a place becomes free  it is the first waiting lane's, even while that one runs: when it has done its thing, it does its
//	                      follow-up. One that does not run goes before all that are ready
//
// A lane that waits is woken by its place alone: its follow-up sets no alarm meanwhile. Who finds that it cannot use its place
// gives it back at once, and asks again when it can.

// choose gives the lane's item to go on with now; nil if there is none, or if it is a follow-up that has to wait for a place.
// look says that it is a follow-up, and has its place.
func (p *partition) choose(l *lane) (it *item, look bool) {
	if len(l.items) == 0 || l.owed >= 0 {
		p.yield(l)
		return nil, false
	}
	now := time.Now()
	it = l.next(p.records(l), now)
	if it == nil || it.follow == "" || p.tells(l, it) {
		p.yield(l)
		return it, false
	}
	if !p.follow(l) {
		return nil, false
	}
	it.looked = now
	return it, true
}

// tells says whether an item only has its outcome published: that needs no call.
func (p *partition) tells(l *lane, it *item) bool {
	r := p.store.Get(l.customer, it.key)
	return r.Work[r.Find(it.offset, it.follow)].Outcome != nil
}

// follow takes a place for the lane's follow-up. If there is none, or others wait already, the lane waits for its turn.
func (p *partition) follow(l *lane) bool {
	if l.place.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case l.place.Load(): // since a moment
		return true
	case l.waits, l.seated:
		return false
	case len(p.waits) == 0 && p.following.take(p):
		l.place.Store(true)
		return true
	}
	l.waits = true
	l.ahead = l.ahead || l.pass != nil // its turn at the gate came too early
	p.waits = append(p.waits, l)
	return false
}

// grant gives free places to the lanes that wait for one; p.mu is held. As long as lanes wait, the partition has been refused a
// place: so the next that becomes free calls kick, which calls this.
func (p *partition) grant() {
	for p.spawn != nil && len(p.waits) > 0 {
		if p.waits[0].paused {
			shift(&p.waits).waits = false // when its pause is over it comes to its follow-up again
			continue
		}
		if !p.following.take(p) {
			return
		}
		l := shift(&p.waits)
		l.waits = false
		l.place.Store(true)
		if !l.running && !l.queued {
			l.queued = true
			p.first = append(p.first, l)
		}
	}
}

// yield gives the lane's place back, if it has one.
func (p *partition) yield(l *lane) {
	if l.place.Swap(false) {
		p.following.give(p)
	}
}
