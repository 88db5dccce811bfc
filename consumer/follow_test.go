package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// office is partitions of one member with lanes that want to follow up, and the workers that a test moves by hand.
type office struct {
	following *places
	parts     []*partition
	lanes     []*lane
	of        map[*lane]*partition
	running   []*lane
}

func newOffice(calls, members, lanes int) *office {
	o := &office{following: newFollowing(calls, members), of: map[*lane]*partition{}}
	at := newPlaces(calls, members)
	for range members {
		p := &partition{lanes: map[string]*lane{}, places: at, following: o.following}
		p.spawn = func(l *lane) { o.running = append(o.running, l) }
		o.parts = append(o.parts, p)
		for range lanes {
			l := newLane("")
			o.lanes, o.of[l] = append(o.lanes, l), p
		}
	}
	return o
}

// begin makes a lane ready, as a record or an alarm does.
func (o *office) begin(l *lane) {
	p := o.of[l]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enqueue(l)
	p.dispatch()
}

// end ends a lane's thing; its worker goes on with what turn says.
func (o *office) end(l *lane, err error) {
	p := o.of[l]
	o.running = slices.DeleteFunc(o.running, func(r *lane) bool { return r == l })
	if next := p.turn(l, err); next != nil {
		o.running = append(o.running, next)
		return
	}
	p.places.give(p)
	p.kick()
}

func (o *office) placed() (n int) {
	for _, l := range o.lanes {
		if l.place.Load() {
			n++
		}
	}
	return n
}

// Follow-ups never have more places than there are; none is free while a lane waits for one that it may have; lanes get them in
// the order in which they asked, and one that was given a place runs, is ready, or is at something.
func TestFollowing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calls, members := rapid.IntRange(1, 24).Draw(t, "calls"), rapid.IntRange(1, 3).Draw(t, "partitions")
		o := newOffice(calls, members, 5)
		queues := make([][]*lane, members)
		some := func(t *rapid.T, among []*lane) *lane {
			if len(among) == 0 {
				t.Skip("none")
			}
			return among[rapid.IntRange(0, len(among)-1).Draw(t, "lane")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) { o.begin(some(t, o.lanes)) },
			"ask": func(t *rapid.T) {
				l := some(t, o.running)
				if p := o.of[l]; !p.follow(l) && !slices.Contains(p.waits, l) {
					t.Fatal("it has no place, and does not wait for one")
				}
			},
			"looked": func(t *rapid.T) {
				l := some(t, o.running)
				if !l.place.Load() {
					t.Skip("it has no place")
				}
				o.of[l].yield(l)
				o.end(l, errIdle)
			},
			"did something else": func(t *rapid.T) { o.end(some(t, o.running), errIdle) },
			"stopped":            func(t *rapid.T) { o.end(some(t, o.running), errStopped) },
			"": func(t *rapid.T) {
				if n := o.placed(); n != o.following.taken || n > o.following.limit || n > max(1, calls/4) {
					t.Fatalf("%d lanes have a place, %d are taken, %d calls", n, o.following.taken, calls)
				}
				for i, p := range o.parts {
					if len(p.waits) > 0 && o.following.taken < o.following.limit && o.following.of[p] < o.following.most {
						t.Fatalf("%d lanes wait, and %d of %d places are taken", len(p.waits), o.following.taken, o.following.limit)
					}
					left := slices.DeleteFunc(slices.Clone(queues[i]), func(l *lane) bool { return !slices.Contains(p.waits, l) })
					if !slices.Equal(left, p.waits[:len(left)]) || len(left) > 0 && len(left) < len(queues[i]) && !slices.Equal(queues[i][len(queues[i])-len(left):], left) {
						t.Fatal("a place was given out of turn")
					}
					queues[i] = slices.Clone(p.waits)
				}
				for _, l := range o.lanes {
					if l.place.Load() && !l.running && !l.queued {
						t.Fatal("a lane has a place, and nobody runs it")
					}
				}
			},
		})
	})
}

// A lane that runs when its turn comes gets its place all the same, and follows up as soon as it has done its thing.
func TestPlaceOfABusyLane(t *testing.T) {
	t.Parallel()
	o := newOffice(4, 1, 2) // one place
	p := o.parts[0]
	one, busy := o.lanes[0], o.lanes[1]
	o.begin(one)
	o.begin(busy)
	if !p.follow(one) || p.follow(busy) {
		t.Fatal("the one place is not the first's")
	}
	p.yield(one)
	o.end(one, errIdle)
	if !busy.place.Load() || one.place.Load() {
		t.Fatal("the lane that runs was passed over")
	}
	o.end(busy, nil)
	if !slices.Equal(o.running, []*lane{busy}) {
		t.Errorf("%d lanes run, want the one that has a place", len(o.running))
	}
}

// A partition that is given up takes no place with it.
func TestPlacesOfAPartitionThatLeaves(t *testing.T) {
	t.Parallel()
	o := newOffice(8, 2, 2) // two places, of which one partition gets one
	gone, other := o.parts[0], o.parts[1]
	for _, l := range o.lanes {
		o.begin(l)
		o.of[l].follow(l)
	}
	if o.following.taken != 2 || len(other.waits) != 1 {
		t.Fatalf("%d places are taken, %d wait", o.following.taken, len(other.waits))
	}
	gone.mu.Lock()
	gone.spawn = nil
	gone.mu.Unlock()
	o.following.leave(gone)
	if o.following.taken != 1 || o.following.of[other] != 1 {
		t.Errorf("%d places are taken, %d by the one that is left", o.following.taken, o.following.of[other])
	}
}
