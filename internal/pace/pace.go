// Package pace keeps calls within what a service takes: under a ceiling that is configured, under a rate that is learned from
// its refusals, and never before the time that a refusal names.
//
// Members do not talk about it. Each learns by itself: a refusal takes a part of its rate away, time without one adds the same
// to everybody's, so that shares become alike (as with TCP's congestion control).
package pace

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Config says how a Pacer begins.
type Config struct {
	Ceiling float64 // calls a second, at most; 0: none but what is learned
	Log     zerolog.Logger
}

// How a rate is learned.
const (
	cut   = 0.75            // what a refusal leaves of the rate
	grow  = 0.02            // of the rate, a second without a refusal; at least leap
	leap  = 0.5             // calls a second
	least = 0.2             // calls a second: a rate does not become less
	calm  = time.Second     // after a cut; refusals within it are of calls that were made before it
	free  = 5 * time.Minute // without a refusal: no rate is known any more
	sight = 2 * time.Second // over which the present rate is measured
)

// Pacer is shared by all who call one service. Safe for concurrent use.
type Pacer struct {
	cfg  Config
	door chan struct{} // held by the one that enters: the others have no place in the schedule yet

	mu       sync.Mutex
	rate     float64   // learned; +Inf: none
	next     time.Time // when the next call may be made
	until    time.Time // before it none may, as a refusal has told
	refused  time.Time // when the last cut was made
	grown    time.Time // when the rate was grown last
	answered float64   // calls that succeeded, older ones counting less
	at       time.Time // as of when
}

// New makes a Pacer that knows no rate.
func New(cfg Config) *Pacer {
	return &Pacer{cfg: cfg, door: make(chan struct{}, 1), rate: math.Inf(1)}
}

type ticketKey struct{}

// ticket is a call that was waited for at the door.
type ticket struct {
	mu    sync.Mutex
	spent bool
}

func (t *ticket) spend() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.spent
	t.spent = true
	return !was
}

// Enter waits until work that is going to make calls may begin: the first of them is paid for then, under the context that it
// gives. Calls of work that has begun go before work that has not. The error is that of ctx.
func (p *Pacer) Enter(ctx context.Context) (context.Context, error) {
	select {
	case p.door <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.door }()
	if err := p.pass(ctx); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, ticketKey{}, new(ticket)), nil
}

// Wait waits until a call may be made, right before it is. The error is that of ctx.
func (p *Pacer) Wait(ctx context.Context) error {
	if t, ok := ctx.Value(ticketKey{}).(*ticket); ok && t.spend() {
		return p.sleep(ctx, time.Time{}) // a refusal may have come since
	}
	return p.pass(ctx)
}

// pass takes the next place in the schedule, and waits for its time.
func (p *Pacer) pass(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	p.learn(now)
	at := latest(now, p.next, p.until)
	if rate := p.allowed(); !math.IsInf(rate, 1) {
		p.next = at.Add(time.Duration(float64(time.Second) / rate))
	}
	p.mu.Unlock()
	return p.sleep(ctx, at)
}

// sleep waits until at, and until no refusal stands against it.
func (p *Pacer) sleep(ctx context.Context, at time.Time) error {
	for {
		p.mu.Lock()
		at = latest(at, p.until)
		p.mu.Unlock()
		left := time.Until(at)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// allowed gives the present rate; p.mu is held.
func (p *Pacer) allowed() float64 {
	if p.cfg.Ceiling > 0 {
		return min(p.rate, p.cfg.Ceiling)
	}
	return p.rate
}

// learn lets the rate grow for the time without a refusal; p.mu is held.
func (p *Pacer) learn(now time.Time) {
	if math.IsInf(p.rate, 1) {
		return
	}
	from := latest(p.grown, p.refused.Add(calm), p.until)
	seconds := now.Sub(from).Seconds()
	if seconds <= 0 {
		return
	}
	p.grown = now
	p.rate += seconds * max(leap, grow*p.rate)
	if now.Sub(latest(p.refused, p.until)) > free {
		p.rate = math.Inf(1)
		p.cfg.Log.Info().Msg("no call was refused for long: the rate is free again")
	}
}

// Succeeded takes note of a call that was not refused.
func (p *Pacer) Succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.measure(time.Now())
	p.answered++
}

// measure lets what was counted fade; p.mu is held.
func (p *Pacer) measure(now time.Time) {
	p.answered *= math.Exp(-now.Sub(p.at).Seconds() / sight.Seconds())
	p.at = now
}

// Refused takes note of a call that the service refused for the rate. after is how long it asked to wait; 0: it did not say.
func (p *Pacer) Refused(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	before := p.until
	p.until = latest(p.until, now.Add(after))
	if now.Before(p.refused.Add(calm)) || now.Before(before) {
		return // of a call that was made before the last cut
	}
	p.measure(now)
	p.learn(now)
	p.rate = max(least, cut*min(p.rate, p.answered/sight.Seconds()))
	p.refused, p.grown = now, now
	p.cfg.Log.Warn().Float64("calls_per_second", p.rate).Dur("pause_ms", after).Msg("the API refuses calls for their rate: slower")
}

// Rate gives the present rate in calls a second; +Inf if there is none.
func (p *Pacer) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learn(time.Now())
	return p.allowed()
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
