package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// partition is one inbox partition while it is owned: its state, its window, and a lane for each customer who has
// something to be done. run owns all goroutines: the workers that take turns at the lanes.
//
// Locks are taken in this order: that of the results' Kafka producer (announced), mu, then that of places or of the fetcher. So who
// holds mu does not write.
type partition struct {
	cfg       *Config
	number    int
	store     *state.Store
	numbers   *numbers
	places    *places // of the lanes at work
	following *places // of the follow-ups under attempt
	floods    *floods
	source    source

	successes *successes // of all partitions

	begun   chan struct{}  // capacity 1: the lane that keepGate has let in is at work
	workers sync.WaitGroup // added to under mu, and only while spawn is set

	announcing atomic.Int64  // how many lanes have news under way
	quiet      chan struct{} // capacity 1: full when it became none

	mu      sync.Mutex // guards what follows
	spawn   func(*lane)
	stop    func() // ends run: no more is begun
	cut     func() // gives up what is in hand
	lanes   map[string]*lane
	ready   ready       // lanes that have something to do, and do not run
	first   []*lane     // the same, to go before those: their follow-up has been given a place, or the gate has let them in
	waits   []*lane     // their follow-up is due, and waits for a place: see follow.go
	gated   []*lane     // wait at the gate
	seats   []*lane     // have a follow-up that does
	turns   int         // how many of gated were let in since the last of seats
	keeper  func()      // runs keepGate
	kept    bool        // keepGate runs
	alarms  alarms      // lanes that have something to do later
	timer   *time.Timer // while run does: calls rung
	rings   time.Time   // when; zero: it is not set
	window  window
	bytes   int       // that the records take which were taken and are not done
	full    bool      // the source is paused, since the window is full
	brimful bool      // the source is paused, since too many events are held
	next    int64     // the inbox offset that is to be delivered next
	known   int64     // where the inbox ends, as last told
	peeked  int64     // up to where it was looked ahead; see peek
	highest int64     // inbox offset that state knew when the partition was taken
	before  int64     // where it ended when the partition was taken
	moved   time.Time // when an offset was done last, or the first was taken, or the inbox was told to have no more
	worked  bool      // something was done
	lost    bool      // what comes next is not in the inbox any more: the partition stands still
	over    time.Time // since when run is ending, or has ended; zero: it goes on
	failed  error     // the first failure: the partition is to be given up

	abandoned bool // run has ended, and did not wait for the news under way

	investments map[uuid.UUID]whose // that are followed: see hint.go
}

// newPartition makes the lanes of all that state holds. Before run, which starts everything, it has to be given its numbers,
// places and source.
func newPartition(cfg *Config, number int, store *state.Store, next int64) *partition {
	p := &partition{
		cfg: cfg, number: number, store: store,
		begun: make(chan struct{}, 1), quiet: make(chan struct{}, 1), lanes: map[string]*lane{}, next: next, known: next, moved: time.Now(),
		investments: map[uuid.UUID]whose{},
	}
	for _, customer := range store.Busy() {
		l := newLane(customer)
		for _, e := range store.Live(customer) {
			l.sync(e.Key, e.Record)
			p.track(l, e.Key, e.Record)
			if e.Record.Last != nil && e.Record.Seen >= next {
				l.owed = max(l.owed, e.Record.Seen)
			}
		}
		l.wakeAll(p.records(l))
		if len(l.items) > 0 {
			p.lanes[customer] = l
			p.enqueue(l)
		}
	}
	return p
}

// deliver takes what the inbox gave, in its order. What does not continue what came before is left: it was fetched for
// an earlier owner of the partition.
func (p *partition) deliver(got kafka.Fetched) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over.IsZero() {
		return
	}
	if got.From != p.next {
		p.source.set(p.next) // whatever has come in between: from here it goes on
		if p.full || p.brimful {
			p.source.pause()
		}
		return
	}
	p.next, p.known = got.Next, got.HighWatermark
	if p.window.open() == 0 {
		p.moved = time.Now()
	}
	for _, r := range got.Records {
		p.window.take(r.Offset, r.Time)
		p.bytes += weight(r)
		l := p.lanes[string(r.Key)]
		if l == nil {
			l = newLane(string(r.Key))
			p.lanes[l.customer] = l
		}
		l.queue = append(l.queue, r)
		p.enqueue(l)
	}
	if !p.full && p.fullness() >= 1 {
		p.full = true
		p.source.pause()
	}
	p.dispatch()
}

// windowSpan is how long a window may be, in windows full of records that are not done: behind one record that takes long,
// and is followed by others of its customer, much gets done. Until its offset is committed, what is done keeps its outcome in
// memory, and a crash or a handover has it delivered again.
const windowSpan = 2

// enough is how full a full window may still be for fetching to go on. With less, places would be empty for want of customers.
const enough = 0.75

// fullness gives how full the window is, in records or in its share of all payloads, whichever is more: from 1 on nothing is
// fetched, until there is room again. A record counts until it is done, wherever it waits: in an outage all wait at the gate.
// One that is larger than the share fills it alone, and goes on. p.mu is held.
func (p *partition) fullness() float64 {
	bytes := float64(p.bytes*p.places.members) / float64(p.cfg.MaxPayload)
	records := max(p.window.undone(), p.window.open()-(windowSpan-1)*p.cfg.MaxWindow)
	return max(float64(records)/float64(p.cfg.MaxWindow), bytes)
}

// committable gives the offset to commit, if it has moved.
func (p *partition) committable() (offset int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.window.commit()
}

// recommit makes what was committable so again: it has not been committed.
func (p *partition) recommit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.again()
}

// finish marks a record as done.
func (p *partition) finish(record kafka.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done(record)
}

// done is finish; p.mu is held.
func (p *partition) done(record kafka.Record) {
	now := time.Now()
	p.numbers.finished(now.Sub(record.Time))
	p.window.finish(record.Offset)
	p.bytes -= weight(record)
	p.moved, p.worked = now, true
	if p.full && p.fullness() <= enough {
		p.full = false
		p.fetchOn()
	}
}

// fail takes note of why the partition has to be given up, and ends run. One that others have taken over can write
// nothing more: what is in hand is given up at once.
func (p *partition) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abort(err)
}

// abort is fail; p.mu is held.
func (p *partition) abort(err error) {
	if p.failed == nil {
		p.failed = err
	}
	if p.stop != nil {
		p.stop()
	}
	if p.cut != nil && errors.Is(err, kafka.ErrFenced) {
		p.cut()
	}
}

func (p *partition) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// run lets workers run the lanes until take ends, which stop does, and returns when all have ended. work is for what is in
// hand: when it ends, calls are given up; cut makes it end. The error is why the partition has to be taken anew.
func (p *partition) run(take, work context.Context, stop, cut func()) error {
	p.brim()
	p.mu.Lock()
	p.stop, p.cut = stop, cut
	p.spawn = func(l *lane) { p.workers.Go(func() { p.serve(take, work, l) }) }
	p.keeper = func() { p.workers.Go(func() { p.keepGate(take) }) }
	p.timer = time.AfterFunc(time.Hour, p.rung)
	if p.failed != nil {
		stop()
	}
	p.ring()
	p.mu.Unlock()

	<-take.Done()

	p.mu.Lock()
	p.spawn, p.over = nil, time.Now()
	p.timer.Stop()
	p.mu.Unlock()
	p.workers.Wait()
	p.hush(work)
	p.vacate()
	return p.failure()
}

// vacate gives back what lanes have and do not use any more. After hush nobody else looks at them.
func (p *partition) vacate() {
	for _, l := range p.lanes {
		l.leave() // one may have been let in, and not have begun
	}
	p.places.leave(p)
	p.following.leave(p)
}

// records gives a look at the records of the lane's customer.
func (p *partition) records(l *lane) func(key string) *state.Record {
	return func(key string) *state.Record { return p.store.Get(l.customer, key) }
}

// source is where a partition's records come from; the zero value has none.
type source struct {
	fetcher *kafka.Fetcher
	tp      kafka.TopicPartition
}

func (s source) set(offset int64) {
	if s.fetcher != nil {
		s.fetcher.Set(s.tp, offset)
	}
}

func (s source) pause() {
	if s.fetcher != nil {
		s.fetcher.Pause(s.tp)
	}
}

func (s source) resume() {
	if s.fetcher != nil {
		s.fetcher.Resume(s.tp)
	}
}

// pop gives the lane's next record.
func (p *partition) pop(l *lane) (kafka.Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.crowded = false
	if len(l.queue) == 0 {
		return kafka.Record{}, false
	}
	r := l.queue[0]
	l.queue[0] = kafka.Record{}
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return r, true
}

// unpop puts a record back to the front of the lane's queue, since the lane is crowded.
func (p *partition) unpop(l *lane, r kafka.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.queue = slices.Insert(l.queue, 0, r)
	l.crowded = true
}
