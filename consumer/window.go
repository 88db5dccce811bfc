package consumer

import (
	"sort"
	"time"

	"distributor-bridge/internal/kafka"
)

// window keeps the offsets of one partition that were taken and are not committed yet, in their order. The offset to
// commit is the first that is not done: whatever happens, what comes after it is delivered again.
//
// It is not safe for concurrent use; the zero value is an empty one.
type window struct {
	taken []taken // rising; all before the first that is not done have been cut off
	done  int     // of them
	next  int64   // what to commit if nothing is open
	moved bool    // something has become committable since the last commit
}

// taken is an offset of the window.
type taken struct {
	offset int64
	since  int64 // when its record was written, in milliseconds
	done   bool
}

// take adds an offset, larger than all before, and when its record was written.
func (w *window) take(offset int64, written time.Time) {
	w.taken = append(w.taken, taken{offset: offset, since: written.UnixMilli()})
}

// oldest gives the first offset that is not done, and when its record was written; false if all are done.
func (w *window) oldest() (offset int64, written time.Time, ok bool) {
	if len(w.taken) == 0 {
		return 0, time.Time{}, false
	}
	return w.taken[0].offset, time.UnixMilli(w.taken[0].since), true
}

// finish marks a taken offset as done.
func (w *window) finish(offset int64) {
	i := sort.Search(len(w.taken), func(i int) bool { return w.taken[i].offset >= offset })
	w.taken[i].done = true
	w.done++
	for len(w.taken) > 0 && w.taken[0].done {
		w.next = w.taken[0].offset + 1
		w.taken = w.taken[1:]
		w.done--
		w.moved = true
	}
}

// open gives how many offsets were taken, from the first that is not done on.
func (w *window) open() int { return len(w.taken) }

// undone gives how many of them are not done.
func (w *window) undone() int { return len(w.taken) - w.done }

// again makes the next commit give an offset although it has not moved: the last one was not stored.
func (w *window) again() { w.moved = w.next > 0 }

// commit gives the offset to commit, the first that is not done; ok is false if it has not moved since the last call.
func (w *window) commit() (offset int64, ok bool) {
	if !w.moved {
		return 0, false
	}
	w.moved = false
	if len(w.taken) > 0 {
		return w.taken[0].offset, true // records that a compaction or a transaction left out may lie before it
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
