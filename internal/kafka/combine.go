package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// combiner carries the batches of all lanes of a Client, whatever their Producer: what waits for one broker goes into one
// request, with an answer for each partition. A request costs broker and client far more than another batch in it. Each
// batch has its own producer and number, which the broker checks one by one.
//
// A batch is made only when its request is, of all that has gathered by then. Only first tries are combined: a lane whose
// batch was not acknowledged sends it again by itself (Client.produce), so that a partition in trouble holds the others
// once, not always. Each broker has its own queue: a slow one holds back what it leads.
//
// One request is under way to a broker, and what comes meanwhile gathers: measured, always two or three are no faster, and
// make 0.20 and 0.25 requests an event of 0.15. But after patience the next one goes, lest all wait for one slow partition.
//
// The more records a request carried, the later is the next (gathering): where thousands are written a second, each waits some
// milliseconds for others, and a batch holds many of one partition, which costs broker and client little more than one. Where few
// are, none waits.
type combiner struct {
	spawn  func(*queue)   // runs a sender's goroutine with the Client's lifetime
	cancel func()         // ends that lifetime
	wg     sync.WaitGroup // senders; added to under mu, and not after closed

	mu     sync.Mutex // guards the rest
	queues map[int32]*queue
	closed bool
}

// queue is what waits for one broker.
type queue struct {
	leader  int32
	waiting []*parcel
	busy    int           // requests under way: senders that are not idle
	last    time.Time     // when the last of them went
	gather  time.Duration // after which the next one may
	senders int           // goroutines that empty the queue
	idle    int           // how many of them wait for work
	roused  bool          // one of them has been told, and has not looked yet
	work    sync.Cond     // of mu: there is some, or the combiner is closed
	again   *time.Timer   // rouses when the next one may go
	armed   time.Time     // when again does; zero: it is not set
}

// parcel is the place of one batch in a request.
type parcel struct {
	tp   TopicPartition
	lane *lane // whose it is; nil outside of the combiner

	// The rest belongs to the sender, from lane.load to lane.answered.

	calls []*call // guarded by the producer's mu, for its end
	batch []byte  // with its size in front; never changed, since kafka-go may read it after the request is given up
	base  int64   // offset of the first record; -1 if the broker knows only that it has it
	err   error
}

const (
	// requestBytes is how large a request may be before its last batch; far below what brokers take
	// (socket.request.max.bytes, 100 MiB).
	requestBytes = 1 << 20
	// patience is how long the next request waits for the one under way.
	patience = 5 * time.Millisecond
	// gathering is how much later the next request goes for each record of the one before, and gatherMost the most: from 5,000
	// records a second on they add up to the latter, below they come to nothing.
	gathering  = 200 * time.Microsecond
	gatherMost = 10 * time.Millisecond
	// sendersPerBroker is how many requests may be under way to one broker.
	sendersPerBroker = 4
)

func newCombiner(c *Client) *combiner {
	ctx, cancel := context.WithCancel(context.Background())
	cb := &combiner{cancel: cancel, queues: make(map[int32]*queue)}
	cb.spawn = func(q *queue) {
		cb.wg.Go(func() {
			for parcels := cb.take(q); parcels != nil; parcels = cb.take(q) {
				if parcels = cb.load(q, parcels); len(parcels) > 0 {
					cb.send(ctx, c, q, parcels)
				}
			}
		})
	}
	return cb
}

// put has a lane's parcel sent with the next request to the broker; false if the Client is closed.
func (cb *combiner) put(leader int32, p *parcel) bool {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	if cb.closed {
		return false
	}
	q := cb.queues[leader]
	if q == nil {
		q = &queue{leader: leader}
		q.work.L = &cb.mu
		q.again = time.AfterFunc(time.Hour, func() { cb.due(q) })
		q.again.Stop()
		cb.queues[leader] = q
	}
	q.waiting = append(q.waiting, p)
	cb.rouse(q)
	return true
}

// rouse has a sender look, if it may send and one is free. mu is held.
func (cb *combiner) rouse(q *queue) {
	switch {
	case q.roused || len(q.waiting) == 0 || cb.closed:
	case !q.mayGo():
		q.arm()
	case q.idle > 0:
		q.roused = true
		q.work.Signal()
	case q.senders < sendersPerBroker:
		q.roused = true
		q.senders++
		q.busy++ // until it looks
		cb.spawn(q)
	}
}

func (cb *combiner) due(q *queue) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	q.armed = time.Time{}
	cb.rouse(q)
}

func (q *queue) mayGo() bool { return time.Since(q.last) >= q.wait() }

// wait is how long after the last request the next one goes.
func (q *queue) wait() time.Duration {
	if q.busy == 0 {
		return q.gather
	}
	return max(q.gather, patience)
}

// arm has the queue roused when the next request may go: earlier than was thought, if the one under way has ended.
func (q *queue) arm() {
	if at := q.last.Add(q.wait()); q.armed.IsZero() || at.Before(q.armed) {
		q.armed = at
		q.again.Reset(time.Until(at))
	}
}

// take waits for parcels, and gives all that wait; nil, and the sender has to end, once the combiner is closed. A
// partition comes once in a request: brokers do not expect it twice, and two Producers may write to it.
func (cb *combiner) take(q *queue) []*parcel {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	q.roused = false
	q.busy-- // the request before
	for !cb.closed && (len(q.waiting) == 0 || !q.mayGo()) {
		if len(q.waiting) > 0 {
			q.arm()
		}
		q.idle++
		q.work.Wait()
		q.idle--
		q.roused = false
	}
	if cb.closed {
		return nil
	}
	q.busy++
	q.last = time.Now()
	var taken, left []*parcel
	in := make(map[TopicPartition]bool, len(q.waiting))
	for _, p := range q.waiting {
		if in[p.tp] {
			left = append(left, p)
			continue
		}
		in[p.tp] = true
		taken = append(taken, p)
	}
	q.waiting = left
	cb.rouse(q) // they do not wait for the end of this request
	return taken
}

// load has the batches made, and gives the parcels that have one. What would be too much for a request waits again.
func (cb *combiner) load(q *queue, parcels []*parcel) []*parcel {
	var size, records int
	loaded := parcels[:0]
	for i, p := range parcels {
		if size >= requestBytes {
			cb.mu.Lock()
			q.waiting = append(slices.Clone(parcels[i:]), q.waiting...)
			cb.rouse(q)
			cb.mu.Unlock()
			break
		}
		if p.lane.load(p) {
			size += len(p.batch)
			records += len(p.calls)
			loaded = append(loaded, p)
		}
	}
	cb.mu.Lock()
	q.gather = min(time.Duration(records)*gathering, gatherMost)
	cb.rouse(q) // what is left may go the sooner for it
	cb.mu.Unlock()
	return loaded
}

func (cb *combiner) send(ctx context.Context, c *Client, q *queue, parcels []*parcel) {
	err := c.produceAll(ctx, q.leader, parcels)
	for _, p := range parcels {
		p.lane.answered(p)
	}
	if err == nil {
		return
	}
	// What waits for a broker that does not answer may have to find another leader.
	cb.dismiss(q, errUnsent)
}

// errUnsent is for what waited for a request that got no answer, and is not written.
var errUnsent = fmt.Errorf("%w: not sent, since the broker did not answer", errStale)

// dismiss gives back what waits, unsent.
func (cb *combiner) dismiss(q *queue, err error) {
	cb.mu.Lock()
	waiting := q.waiting
	q.waiting = nil
	cb.mu.Unlock()
	for _, p := range waiting {
		if p.lane.load(p) {
			p.err = err
			p.lane.answered(p)
		}
	}
}

// close gives up what is under way and waits for the senders. Requests that kafka-go has taken end with its connections.
func (cb *combiner) close() {
	cb.mu.Lock()
	cb.closed = true
	queues := cb.queues
	for _, q := range queues {
		q.again.Stop()
		q.work.Broadcast()
	}
	cb.mu.Unlock()
	cb.cancel()
	cb.wg.Wait()
	for _, q := range queues {
		cb.dismiss(q, ErrClosed)
	}
}
