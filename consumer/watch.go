package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Why the watchdog gives a partition up.
var (
	errStuck   = errors.New("a handler has been at one event for too long")
	errStalled = errors.New("there is work, and none of it gets done")
)

// watch looks for what does not go on, until ctx ends. A handler that hangs is given up with its partition, and its event
// attempted again. A partition that has work, and in which nothing gets done although nothing explains it, is taken anew; if
// that does not help, the group is joined anew, which makes all connections anew; and so on, twice as late each time.
func (s *session) watch(ctx context.Context) {
	e := s.engine
	for {
		e.vitals.turn()
		pause(ctx, e.watchEvery())
		if ctx.Err() != nil {
			return
		}
		s.ends(ctx)
		now := time.Now()
		for _, p := range s.owned() {
			if p.failure() != nil {
				continue // it is being given up
			}
			e.vitals.still() // it may write, and writing may take as long as the brokers are away
			s.peek(ctx, p)
			e.vitals.turn()
			if since := p.longest(now); since > e.cfg.Stuck {
				e.numbers.cured(becauseStuck, curePartition)
				p.fail(fmt.Errorf("%w: %s", errStuck, since.Round(time.Second)))
				continue
			}
			s.unstall(p, now)
		}
	}
}

// watchEvery is how often the watchdog comes round.
func (e *Engine) watchEvery() time.Duration { return min(e.cfg.Stuck, e.cfg.Stall) / 4 }

// ends asks where the inbox ends, for all partitions: those that are not fetched do not learn it, be it that their window
// is full, be it that fetching hangs.
func (s *session) ends(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ends, err := s.engine.cfg.Client.EndOffset(ctx, s.engine.cfg.Inbox)
	if err != nil {
		return // the next time
	}
	for _, p := range s.owned() {
		p.told(ends[p.number])
	}
}

// peek looks ahead in a partition that is not fetched, for a while: it goes on from there the next time.
func (s *session) peek(ctx context.Context, p *partition) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.peek(ctx, limited); err != nil && limited.Err() == nil {
		p.fail(err)
	}
}

// unstall cures a partition without progress.
func (s *session) unstall(p *partition, now time.Time) {
	e := s.engine
	e.mu.Lock()
	was := e.stalls[p.number]
	e.mu.Unlock()
	h := p.hang(now)
	if h.idle <= e.cfg.Stall<<min(was, mostDoublings) {
		if was > 0 && h.progress {
			e.stalled(p.number, 0)
		}
		return
	}
	e.stalled(p.number, was+1)
	cure := curePartition
	if was%2 == 1 {
		cure = cureRejoin
	}
	e.numbers.cured(becauseStalled, cure)
	e.cfg.Log.Error().Int("partition", p.number).Dur("without_progress_ms", h.idle).Int64("offset", h.offset).
		Str("customer", h.customer).Str("at", h.at).Dur("since_ms", h.since).Int("window", h.window).Int64("lag", h.lag).
		Str("cure", cure).Msg("watchdog: there is work, and none of it gets done")
	if cure == cureRejoin {
		s.end(errRejoin)
		return
	}
	p.fail(errStalled)
}

// mostDoublings keeps the time between two cures below 16 times the first.
const mostDoublings = 4

// stalled takes note of how often something was done about a partition.
func (e *Engine) stalled(number, cures int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stalls[number] = cures
}

// hang is what a partition hangs at.
type hang struct {
	idle     time.Duration // for how long there has been work, none was done, and nothing explains it
	progress bool          // something was done since the partition was taken
	offset   int64         // the oldest that is not done
	customer string        // whose it is
	at       string        // what its lane is at
	since    time.Duration
	window   int
	lag      int64
}

// hang looks for what the partition hangs at: the fetch, or the lane that has the oldest record. That it is handled explains
// that nothing gets done (handlers have a limit of their own), and so do a pause in a short trouble, and a subject that holds
// as much as it may. Other lanes explain nothing: what they get done moves the clock anyway.
func (p *partition) hang(now time.Time) hang {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := hang{progress: p.worked, window: p.window.open(), lag: max(0, p.known-p.next)}
	offset, _, some := p.window.oldest()
	h.offset = offset
	if !some {
		h.offset, h.at = p.next, "fetch"
		if p.brimful {
			p.moved = now
		}
		if h.lag == 0 || p.lost || p.brimful {
			return h
		}
	}
	for _, l := range p.lanes {
		step, since := l.hand.doing(now)
		mine := step != resting && l.hand.offset.Load() == offset || l.paused && l.task != nil && l.task.record.Offset == offset ||
			len(l.queue) > 0 && l.queue[0].Offset == offset
		explained := l.paused || l.crowded || step == handling
		if l.news.of(offset) { // whatever the lane does meanwhile
			step, since, mine, explained = recording, l.news.age(now), true, false
		}
		if !some || !mine {
			continue
		}
		if explained {
			p.moved = now // the clock begins when that ends
		}
		h.customer, h.at, h.since = l.customer, step.String(), since
	}
	h.idle = now.Sub(p.moved)
	return h
}

// told takes note of where the inbox ends. One that has nothing more to give cannot be waited for.
func (p *partition) told(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = max(p.known, end)
	if p.window.open() == 0 && p.known <= p.next {
		p.moved = time.Now()
	}
}

// lose takes note that what comes next is not in the inbox any more: nothing that the watchdog does can bring it back.
func (p *partition) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
}

// longest gives how long a lane has been at one thing, or its results have been under way, of all the longest.
func (p *partition) longest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest time.Duration
	for _, l := range p.lanes {
		longest = max(longest, l.hand.busy(now), l.news.age(now))
	}
	return longest
}
