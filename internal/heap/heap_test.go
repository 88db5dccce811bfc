package heap_test

import (
	"runtime"
	"runtime/metrics"
	"testing"

	"distributor-bridge/internal/heap"
)

// goal gives how large the heap may become before the next collection, after one.
func goal() uint64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// settles collects until the goal is as wanted: what Room does after a collection takes a moment.
func settles(t *testing.T, what string, wanted func(uint64) bool) {
	t.Helper()
	var last uint64
	for range 300 {
		if last = goal(); wanted(last) {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%s: the goal is %d MB", what, last>>20)
}

// TestRoom: a small heap gets the room, a large one half of what lives, and it goes along with that.
func TestRoom(t *testing.T) { //nolint:paralleltest // it is about the whole process
	const room = 64 << 20
	stop := heap.Room(room)
	roomy := func(goal uint64) bool { return goal > room*8/10 && goal < room*15/10 }
	settles(t, "little lives", roomy)

	lives := make([][]byte, 200)
	for i := range lives {
		lives[i] = make([]byte, 1<<20)
	}
	settles(t, "200 MB live", func(goal uint64) bool { return goal > 290<<20 && goal < 330<<20 })
	runtime.KeepAlive(lives)

	settles(t, "little lives again", roomy)
	stop()
	settles(t, "stopped", func(goal uint64) bool { return goal < 16<<20 })
}

// TestTold: what an operator sets counts.
func TestTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{nil, false}, {[]string{"PATH=/bin", "GOGC="}, false}, {[]string{"GOGC=50"}, true}, {[]string{"A=b", "GOMEMLIMIT=200MiB"}, false},
	} {
		if got := heap.Told(c.environ); got != c.want {
			t.Errorf("%q: %v", c.environ, got)
		}
	}
}
