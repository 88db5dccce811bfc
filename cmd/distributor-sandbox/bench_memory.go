package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"distributor-bridge/internal/kafka"
)

// memoryPoint is what was resident of the bridge when so many events were done.
type memoryPoint struct {
	Events int   `json:"events"`
	Bytes  int64 `json:"resident_bytes"`
}

// memorySeries takes a point at every 20th part of a run.
type memorySeries struct {
	process int
	total   int
	points  []memoryPoint
}

func (s *memorySeries) note(done int) {
	if due := len(s.points) + 1; done*20 < due*s.total {
		return
	}
	if bytes, err := memoryOf(strconv.Itoa(s.process), "VmRSS:"); err == nil { // else it has ended, which await sees
		s.points = append(s.points, memoryPoint{done, bytes})
	}
}

// at gives the first point at or after a share of the run.
func at(points []memoryPoint, total int, share float64) (memoryPoint, bool) {
	i := slices.IndexFunc(points, func(p memoryPoint) bool { return float64(p.Events) >= share*float64(total) })
	if i < 0 {
		return memoryPoint{}, false
	}
	return points[i], true
}

// stateObjects counts the objects of the state topic: what the bridge has in memory. They are told apart by a hash, since
// there may be millions.
func (b *bench) stateObjects(ctx context.Context) (int, error) {
	topic := b.topics().State
	ends, err := b.client.EndOffset(ctx, topic)
	if err != nil {
		return 0, err
	}
	starts, err := b.client.StartOffset(ctx, topic)
	if err != nil {
		return 0, err
	}
	total := 0
	for p, end := range ends {
		total += int(end - starts[p])
	}
	m := newMeter(b.t, "state", total)
	defer m.end()
	seed, objects, read := maphash.MakeSeed(), map[uint64]bool{}, 0
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		err := b.client.Read(ctx, topic, p, starts[p], ends[p], func(r kafka.Record) error {
			if read++; read%1000 == 0 {
				m.set(read)
			}
			switch key := maphash.Bytes(seed, r.Key); {
			case !bytes.Contains(r.Key, []byte("/")): // a claim
			case len(r.Value) == 0:
				delete(objects, key)
			default:
				objects[key] = true
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("count the objects of state: %w", err)
		}
	}
	return len(objects), nil
}

// heapInUse is what is on this process's heap, without garbage.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// memoryOf reads a process's memory, in bytes: VmRSS: is resident, VmHWM: the most that was. (Rusage has the parent's as
// well: the most of all that ran in the process, before exec too.)
func memoryOf(process, field string) (int64, error) {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0, fmt.Errorf("ask for the memory: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), field); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("ask for the memory: no " + field + " in /proc")
}
