package consumer

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Standing is how far a stage has come since it began to run.
type Standing struct {
	Joined   bool // it has been in a generation of its group
	Restored bool // the engine: each partition of one generation had been taken over, or there was none
	Assigned int  // the engine: partitions of the present generation
	Owned    int  // of these, the ones at work
}

// overdue is how much longer than it may something takes until it is called stuck: far more than what ends anyway needs.
const overdue = time.Minute

// vitals are what a stage's own goroutines tell of themselves.
type vitals struct {
	mu       sync.Mutex // guards what follows
	joined   bool
	restored bool
	now      int       // number of the present generation
	ending   time.Time // since when the present generation is to end; zero: it is not
	round    time.Time // when its watchdog came round last; zero: it has none, or waits for brokers
}

// begin takes note of a generation. end is to be called when it is to end, by anybody and however late, and over when it has ended.
func (v *vitals) begin() (end, over func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.joined = true
	v.now++
	number := v.now
	end = func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.now == number && v.ending.IsZero() {
			v.ending, v.round = time.Now(), time.Time{}
		}
	}
	over = func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.now++
		v.ending, v.round = time.Time{}, time.Time{}
	}
	return end, over
}

// turn takes note that the watchdog has come round.
func (v *vitals) turn() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ending.IsZero() {
		v.round = time.Now()
	}
}

// still takes note that the watchdog waits for what may take as long as it takes: it is late for nothing until its next turn.
func (v *vitals) still() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.round = time.Time{}
}

// all takes note that each partition of the generation has been taken over.
func (v *vitals) all() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.restored = true
}

// stuck gives what has not ended, or has not come round, for longer than it may.
func (v *vitals) stuck(drain, round time.Duration) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var stuck []string
	if since := time.Since(v.ending); !v.ending.IsZero() && since > drain+overdue {
		stuck = append(stuck, fmt.Sprintf("a generation of the group has been ending for %s", since.Round(time.Second)))
	}
	if since := time.Since(v.round); !v.round.IsZero() && since > round+overdue {
		stuck = append(stuck, fmt.Sprintf("the partitions' watchdog has not come round for %s", since.Round(time.Second)))
	}
	return stuck
}

// Standing tells how far the engine has come.
func (e *Engine) Standing() Standing {
	s := e.vitals.standing()
	e.mu.Lock()
	present := e.present
	e.mu.Unlock()
	if present != nil {
		s.Assigned, s.Owned = len(present.lives), len(present.owned())
	}
	return s
}

// Standing tells how far intake has come.
func (in *Intake) Standing() Standing { return in.vitals.standing() }

func (v *vitals) standing() Standing {
	v.mu.Lock()
	defer v.mu.Unlock()
	return Standing{Joined: v.joined, Restored: v.restored}
}

// Stuck names what of the engine's own goroutines does not go on, whatever brokers and the API do. It takes the locks that they
// take, so that it does not come back if one is never given back.
func (e *Engine) Stuck() []string {
	stuck := e.vitals.stuck(e.cfg.Drain, e.watchEvery())
	e.mu.Lock()
	present := e.present
	e.mu.Unlock()
	if present == nil {
		return stuck
	}
	now := time.Now()
	for _, p := range present.owned() {
		if since := p.endingFor(now); since > e.cfg.Drain+overdue {
			stuck = append(stuck, fmt.Sprintf("partition %d has been ending for %s", p.number, since.Round(time.Second)))
		}
	}
	slices.Sort(stuck) // owned has no order
	return stuck
}

// Stuck names what of intake's own goroutines does not go on.
func (in *Intake) Stuck() []string { return in.vitals.stuck(in.cfg.Drain, 0) }

// endingFor gives for how long the partition has begun no more; 0 while it does.
func (p *partition) endingFor(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over.IsZero() {
		return 0
	}
	return now.Sub(p.over)
}
