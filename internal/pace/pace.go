// Package pace keeps calls within what a service takes: under a ceiling that is configured, under a rate that is learned from
// its refusals, and never before the time that a refusal names.
//
// Members do not talk about it. Each learns by itself: a refusal takes a part of its rate away, time without one adds the same
// to everybody's, so that shares become alike (as with TCP's congestion control).
package pace

import (
	"context"
	"errors"
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
	before   float64   // what it was when a call succeeded last
	next     time.Time // when the next call may be made
	until    time.Time // before it none may, as a refusal has told
	refused  time.Time // when the last cut was made
	grown    time.Time // when the rate was grown last
	answered float64   // calls that succeeded, older ones counting less
	at       time.Time // as of when
}

// New makes a Pacer that knows no rate.
func New(cfg Config) *Pacer {
	return &Pacer{cfg: cfg, door: make(chan struct{}, 1), rate: math.Inf(1), before: math.Inf(1)}
}

type ticketKey struct{}

// Ticket is a place in the schedule that was taken for work before it began. A nil one is of no use, and does no harm.
type Ticket struct {
	pacer *Pacer
	costs time.Duration // of the schedule

	mu    sync.Mutex
	spent bool
}

// Under gives a context under which the first call is made on the ticket.
func (t *Ticket) Under(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, ticketKey{}, t)
}

// Return gives the place back if no call was made on it.
func (t *Ticket) Return() {
	if t == nil || !t.spend() {
		return
	}
	t.pacer.mu.Lock()
	defer t.pacer.mu.Unlock()
	t.pacer.next = t.pacer.next.Add(-t.costs)
}

func (t *Ticket) spend() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.spent
	t.spent = true
	return !was
}

// Try lets work that is going to make calls begin, if it may at once; see Enter.
func (p *Pacer) Try() (t *Ticket, ok bool) {
	p.mu.Lock()
	open := !p.paced() && !time.Now().Before(p.until)
	p.mu.Unlock()
	if open {
		return nil, true
	}
	select {
	case p.door <- struct{}{}:
	default:
		return nil, false // others are before it
	}
	defer func() { <-p.door }()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.learn(now)
	if now.Before(p.next) || now.Before(p.until) {
		return nil, false
	}
	_, t = p.place(now)
	return t, true
}

// Enter waits until work that is going to make calls may begin: the first of them is paid for then, by the ticket, which is
// nil while no rate is in force. Calls of work that has begun go before work that has not. The error is that of ctx.
func (p *Pacer) Enter(ctx context.Context) (*Ticket, error) {
	select {
	case p.door <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.door }()
	p.mu.Lock()
	now := time.Now()
	p.learn(now)
	at, t := p.place(now)
	p.mu.Unlock()
	if err := p.sleep(ctx, at, time.Time{}); err != nil {
		t.Return()
		return nil, err
	}
	return t, nil
}

// ErrLate is that of a call whose turn comes too late for it.
var ErrLate = errors.New("the rate of calls leaves no room for it in time")

// Wait waits until a call may be made, right before it is. If that is after late, it is told at once, with ErrLate, and takes
// no place of others. Else the error is that of ctx.
func (p *Pacer) Wait(ctx context.Context, late time.Time) error {
	t, _ := ctx.Value(ticketKey{}).(*Ticket)
	p.mu.Lock()
	now := time.Now()
	p.learn(now)
	at := latest(now, p.until) // on a ticket: a refusal may have come since it was given
	paid := t != nil && !p.later(at, late) && t.spend()
	if !paid {
		at = latest(at, p.next)
	}
	if p.later(at, late) {
		p.mu.Unlock()
		return ErrLate
	}
	var place *Ticket
	if !paid {
		at, place = p.place(now)
	}
	p.mu.Unlock()
	err := ctx.Err()
	if at.After(now) {
		err = p.sleep(ctx, at, late)
	}
	if err != nil {
		p.leave(at, place)
	}
	return err
}

// leave gives back the place at a time, of a call that is not made, unless others stand behind it: two calls would be made at once.
func (p *Pacer) leave(at time.Time, place *Ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place != nil && p.next.Equal(at.Add(place.costs)) {
		p.next = at
	}
}

// later says whether at is after late, if there is such a limit.
func (p *Pacer) later(at, late time.Time) bool { return !late.IsZero() && at.After(late) }

// place takes the next place in the schedule; p.mu is held.
func (p *Pacer) place(now time.Time) (at time.Time, t *Ticket) {
	at = latest(now, p.next, p.until)
	if !p.paced() {
		return at, nil
	}
	costs := time.Duration(float64(time.Second) / p.allowed())
	p.next = at.Add(costs)
	return at, &Ticket{pacer: p, costs: costs}
}

// paced says whether there is a rate; p.mu is held.
func (p *Pacer) paced() bool { return !math.IsInf(p.allowed(), 1) }

// Paused says whether no call may be made now, whatever the rate, since the service has asked for time.
func (p *Pacer) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}

// sleep waits until at, and until no refusal stands against it. If one does that makes it later than late, that is told then.
func (p *Pacer) sleep(ctx context.Context, at, late time.Time) error {
	for {
		p.mu.Lock()
		at = latest(at, p.until)
		p.mu.Unlock()
		if p.later(at, late) {
			return ErrLate
		}
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
	p.before = p.rate
}

// Outage takes note that the service as a whole is down: that it refused calls since it took one the last time says nothing
// about the rate that it takes.
func (p *Pacer) Outage() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = max(p.rate, p.before)
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

// Pause takes note that no call can be made for a while, for a reason that says nothing about the rate.
func (p *Pacer) Pause(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = latest(p.until, time.Now().Add(d))
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
