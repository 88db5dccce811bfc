package consumer

import "container/heap"

// turn is when a ready lane's turn comes: in the order of the inbox.
type turn struct {
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
}

// push adds a lane, which is not in it. What comes from no record in the lane's queue counts as come now: next is the inbox
// offset that is to be delivered next.
func (r *ready) push(l *lane, next int64) {
	offset := next
	switch {
	case l.task != nil:
		offset = l.task.work.Offset
	case len(l.queue) > 0:
		offset = l.queue[0].Offset
	}
	r.count++
	l.turn = turn{min(max(offset, l.turn.offset+apart), next), r.count} // whatever it did before, it goes before what is to come
	heap.Push(r, l)
}

// pop takes the lane whose turn it is.
func (r *ready) pop() *lane { return heap.Pop(r).(*lane) }

func (r *ready) Len() int { return len(r.lanes) }

func (r *ready) Less(i, j int) bool {
	a, b := r.lanes[i].turn, r.lanes[j].turn
	return a.offset < b.offset || a.offset == b.offset && a.nth < b.nth
}

// Swap, Push and Pop are for container/heap.
func (r *ready) Swap(i, j int) { r.lanes[i], r.lanes[j] = r.lanes[j], r.lanes[i] }

// Push adds a lane.
func (r *ready) Push(x any) { r.lanes = append(r.lanes, x.(*lane)) }

// Pop takes the last lane out.
func (r *ready) Pop() any {
	last := len(r.lanes) - 1
	l := r.lanes[last]
	r.lanes[last] = nil
	r.lanes = r.lanes[:last]
	return l
}
