package main

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
)

// spent is what this process has used up since it began.
type spent struct {
	CPUSeconds float64 `json:"cpu_seconds"` // user and system
	// GCSeconds are those of them that the collector took, in the background and of those who allocate, as the runtime
	// estimates it by the clock: too many on a machine that is busy with other things. What it does on an idle processor is
	// left out: nobody waits for that.
	GCSeconds      float64 `json:"gc_seconds"`
	Allocations    uint64  `json:"allocations"` // objects on the heap
	AllocatedBytes uint64  `json:"allocated_bytes"`
}

func spentSoFar() (spent, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return spent{}, fmt.Errorf("ask for the processor time: %w", err)
	}
	gc := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(gc)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return spent{
		CPUSeconds: time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(),
		GCSeconds:  gc[0].Value.Float64() - gc[1].Value.Float64(),

		Allocations: m.Mallocs, AllocatedBytes: m.TotalAlloc,
	}, nil
}

func (s spent) since(before spent) spent {
	return spent{
		CPUSeconds: s.CPUSeconds - before.CPUSeconds, GCSeconds: s.GCSeconds - before.GCSeconds,
		Allocations: s.Allocations - before.Allocations, AllocatedBytes: s.AllocatedBytes - before.AllocatedBytes,
	}
}
