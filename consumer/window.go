package consumer

import (
	"time"

	"distributor-bridge/internal/kafka"
)

// window keeps the offsets of one partition that were taken and are not committed yet, in their order. The offset to
// commit is the first that is not done: whatever happens, what comes after it is delivered again.
//
// It is not safe for concurrent use.
type window struct {
	offsets []int64 // taken, rising; all before the first not done have been cut off
	since   []int64 // of the same: when they were written, in milliseconds
	done    map[int64]bool
	next    int64 // what to commit if nothing is open
	moved   bool  // something has become committable since the last commit
}

func newWindow() *window { return &window{done: map[int64]bool{}} }

// take adds an offset, larger than all before, and when its record was written.
func (w *window) take(offset int64, written time.Time) {
	w.offsets, w.since = append(w.offsets, offset), append(w.since, written.UnixMilli())
}

// oldest gives the first offset that is not done, and when its record was written; false if all are done.
func (w *window) oldest() (offset int64, written time.Time, ok bool) {
	if len(w.offsets) == 0 {
		return 0, time.Time{}, false
	}
	return w.offsets[0], time.UnixMilli(w.since[0]), true
}

// finish marks a taken offset as done.
func (w *window) finish(offset int64) {
	w.done[offset] = true
	for len(w.offsets) > 0 && w.done[w.offsets[0]] {
		delete(w.done, w.offsets[0])
		w.next = w.offsets[0] + 1
		w.offsets, w.since = w.offsets[1:], w.since[1:]
		w.moved = true
	}
}

// open gives how many offsets are taken and not cut off.
func (w *window) open() int { return len(w.offsets) }

// again makes the next commit give an offset although it has not moved: the last one was not stored.
func (w *window) again() { w.moved = w.next > 0 }

// commit gives the offset to commit, the first that is not done; ok is false if it has not moved since the last call.
func (w *window) commit() (offset int64, ok bool) {
	if !w.moved {
		return 0, false
	}
	w.moved = false
	if len(w.offsets) > 0 {
		return w.offsets[0], true // records that a compaction or a transaction left out may lie before it
	}
	return w.next, true
}

// weight gives roughly how many bytes of memory a record takes.
func weight(r kafka.Record) int {
	const record, header = 160, 48 // of the structs themselves
	n := record + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += header + len(h.Key) + len(h.Value)
	}
	return n
}
