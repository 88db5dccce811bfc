// Package heap says how often garbage is collected: it gives a small heap more room than Go does, and a large one less.
//
// Go collects when the heap has grown by as much as lives (GOGC=100). The bridge throws a lot away, so that with 20 MB of living
// objects it would collect after each 20 MB: every thousand events. And what a large heap holds is state at rest, which the
// collector passes over quickly: there it need not take as much again. So the room is the same, whatever lives, until half of
// what lives is more than that.
//
// It is for programs: what it sets holds for the whole process.
package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
)

const (
	usual = 100 // Go's own setting, in percent: room for as much as lives
	least = 50  // for a large heap
)

// Told says whether somebody has set GOGC in the environment: that counts, then. GOMEMLIMIT goes with the room: near the limit Go
// collects more often than either wants.
func Told(environ []string) bool {
	return slices.ContainsFunc(environ, func(set string) bool {
		name, value, _ := strings.Cut(set, "=")
		return value != "" && name == "GOGC"
	})
}

// Room lets the heap grow by so many bytes before garbage is collected. It looks after each collection at what lives,
// until stop sets back what is usual. Once in a process at a time.
func Room(bytes uint64) (stop func()) {
	k := &keeper{room: bytes, percent: usual}
	k.look()
	return k.stop
}

// keeper keeps the room.
type keeper struct {
	room uint64

	mu      sync.Mutex // guards the rest
	percent int
	over    bool
}

// look sets the room by what lives now, and looks again after the next collection.
func (k *keeper) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over {
		return
	}
	// Setting it stops the program for some microseconds: not for little.
	if percent := k.fitting(); percent > k.percent*11/10 || percent < k.percent*9/10 {
		k.percent = percent
		debug.SetGCPercent(percent)
	}
	// What nothing refers to lives until the next collection. It holds a pointer, since what holds none may share its place
	// with others.
	type cycle struct{ *keeper }
	runtime.AddCleanup(&cycle{k}, (*keeper).look, k)
}

// fitting gives the room in percent of what it is counted from.
func (k *keeper) fitting() int {
	lives := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(lives)
	var base uint64
	for _, s := range lives {
		base += s.Value.Uint64()
	}
	const floor = 4 << 20 // Go lets a heap grow to so much, times what is set, however little lives
	return int(max(least, k.room*100/max(base, floor)))
}

func (k *keeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	debug.SetGCPercent(usual)
}
