package ops

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Pulse is whether a program's loops go on: those that Run was given have not ended before their time, and what Watch looks at, it
// comes back from. A program that hangs in a lock is found by the look that hangs in it, too.
type Pulse struct {
	mu    sync.Mutex
	ended []string  // loops that are over, although nobody has ended them
	found []string  // by the last look
	last  time.Time // when it came back; zero: nobody looks
}

const (
	lookEvery = 5 * time.Second
	// lateAfter is how long a look may take; far more than a processor that is busy makes of it.
	lateAfter = 30 * time.Second
)

// Run runs a loop, and takes note if it ends without an error while ctx goes on.
func (p *Pulse) Run(ctx context.Context, name string, loop func(context.Context) error) error {
	err := loop(ctx)
	if err == nil && ctx.Err() == nil { // one that ends with an error ends the program
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = append(p.ended, name+": it has ended")
	}
	return err
}

// Watch looks from time to time until ctx ends. look gives what is stuck.
func (p *Pulse) Watch(ctx context.Context, look func() []string) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	p.note(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.note(look())
		}
	}
}

func (p *Pulse) note(found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found, p.last = found, time.Now()
}

// Stuck gives what does not go on; nothing if all is well. It waits for no look.
func (p *Pulse) Stuck() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var stuck []string
	if since := time.Since(p.last); !p.last.IsZero() && since > lookEvery+lateAfter {
		stuck = append(stuck, fmt.Sprintf("watchdog: it has not come round for %s", since.Round(time.Second)))
	}
	return append(append(stuck, p.ended...), p.found...)
}
