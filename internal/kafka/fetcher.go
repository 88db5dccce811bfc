package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// FetcherConfig says how a Fetcher fetches.
type FetcherConfig struct {
	MaxWait           time.Duration // how long a broker may wait for data; default and most: the Client's FetchWait
	PartitionMaxBytes int           // of one partition in one answer; default 256 KiB. A larger batch comes alone
	MaxBytes          int           // of one answer, of which two may be waiting a broker; default 4 MiB
	ReadCommitted     bool          // leave out records of aborted transactions, and wait for the end of open ones
}

func (c FetcherConfig) withDefaults(client Config) FetcherConfig {
	c.MaxWait = min(cmp.Or(c.MaxWait, client.FetchWait), client.FetchWait)
	c.PartitionMaxBytes = cmp.Or(c.PartitionMaxBytes, 256<<10)
	c.MaxBytes = cmp.Or(c.MaxBytes, 4<<20)
	return c
}

// Fetched is what one partition gave.
type Fetched struct {
	TopicPartition
	Records       []Record // in order; often none
	From          int64    // the offset that was asked for: what is given continues what was given up to there
	Next          int64    // the offset that is fetched next: past control records and what was compacted away
	HighWatermark int64    // offset after the last record that consumers may see; -1 if not known
	LogStart      int64    // the first offset of the log; -1 if not known
	// Err: the partition could not be fetched. It is tried again after a pause by itself, except for ErrOutOfRange, after
	// which the partition waits for a Set; LogStart and HighWatermark then tell what there is.
	Err error
}

// Fetcher fetches from many partitions, with one request for all of a broker. Poll is for one goroutine; the rest is
// safe from any.
//
// The partitions that are ready go into one request per broker. A partition that becomes ready meanwhile (Set, Resume)
// does not wait for it: a second request to the same broker may be under way, not a third.
//
// With records coming all the time, each answer would bring a few, at a request's cost for us and the broker. So a
// request for what was at its end is sent at the earliest one pace after the last: the first record after a silence comes
// at once, those of a stream together. What is known to have more is fetched without a pause.
type Fetcher struct {
	client  *Client
	cfg     FetcherConfig
	spawn   func(*round)   // runs a request's goroutine with the Fetcher's lifetime
	cancel  func()         // ends that lifetime
	wg      sync.WaitGroup // requests under way; added to under mu, and not after closed
	answers chan *round    // answered requests, to Poll; without a buffer, so that what waits is bounded
	wake    chan struct{}  // tells Poll to look again; buffer of 1, so that none is lost
	quit    chan struct{}  // closed by Close

	mu     sync.Mutex // guards the rest
	parts  map[TopicPartition]*part
	under  map[int32]int       // requests under way by broker
	paced  map[int32]time.Time // by broker: when to ask for more of what was at its end, at the earliest
	held   time.Time           // when to look again, since a request is held back; zero if none is
	turn   int                 // rotates the order
	closed bool
}

// part is a partition being fetched. A Set makes a new one: the answer to a request for the old is nobody's.
type part struct {
	tp      TopicPartition
	offset  int64
	busy    bool // in a request
	paused  bool
	end     bool      // the last answer came to the log's end
	parked  bool      // out of range
	after   time.Time // not to be fetched before
	backoff *backoff.ExponentialBackOff
}

// round is one request.
type round struct {
	leader  int32
	parts   []*part
	places  []place
	more    bool     // there is, or may be, something to be had at once
	answers []answer // nil with err
	err     error
}

const (
	perBroker = 2                    // requests to one broker that may be under way
	pace      = 5 * time.Millisecond // see Fetcher
)

// Fetcher starts nothing before the first Poll.
func (c *Client) Fetcher(cfg FetcherConfig) *Fetcher {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Fetcher{
		client: c, cfg: cfg.withDefaults(c.cfg), cancel: cancel,
		answers: make(chan *round), wake: make(chan struct{}, 1), quit: make(chan struct{}),
		parts: make(map[TopicPartition]*part), under: make(map[int32]int),
		paced: make(map[int32]time.Time),
	}
	f.spawn = func(r *round) {
		f.wg.Go(func() {
			r.answers, r.err = c.fetch(ctx, r.places, f.cfg)
			select {
			case f.answers <- r:
			case <-ctx.Done():
			}
		})
	}
	return f
}

// Set adds a partition, or moves it, and ends its pause: the next record delivered is the first at or after offset.
func (f *Fetcher) Set(tp TopicPartition, offset int64) {
	f.mu.Lock()
	f.parts[tp] = &part{tp: tp, offset: offset, backoff: newBackoff()}
	f.mu.Unlock()
	f.look()
}

// Remove forgets a partition: no later Poll gives anything of it.
func (f *Fetcher) Remove(tp TopicPartition) {
	f.mu.Lock()
	delete(f.parts, tp)
	f.mu.Unlock()
}

// Pause keeps a partition's place: no later Poll gives anything of it until Resume. What was on its way is fetched again.
func (f *Fetcher) Pause(tp TopicPartition) {
	f.mu.Lock()
	if p := f.parts[tp]; p != nil {
		p.paused = true
	}
	f.mu.Unlock()
}

// Resume ends a Pause.
func (f *Fetcher) Resume(tp TopicPartition) {
	f.mu.Lock()
	if p := f.parts[tp]; p != nil {
		p.paused, p.end = false, false
	}
	f.mu.Unlock()
	f.look()
}

func (f *Fetcher) look() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Poll waits for the next answer of a broker, at most MaxWait if all is well, and gives what it holds, also of
// partitions without news (for lag). Its error is ctx's, or ErrClosed. Without partitions it waits for a Set.
func (f *Fetcher) Poll(ctx context.Context) ([]Fetched, error) {
	for {
		if sick := f.launch(ctx); len(sick) > 0 {
			return sick, nil
		}
		timer := time.NewTimer(f.pause())
		select {
		case r := <-f.answers:
			timer.Stop()
			if fetched := f.settle(r); len(fetched) > 0 {
				return fetched, nil
			}
		case <-f.wake:
			timer.Stop()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-f.quit:
			timer.Stop()
			return nil, ErrClosed
		}
	}
}

// Close ends the requests under way and waits for their goroutines.
func (f *Fetcher) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.quit)
	}
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
}

// launch sends requests for what is ready, and gives the partitions for which that is not possible now.
func (f *Fetcher) launch(ctx context.Context) (sick []Fetched) {
	ready := f.ready()
	if len(ready) == 0 {
		return nil
	}
	leaders, err := f.client.leadersOf(ctx, func(yield func(TopicPartition) bool) {
		for _, p := range ready {
			if !yield(p.tp) {
				return
			}
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	rounds := make(map[int32]*round)
	for _, p := range ready {
		if f.parts[p.tp] != p || p.paused {
			continue // changed since
		}
		leader, ok := leaders[p.tp]
		if !ok {
			sick = append(sick, f.fail(p, cmp.Or(err, f.client.noLeader(p.tp)), answer{high: -1, logStart: -1}))
			continue
		}
		if f.under[leader] >= perBroker {
			continue
		}
		r := rounds[leader]
		if r == nil {
			r = &round{leader: leader}
			rounds[leader] = r
		}
		r.parts = append(r.parts, p)
		r.places = append(r.places, place{p.tp, p.offset})
		r.more = r.more || !p.end
	}
	now := time.Now()
	for leader, r := range rounds {
		if at := f.paced[leader]; !r.more && now.Before(at) {
			if f.held.IsZero() || at.Before(f.held) {
				f.held = at
			}
			continue
		}
		for _, p := range r.parts {
			p.busy = true
		}
		f.paced[leader] = now.Add(pace)
		f.under[leader]++
		f.spawn(r)
	}
	return sick
}

var errNoLeader = errors.New("no broker leads this partition, or it does not exist")

// ready gives what can be fetched now, each time starting with another partition: a broker fills its answer in the
// order of the request, and what comes last would starve.
func (f *Fetcher) ready() []*part {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.held = time.Time{}
	var ready []*part
	for _, p := range f.parts {
		if !p.busy && !p.paused && !p.parked && !now.Before(p.after) {
			ready = append(ready, p)
		}
	}
	slices.SortFunc(ready, func(a, b *part) int { return a.tp.compare(b.tp) })
	if len(ready) > 0 {
		f.turn++
		n := f.turn % len(ready)
		ready = append(ready[n:], ready[:n]...)
	}
	return ready
}

// pause is how long nothing more becomes ready by itself.
func (f *Fetcher) pause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, pause := time.Now(), time.Hour
	for _, p := range f.parts {
		if d := p.after.Sub(now); d > 0 {
			pause = min(pause, d)
		}
	}
	if !f.held.IsZero() {
		pause = min(pause, f.held.Sub(now))
	}
	return pause
}

// settle takes an answer in, and gives what of it is still wanted.
func (f *Fetcher) settle(r *round) []Fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.under[r.leader]--
	var fetched []Fetched
	for i, p := range r.parts {
		p.busy = false
		if f.parts[p.tp] != p || p.paused {
			continue
		}
		if r.err != nil {
			fetched = append(fetched, f.fail(p, r.err, answer{high: -1, logStart: -1}))
			continue
		}
		a := r.answers[i]
		if a.none {
			continue
		}
		if a.err != nil {
			fetched = append(fetched, f.fail(p, a.err, a))
			continue
		}
		from := p.offset
		p.offset = a.next
		p.end = a.next >= a.high || f.cfg.ReadCommitted && a.next >= a.stable
		p.backoff.Reset()
		fetched = append(fetched, Fetched{
			TopicPartition: p.tp, Records: a.records, From: from, Next: a.next, HighWatermark: a.high, LogStart: a.logStart,
		})
	}
	return fetched
}

// fail leaves a partition out for a while: in a request, it would end the waiting for the others at once.
func (f *Fetcher) fail(p *part, err error, a answer) Fetched {
	p.after = time.Now().Add(p.backoff.NextBackOff())
	p.parked = errors.Is(err, ErrOutOfRange)
	return Fetched{TopicPartition: p.tp, From: p.offset, Next: p.offset, HighWatermark: a.high, LogStart: a.logStart, Err: err}
}
