package consumer

import (
	"cmp"
	"slices"
	"sync"
)

// How many lanes may be at work for the calls in flight: the others write to Kafka. With more of them intents would be written
// long before their call's turn, which eats the lease; and a customer with several records would wait that long for each. (The
// API's client limits the calls.)
const (
	lanesPerCall = 3
	mostWriting  = 512 // more lanes than calls; what they write goes together
)

// followShare is which part of the calls in flight follow-ups may take: one in so many.
const followShare = 4

// places are those of the lanes at work, over all partitions, or of the follow-ups among them. Who waits for one and has the
// fewest gets it.
type places struct {
	limit   int
	members int // partitions; at least 1
	least   int // what a partition gets at any time, beyond the limit if need be
	most    int // what it gets at most

	mu      sync.Mutex // guards what follows
	taken   int
	of      map[*partition]int
	waiting []*partition // have been refused a place, each once, in that order
}

// newPlaces gives the places of the lanes at work. A partition may have all of them while no other wants one, and its share at
// any time: one whose lanes all hang, at a sick broker, holds back no other.
func newPlaces(calls, members int) *places {
	limit, members := min(lanesPerCall*calls, calls+mostWriting), max(1, members)
	return &places{limit: limit, members: members, least: max(1, limit/members), most: limit, of: map[*partition]int{}}
}

// newFollowing gives the places of the follow-ups under attempt. There are never more than the limit says; where there are
// several partitions, one leaves a quarter of them to the others.
func newFollowing(calls, members int) *places {
	limit := max(1, calls/followShare)
	most := limit
	if members > 1 && limit > 1 {
		most -= max(1, limit/4)
	}
	return &places{limit: limit, members: max(1, members), most: most, of: map[*partition]int{}}
}

// take takes a place. If there is none, the partition is kicked when there may be.
func (pl *places) take(p *partition) bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.taken < pl.limit && pl.of[p] < pl.most || pl.of[p] < pl.least {
		pl.taken++
		pl.of[p]++
		return true
	}
	for _, w := range pl.waiting {
		if w == p {
			return false
		}
	}
	pl.waiting = append(pl.waiting, p)
	return false
}

// give gives a place back, and kicks who waits.
func (pl *places) give(p *partition) {
	pl.mu.Lock()
	pl.taken--
	pl.of[p]--
	waiting := pl.next()
	pl.mu.Unlock()
	kick(waiting)
}

// next gives who waits, those that have the fewest first; pl.mu is held.
func (pl *places) next() []*partition {
	waiting := pl.waiting
	pl.waiting = nil
	slices.SortStableFunc(waiting, func(a, b *partition) int { return cmp.Compare(pl.of[a], pl.of[b]) })
	return waiting
}

func kick(waiting []*partition) {
	for _, w := range waiting { // who gets none waits again
		w.kick()
	}
}

// crowded says whether one of the partition's workers has to leave its place to another partition.
func (pl *places) crowded(p *partition) bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, w := range pl.waiting {
		if w != p {
			return pl.of[p] > pl.least
		}
	}
	return false
}

// leave forgets a partition, all of whose workers have ended, and gives back what it had taken for later.
func (pl *places) leave(p *partition) {
	pl.mu.Lock()
	left := pl.of[p]
	pl.taken -= left
	delete(pl.of, p)
	pl.waiting = slices.DeleteFunc(pl.waiting, func(w *partition) bool { return w == p })
	var waiting []*partition
	if left > 0 {
		waiting = pl.next()
	}
	pl.mu.Unlock()
	kick(waiting)
}
