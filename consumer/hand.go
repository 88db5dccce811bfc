package consumer

import (
	"sync/atomic"
	"time"
)

// doing is what a lane is at.
type doing int32

const (
	resting   doing = iota // at nothing
	handling               // the handler is at work, or its call
	intending              // an intent is being written, or the lease renewed
	recording              // the outcome is being written, and published
	reading                // a held event is fetched from the inbox
)

// String gives the word that the log has.
func (d doing) String() string {
	return [...]string{"rest", "handler", "intent", "outcome", "inbox"}[d]
}

// hand is what a lane is at, and since when. One goroutine writes, any may look.
type hand struct {
	began  atomic.Int64 // the thing as a whole, in Unix nanoseconds; 0: none
	step   atomic.Int32
	since  atomic.Int64 // the step
	offset atomic.Int64 // in the inbox, of what the thing is about
}

func (h *hand) begin(offset int64) {
	now := time.Now().UnixNano()
	h.offset.Store(offset)
	h.began.Store(now)
	h.since.Store(now)
	h.step.Store(int32(handling))
}

func (h *hand) end() {
	h.began.Store(0)
	h.step.Store(int32(resting))
}

func (h *hand) turn(to doing) {
	h.step.Store(int32(to))
	h.since.Store(time.Now().UnixNano())
}

// doing gives the step, and for how long it has been under way.
func (h *hand) doing(now time.Time) (doing, time.Duration) {
	return doing(h.step.Load()), now.Sub(time.Unix(0, h.since.Load()))
}

// busy gives for how long the lane has been at one thing; 0 if it is at none.
func (h *hand) busy(now time.Time) time.Duration {
	began := h.began.Load()
	if began == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, began))
}
