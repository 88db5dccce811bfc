// Package breaker stops work while a service as a whole is down, and begins again gently once it is back. While it is open
// nothing is attempted but a probe: an outage costs no attempts, and no event is to blame for it.
//
// It is not a usual circuit breaker (sony/gobreaker and the like) in three ways. Work waits for it instead of failing, since a
// failure would have to be written down. It opens only if the calls of several customers fail and none succeeds in between:
// one whose calls all fail is no outage, and neither is one operation that is refused to all while others are done. And after the
// outage the number of those at work grows with each success, lest the service be flattened by all that has waited.
package breaker

import (
	"cmp"
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/outcome"
)

// Config says when a Breaker opens, and how it learns that the service is back.
type Config struct {
	// Probe asks the service something without an effect. Its error is a verdict like that of any call. Required.
	Probe func(ctx context.Context) error
	// Customers is how many customers' calls have to fail, with no success in between: default 10. Two are enough when there
	// was no success for Patience.
	Customers int
	// Patience is default 10 s.
	Patience time.Duration
	// Interval is the time to the first probe, and between probes: default 1 s. After each try to begin again that fails it
	// doubles, up to five times as long. A service that asked for time (outcome.Error.After) gets it.
	Interval time.Duration
	// Overtake is how long a probe may go without an answer until the next one is made beside it: default 5 s. A service that
	// takes long for its answers is found all the same, and one that answers again is not found late for a probe that hangs.
	Overtake time.Duration
	// Full is how many may be at work after an outage before there is no limit any more: default 64.
	Full int
	// Turned, if set, is told each new state. It must not wait, nor call the Breaker.
	Turned func(State)

	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Customers = cmp.Or(c.Customers, 10)
	c.Patience = cmp.Or(c.Patience, 10*time.Second)
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Overtake = cmp.Or(c.Overtake, 5*time.Second)
	c.Full = cmp.Or(c.Full, 64)
	return c
}

// State is what a Breaker is in.
type State int

// The states.
const (
	Closed State = iota // all may work
	Open                // nobody may begin
	Slow                // the service is back: a number that grows may work
)

// String gives the state's word, as in logs and metrics.
func (s State) String() string { return [...]string{"closed", "open", "slow"}[s] }

// Breaker is one service's. Safe for concurrent use.
type Breaker struct {
	cfg    Config
	opened chan struct{} // capacity 1: Run has something to do

	mu      sync.Mutex // guards what follows
	state   State
	turned  time.Time       // since when it is in it
	failing map[string]bool // customers whose calls have failed since the last success
	since   time.Time       // of the first of these failures
	last    time.Time       // of the last of them
	refused int             // probes in a row that were answered, and refused
	trial   bool            // while Slow: a probe has not succeeded, and the first call tells
	probe   time.Duration   // until a probe
	until   time.Time       // before it there is none, as the service has asked
	ops     operations      // what fails, and what does not
	limit   int             // while Slow: how many may be at work
	working int             // how many are
	waiting list.List       // of *waiter, those who want to be, in the order in which they came
}

// waiter waits for its turn.
type waiter struct{ turn chan struct{} }

// New makes a closed Breaker; it starts nothing.
func New(cfg Config) *Breaker {
	cfg = cfg.withDefaults()
	return &Breaker{
		cfg: cfg, opened: make(chan struct{}, 1), turned: time.Now(), failing: map[string]bool{}, probe: cfg.Interval,
	}
}

// State gives the present state.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Since gives the present state, and since when the Breaker is in it. In Closed the service has been answering since then, as
// far as is known.
func (b *Breaker) Since() (State, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.turned
}

// Try says whether work may begin at once. If so it has begun, and the caller calls Leave once it has ended.
func (b *Breaker) Try() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.free() || b.waiting.Len() > 0 {
		return false
	}
	b.working++
	return true
}

// Enter returns when work may begin, and the caller calls Leave once it has ended. The error is that of ctx: then nothing has
// begun.
func (b *Breaker) Enter(ctx context.Context) error {
	if b.Try() {
		return nil
	}
	w := &waiter{turn: make(chan struct{})}
	b.mu.Lock()
	at := b.waiting.PushBack(w)
	b.admit() // it may have become free since
	b.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.turn: // it came in the same moment: on to the next
		b.working--
		b.admit()
	default:
		b.waiting.Remove(at)
	}
	return ctx.Err()
}

// Leave ends work that Try or Enter has let begin.
func (b *Breaker) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.working--
	b.admit()
}

// free says whether one more may begin; b.mu is held.
func (b *Breaker) free() bool {
	return b.state == Closed || b.state == Slow && b.working < b.limit
}

// admit lets those in who may; b.mu is held.
func (b *Breaker) admit() {
	for b.free() && b.waiting.Len() > 0 {
		w := b.waiting.Remove(b.waiting.Front()).(*waiter)
		b.working++
		close(w.turn)
	}
}

// Observe takes note of how a call ended; nil is a success. What says nothing about the service (a call that was given up, or one
// that it asks to be made later) is not counted.
func (b *Breaker) Observe(c Call, err *outcome.Error) {
	word := says(err)
	if word == nothing {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if word == well {
		if b.ops.answered(c, err) {
			b.cfg.Log.Info().Str("operation", c.Operation).Msg("the operation that was refused to everybody is answered again")
		}
		b.success()
		return
	}
	now := time.Now()
	b.asked(err)
	alone, found := b.ops.fails(c, err, now)
	if found {
		b.cfg.Log.Error().Str("operation", c.Operation).Str("class", string(err.Class)).Int("status", err.Status).
			Msg("one operation is refused to everybody, and others are done: what needs it waits, all else goes on")
	}
	if !alone {
		b.failure(c.Customer, now)
	}
}

// asked takes note of the time that the service has asked for; b.mu is held.
func (b *Breaker) asked(err *outcome.Error) {
	if until := time.Now().Add(err.After); err.After > 0 && until.After(b.until) {
		b.until = until
	}
}

func (b *Breaker) success() {
	clear(b.failing)
	if b.state != Slow {
		return
	}
	b.trial = false
	if b.limit++; b.limit >= b.cfg.Full {
		b.turn(Closed)
		b.probe = b.cfg.Interval
	}
	b.admit()
}

func (b *Breaker) failure(customer string, now time.Time) {
	if b.state == Open {
		return // it began before
	}
	if now.Sub(b.last) > forget {
		clear(b.failing)
	}
	if len(b.failing) == 0 {
		b.since = now
	}
	b.last = now
	b.failing[customer] = true
	enough := b.cfg.Customers
	switch {
	case b.trial:
		enough = 1
	case b.state == Slow && b.limit == 1, now.Sub(b.since) >= b.cfg.Patience: // Slow: nothing has succeeded yet
		enough = 2
	}
	if len(b.failing) < min(enough, b.cfg.Customers) {
		return
	}
	if b.state == Slow {
		b.probe = min(2*b.probe, 5*b.cfg.Interval)
	}
	b.turn(Open)
	select {
	case b.opened <- struct{}{}:
	default: // Run will look anyway
	}
}

// turn goes into another state; b.mu is held.
func (b *Breaker) turn(to State) {
	line, words := b.cfg.Log.Info(), "the service answers again: work begins again, slowly"
	switch to {
	case Open:
		line, words = b.cfg.Log.Error(), "many customers' calls fail: the service is only probed until it answers"
	case Slow:
		b.ops.tried = time.Now()
	case Closed:
		words = "the service is back: work goes on without a limit"
	}
	line.Stringer("was", b.state).Stringer("is", to).Int("customers", len(b.failing)).Dur("probe_ms", b.probe).Msg(words)
	b.state, b.turned, b.refused, b.trial = to, time.Now(), 0, false
	clear(b.failing)
	if b.cfg.Turned != nil {
		b.cfg.Turned(to)
	}
}

// Run probes while the Breaker is open, until ctx ends. Without it an open Breaker stays open.
func (b *Breaker) Run(ctx context.Context) {
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.opened:
		}
		for b.State() == Open && b.rest(ctx) && !b.tryWork() {
			answered := make(chan struct{})
			probes.Go(func() {
				defer close(answered)
				b.ask(ctx)
			})
			wait(ctx, answered, b.cfg.Overtake)
		}
	}
}

// forget is how old a failure may become that still counts: longer than the pause until a failing call is repeated. Failures hours
// apart, with nothing in between, are no outage.
const forget = 2 * time.Minute

// mostRefused is how many probes in a row may be refused until work is tried: the service may have something against the probe alone.
const mostRefused = 10

// tryWork lets one begin in place of a probe, if the service answers all probes by a refusal: its call tells. true: it did.
func (b *Breaker) tryWork() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Open || b.refused < mostRefused {
		return false
	}
	b.limit = 1
	b.turn(Slow)
	b.trial = true
	b.admit()
	return true
}

// rest waits for the time of the next probe, and says whether ctx is still there. The service may ask for more time meanwhile.
func (b *Breaker) rest(ctx context.Context) bool {
	b.mu.Lock()
	left := max(b.probe, time.Until(b.until))
	b.mu.Unlock()
	for left > 0 && pause(ctx, left) {
		b.mu.Lock()
		left = time.Until(b.until)
		b.mu.Unlock()
	}
	return ctx.Err() == nil
}

// ask makes a probe. An answer of one that began before the last also counts: it is the service's.
func (b *Breaker) ask(ctx context.Context) {
	err := outcome.Of(b.cfg.Probe(ctx))
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if says(err) == down {
		b.asked(err)
		b.refused++
		if !refuses(err) {
			b.refused = 0
		}
		return
	}
	if b.state != Open {
		return
	}
	b.limit = 1
	b.turn(Slow)
	b.admit()
}

// pause waits for d, and says whether ctx is still there.
func pause(ctx context.Context, d time.Duration) bool {
	wait(ctx, nil, d)
	return ctx.Err() == nil
}

// wait waits for d, for what is done, or for the end of ctx.
func wait(ctx context.Context, done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
}
