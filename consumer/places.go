package consumer

import (
	"slices"
	"sync"
)

// lanesPerCall is how many lanes may be at work for one call in flight: the others write to Kafka. With more of them intents
// would be written long before their call's turn, which eats the lease. (The API's client limits the calls.)
const lanesPerCall = 3

// places are those of the lanes at work, over all partitions. A partition may have all of them while no other wants one,
// and its share at any time: one whose lanes all hang, at a sick broker, holds back no other.
type places struct {
	limit   int
	members int // partitions; at least 1

	mu      sync.Mutex // guards what follows
	taken   int
	of      map[*partition]int
	waiting []*partition // have been refused a place, each once, in that order
}

func newPlaces(calls, members int) *places {
	return &places{limit: lanesPerCall * calls, members: max(1, members), of: map[*partition]int{}}
}

func (pl *places) share() int { return max(1, pl.limit/pl.members) }

// take takes a place. If there is none, the partition is kicked when there may be.
func (pl *places) take(p *partition) bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.taken < pl.limit || pl.of[p] < pl.share() {
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
	waiting := pl.waiting
	pl.waiting = nil
	pl.mu.Unlock()
	for _, w := range waiting { // who gets none waits again, in the same order
		w.kick()
	}
}

// crowded says whether one of the partition's workers has to leave its place to another partition.
func (pl *places) crowded(p *partition) bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	for _, w := range pl.waiting {
		if w != p {
			return pl.of[p] > pl.share()
		}
	}
	return false
}

// leave forgets a partition, all of whose workers have ended.
func (pl *places) leave(p *partition) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	delete(pl.of, p)
	pl.waiting = slices.DeleteFunc(pl.waiting, func(w *partition) bool { return w == p })
}
