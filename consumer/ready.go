package consumer

import (
	"container/heap"
	"slices"
	"time"
)

// rank is a ready lane's place in the order in which lanes go on: that of the inbox.
type rank struct {
	offset int64  // of the inbox
	nth    uint64 // of those with the same, the first that was ready
}

// apart is how many of the inbox's records go between two of one customer, if others are ready: a customer with a thousand
// events, one after the other, leaves room.
const apart = 16

// ready is a heap of the lanes that have something to do and do not run, the lane of the oldest record first. (In the order in
// which they became ready, a customer with five records in the window would need five rounds of all customers; the window, which
// is as long as its oldest record is old, would be full of what is done, and places would be empty.)
type ready struct {
	lanes []*lane
	count uint64 // of all that were ever in it
	back  int64  // the offset at which the last lane ranks that comes back to something
}

// push adds a lane, which is not in it. What a lane has to come back to counts as about as old as what is oldest in the window, one
// such lane after the other: so they and new records take turns, and ten thousand that fail again and again keep no record from
// its turn. Whatever it did before, a lane goes before what is to come, which begins at the offset next.
func (r *ready) push(l *lane, oldest, next int64) {
	var offset int64
	switch {
	case l.task != nil:
		offset = l.task.work.Offset
	case len(l.queue) > 0 && !l.pressed():
		offset = l.queue[0].Offset
	default:
		r.back = min(max(r.back+1, oldest), next)
		offset = r.back
	}
	r.count++
	l.rank = rank{min(max(offset, l.rank.offset+apart), next), r.count}
	heap.Push(r, l)
}

// pressed says whether the time of one of the lane's items has come, as far as can be told without its record: it may be blocked by
// another.
func (l *lane) pressed() bool {
	if len(l.items) == 0 {
		return false
	}
	now := time.Now()
	return slices.ContainsFunc(l.items, func(it *item) bool {
		return (it.ready || !it.due.IsZero() && !it.due.After(now)) && (it.follow == "" || !l.waits && !l.seated)
	})
}

// pop takes the first lane.
func (r *ready) pop() *lane { return heap.Pop(r).(*lane) }

func (r *ready) Len() int { return len(r.lanes) }

func (r *ready) Less(i, j int) bool {
	a, b := r.lanes[i].rank, r.lanes[j].rank
	return a.offset < b.offset || a.offset == b.offset && a.nth < b.nth
}

// Swap, Push and Pop are for container/heap.
func (r *ready) Swap(i, j int) { r.lanes[i], r.lanes[j] = r.lanes[j], r.lanes[i] }

// Push adds a lane.
func (r *ready) Push(x any) { r.lanes = append(r.lanes, x.(*lane)) }

// Pop takes the last lane out, and lets go of an empty heap's memory.
func (r *ready) Pop() any {
	last := len(r.lanes) - 1
	l := r.lanes[last]
	r.lanes[last] = nil
	if r.lanes = r.lanes[:last]; last == 0 {
		r.lanes = nil
	}
	return l
}
