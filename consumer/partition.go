package consumer

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// partition is one inbox partition while it is owned: its state, its window, and a lane for each customer who has
// something to be done. run owns all goroutines.
type partition struct {
	cfg    *Config
	slots  chan struct{} // one a lane at work: a partition of their own, since a lane may hang at a sick broker
	number int
	store  *state.Store
	signal chan struct{} // capacity 1: run has something to look at

	mu     sync.Mutex // guards what follows
	lanes  map[string]*lane
	ready  []*lane // have something to do, and do not run
	alarms alarms  // lanes that have something to do later
	window *window
	bytes  int   // of the payloads in the lanes' queues
	failed error // the first failure: the partition is to be given up
}

func newPartition(cfg *Config, number int, store *state.Store) *partition {
	p := &partition{
		cfg: cfg, slots: make(chan struct{}, lanesPerCall*cfg.MaxInFlight), number: number, store: store, signal: make(chan struct{}, 1),
		lanes: map[string]*lane{}, window: newWindow(),
	}
	for _, customer := range store.Customers() {
		l := &lane{customer: customer}
		for _, key := range store.Keys(customer) {
			l.sync(key, store.Get(customer, key))
		}
		l.wakeAll(p.records(l))
		if len(l.items) > 0 {
			p.lanes[customer] = l
			p.enqueue(l)
		}
	}
	return p
}

// deliver takes records of the inbox, in their order.
func (p *partition) deliver(records []kafka.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		p.window.take(r.Offset)
		p.bytes += len(r.Value)
		l := p.lanes[string(r.Key)]
		if l == nil {
			l = &lane{customer: string(r.Key)}
			p.lanes[l.customer] = l
		}
		l.queue = append(l.queue, r)
		p.enqueue(l)
	}
	p.poke()
}

// fullness gives how full the window is, in records or in its share of all payloads, whichever is more: from 1 on nothing is
// fetched.
func (p *partition) fullness(partitions int) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(float64(p.window.open())/float64(p.cfg.MaxWindow), float64(p.bytes*partitions)/float64(p.cfg.MaxPayload))
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

// run starts lanes until take ends or a lane fails, and returns when all lanes have. work is for what is in hand: when
// it ends, calls are given up. The error is why the partition has to be taken anew.
func (p *partition) run(take, work context.Context) error {
	take, stop := context.WithCancel(take)
	var lanes sync.WaitGroup
	defer func() {
		stop()
		lanes.Wait()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ready, sleep := p.due(time.Now())
		for _, l := range ready {
			lanes.Go(func() {
				if err := p.drive(take, work, l); err != nil {
					p.fail(err)
				}
			})
		}
		timer.Reset(sleep)
		select {
		case <-take.Done():
		case <-p.signal:
		case <-timer.C:
		}
		if err := p.failure(); err != nil || take.Err() != nil {
			return err
		}
	}
}

// due gives the lanes to be started now, marked as running, and how long nothing else will be.
func (p *partition) due(now time.Time) ([]*lane, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.alarms) > 0 && !p.alarms[0].at.After(now) {
		a := heap.Pop(&p.alarms).(alarm)
		if a.lane.wake.Equal(a.at) {
			a.lane.wake = time.Time{}
			p.enqueue(a.lane)
		}
	}
	ready := p.ready
	p.ready = nil
	for _, l := range ready {
		l.queued, l.running = false, true
	}
	if len(p.alarms) == 0 {
		return ready, time.Hour
	}
	return ready, p.alarms[0].at.Sub(now)
}

// drive runs a lane until it has nothing to do now. It holds a place among the lanes at work for one thing at a time,
// so that a customer with a thousand events leaves room for others.
func (p *partition) drive(take, work context.Context, l *lane) error {
	for {
		select {
		case p.slots <- struct{}{}:
		case <-take.Done():
			return nil
		}
		more, err := p.step(take, work, l)
		<-p.slots
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil || !more {
			return err
		}
	}
}

// step does one thing of the lane; more is false when there was none, or no more may be begun.
func (p *partition) step(take, work context.Context, l *lane) (more bool, err error) {
	if take.Err() != nil {
		return false, nil
	}
	p.at(l, time.Now())
	defer p.at(l, time.Time{})
	if it := l.next(p.records(l), time.Now()); it != nil {
		return true, p.resume(take, work, l, it)
	}
	record, ok := p.pop(l)
	if !ok {
		return false, nil
	}
	done, err := p.process(take, work, l, record)
	switch {
	case errors.Is(err, errCrowded):
		p.cfg.Log.Error().Int("partition", p.number).Str("customer", l.customer).Int64("offset", record.Offset).
			Msg("too many events of one subject are held: the customer's later ones are not taken until there is room")
		p.unpop(l, record)
		return false, nil
	case done:
		p.finish(record.Offset)
	}
	return true, err
}

// at takes note of when the lane began the thing that it is at.
func (p *partition) at(l *lane, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.began = began
}

// longest gives how long a lane has been at one thing, of all the longest.
func (p *partition) longest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest time.Duration
	for _, l := range p.lanes {
		if !l.began.IsZero() {
			longest = max(longest, now.Sub(l.began))
		}
	}
	return longest
}

// pop gives the lane's next record. If there is none the lane stops to run, in the same moment: a record that comes
// later starts it again.
func (p *partition) pop(l *lane) (kafka.Record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.queue) > 0 {
		r := l.queue[0]
		p.bytes -= len(r.Value)
		l.queue[0] = kafka.Record{}
		if l.queue = l.queue[1:]; len(l.queue) == 0 {
			l.queue = nil
		}
		return r, true
	}
	p.rest(l, p.records(l))
	return kafka.Record{}, false
}

// unpop puts a record back to the front of the lane's queue, and ends the lane's run.
func (p *partition) unpop(l *lane, r kafka.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += len(r.Value)
	l.queue = slices.Insert(l.queue, 0, r)
	p.rest(l, p.records(l))
}

// rest ends a lane's run, and sets its alarm; p.mu is held.
func (p *partition) rest(l *lane, get func(key string) *state.Record) {
	l.running = false
	set := l.wake // the alarm that is there already
	l.wake = l.earliest(get)
	switch {
	case l.wake.IsZero() && len(l.items) == 0 && len(l.queue) == 0:
		delete(p.lanes, l.customer)
	case !l.wake.IsZero() && !l.wake.Equal(set):
		heap.Push(&p.alarms, alarm{at: l.wake, lane: l})
		p.poke()
	}
}

// records gives a look at the records of the lane's customer.
func (p *partition) records(l *lane) func(key string) *state.Record {
	return func(key string) *state.Record { return p.store.Get(l.customer, key) }
}

func (p *partition) finish(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.finish(offset)
}

func (p *partition) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	p.poke()
}

func (p *partition) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// enqueue marks a lane as one that has something to do; p.mu is held.
func (p *partition) enqueue(l *lane) {
	if l.running || l.queued {
		return
	}
	l.queued = true
	p.ready = append(p.ready, l)
}

// poke makes run look again; it never waits.
func (p *partition) poke() {
	select {
	case p.signal <- struct{}{}:
	default: // run will look anyway
	}
}

// alarm is a lane that has something to do at a time. One whose time is no longer the lane's is stale.
type alarm struct {
	at   time.Time
	lane *lane
}

// alarms is a heap, the earliest first.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push and Pop are for container/heap.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) }

func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}
