package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/heap"
	"distributor-bridge/internal/sandbox"
)

// benchAPICmd is the API's process.
type benchAPICmd struct {
	Latency time.Duration
	Slow    string // ID of the investor whose calls take slowCall
}

// Run serves until the parent ends it.
func (c *benchAPICmd) Run(ctx context.Context, t terminal) error {
	ctx, cancel := obey(ctx, os.Stdin, func(string) {})
	defer cancel()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := say(t.stdout, hello{Addrs: []string{ln.Addr().String()}}); err != nil {
		return err
	}
	// It has little to do, and shares the processor with what is measured: one thread does not look for work of another's.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(200)
	api := sandbox.NewFast(sandbox.FastConfig{Latency: c.Latency, Slow: map[string]time.Duration{c.Slow: slowCall}})
	return api.Serve(ctx, ln)
}

// benchBridgeCmd is the process of the bridge that is measured. At the order "usage" it tells what it has used, and writes
// its profiles.
type benchBridgeCmd struct {
	Brokers              []string
	API                  string
	Prefix               string
	Partitions, InFlight int
	Profile              string
	AllocProfile         string
}

// usage is what a bridge has used.
type usage struct {
	spent
	PeakBytes int64 `json:"peak_bytes"` // resident, since the process began
	HeapBytes int64 `json:"heap_bytes"` // on the heap, without garbage, more than before it began to run
}

const orderUsage = "usage"

// Run works until the parent ends it.
func (c *benchBridgeCmd) Run(ctx context.Context, t terminal) error {
	log, err := benchLog(t)
	if err != nil {
		return err
	}
	cfg := benchConfig(c.Prefix, c.Partitions)
	cfg.Kafka.Brokers, cfg.API.BaseURL, cfg.Rules.MaxInFlight, cfg.Log = c.Brokers, c.API, c.InFlight, log
	b, err := bridge.New(cfg)
	if err != nil {
		return err
	}
	if !heap.Told(os.Environ()) {
		defer heap.Room(cfg.HeapRoom())()
	}
	inUse := heapInUse()
	before, err := spentSoFar()
	if err != nil {
		return err
	}
	if err := c.startProfile(); err != nil {
		return err
	}
	ctx, cancel := obey(ctx, os.Stdin, func(order string) {
		if order != orderUsage {
			return
		}
		u, err := c.used(before, inUse)
		if err == nil {
			err = say(t.stdout, u)
		}
		if err != nil {
			fmt.Fprintln(t.stderr, err) // the parent, who waits for an answer, sees that there is none
			os.Exit(1)
		}
	})
	defer cancel()
	if err := say(t.stdout, hello{}); err != nil {
		return err
	}
	return b.Run(ctx)
}

// benchLog writes all lines, as a bridge in production does, to where nobody reads them; those that tell of trouble also to
// standard error.
func benchLog(t terminal) (zerolog.Logger, error) {
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return zerolog.Nop(), err
	}
	trouble := &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: t.stderr}, Level: zerolog.ErrorLevel}
	return zerolog.New(zerolog.MultiLevelWriter(nowhere, trouble)).Level(zerolog.InfoLevel).With().Timestamp().Logger(), nil
}

func (c *benchBridgeCmd) startProfile() error {
	if c.Profile == "" {
		return nil
	}
	f, err := os.Create(c.Profile) // open until the profile is whole; the process's end closes it
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

func (c *benchBridgeCmd) used(before spent, inUse int64) (usage, error) {
	now, err := spentSoFar()
	if err != nil {
		return usage{}, err
	}
	peak, err := memoryOf("self", "VmHWM:")
	if err != nil {
		return usage{}, err
	}
	pprof.StopCPUProfile()
	if c.AllocProfile != "" {
		f, err := os.Create(c.AllocProfile)
		if err != nil {
			return usage{}, err
		}
		defer f.Close()
		if err := pprof.Lookup("allocs").WriteTo(f, 0); err != nil {
			return usage{}, fmt.Errorf("write the profile: %w", err)
		}
	}
	return usage{spent: now.since(before), PeakBytes: peak, HeapBytes: max(0, heapInUse()-inUse)}, nil
}
