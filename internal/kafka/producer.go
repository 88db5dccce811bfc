package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ProducerConfig says how a Producer writes.
type ProducerConfig struct {
	// TransactionalID fences: of all Producers with the same one, the one that called Init last and has written since is
	// the only one that can write to that partition. Such a Producer has one batch under way at a time, whatever the
	// partition: use one a partition. Empty: idempotent only. No transaction is ever opened, so readers never wait.
	TransactionalID string
	// MaxBatchBytes limits the records of one call for one partition; what the topic takes (max.message.bytes) limits
	// them, too. Default: 1,048,588, Kafka's.
	MaxBatchBytes int
	// GatherBytes limits what several calls are joined to. Default: 256 KiB.
	GatherBytes int
	// Linger waits for more to join before a batch is sent. Default: 0, what gathers while one is under way is the next;
	// measured, that is faster than any waiting. With it, batches do not share requests with those of other partitions.
	Linger time.Duration
}

func (c ProducerConfig) withDefaults() ProducerConfig {
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 1048588)
	c.GatherBytes = cmp.Or(c.GatherBytes, 256<<10)
	return c
}

// Producer writes records: acknowledged by all replicas in sync, in order, without repeats. Safe for concurrent use.
//
// Each partition has a lane, with one batch under way. A batch has its place in the partition's numbering from the
// start, and its bytes never change: when an answer is lost, they are sent again until there is one, and the broker
// tells a repeat from a new batch by its number. So an acknowledged record is in the log once, whatever was lost between.
//
// Only if a batch is refused for good after an answer was lost, or the broker has lost the numbering (codes 45, 59),
// can it not be told what is in the log. Without a TransactionalID the lane then starts anew with another identity, and
// the caller of a refused batch may find it written nevertheless (and what was only too large together, and is written one by one,
// written twice, should an earlier try have met a larger limit); with one, the Producer stops with ErrFenced.
type Producer struct {
	client *Client
	cfg    ProducerConfig

	spawn  func(func(context.Context)) // runs a goroutine of a running lane with the Producer's lifetime
	cancel func()                      // ends that lifetime
	lanes  sync.WaitGroup              // running lanes, added to under mu and not after closed; and their goroutines
	gate   chan struct{}               // holds a token while a fenced Producer writes or inits; nil without TransactionalID

	mu      sync.Mutex // guards the rest, and every lane's queue
	byTP    map[TopicPartition]*lane
	closed  bool
	gone    bool     // given up: what is left is not to be written
	who     identity // of a fenced Producer, from Init
	inits   int      // how many there were: a lane starts numbering at 0 after each
	stopped error    // why a fenced Producer writes no more
}

// Producer starts nothing.
func (c *Client) Producer(cfg ProducerConfig) *Producer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Producer{client: c, cfg: cfg.withDefaults(), cancel: cancel, byTP: make(map[TopicPartition]*lane)}
	p.spawn = func(f func(context.Context)) { p.lanes.Go(func() { f(ctx) }) }
	if cfg.TransactionalID != "" {
		p.gate = make(chan struct{}, 1)
	}
	return p
}

// Init takes the transactional ID: older owners are fenced as soon as the first record written after it is
// acknowledged. Required once before Produce with a TransactionalID; a later call renews it (to be done daily: brokers
// forget an unused one after 7 days) and is ErrFenced if a newer owner has it. Without a TransactionalID it does nothing.
func (p *Producer) Init(ctx context.Context) error {
	if p.cfg.TransactionalID == "" {
		return nil
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	p.mu.Lock()
	who, stopped := identity{-1, -1}, p.stopped
	if p.inits > 0 {
		who = p.who
	}
	p.mu.Unlock()
	if stopped != nil {
		return stopped
	}
	fresh, err := p.client.initProducer(ctx, p.cfg.TransactionalID, who, right{"Write", "transactional-id", p.cfg.TransactionalID})
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, ErrFenced) {
		p.stopped = err
	}
	if err != nil {
		return err
	}
	p.who = fresh
	p.inits++
	return nil
}

// ID gives the producer ID and epoch of the last Init.
func (p *Producer) ID() (id int64, epoch int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.who.id, p.who.epoch
}

// Seal writes one record that shuts out, for this partition, an older producer ID of the same transactional ID, which
// its coordinator has forgotten or used up. It is for the owner that finds, as the last claim in the log, one of another
// Record.ProducerID than its own ID. Nothing of that ID can be written after it.
func (p *Producer) Seal(ctx context.Context, old int64, record Record) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	const lastEpoch = 32767
	batch := encodeBatch([]Record{record}, time.Now(), identity{old, lastEpoch}, 0)
	return p.client.retry(ctx, "seal "+record.TopicPartition().String(), func() error {
		_, err := p.client.produce(ctx, record.TopicPartition(), batch)
		return err
	})
}

// Produce writes records and gives their offsets, in the order given, once all are acknowledged. The records of one
// partition are in one batch, whole or not at all; partitions are independent of each other. Record.Topic, Partition,
// Key, Value and Headers are used, and must not be changed before it returns; the time is the present. Lost answers and
// temporary errors are repeated without an end. An offset is -1 if the broker knows only that it has the record.
//
// If ctx ends first its error is returned: what is not under way yet is not written; what is may still be, in its
// place, until Close (and the records, with Key, Value and Headers, stay in use). ErrTooLarge, ErrFenced, ErrDenied, ErrNoTopic (after
// 5 s of it) and ErrClosed are final.
func (p *Producer) Produce(ctx context.Context, records ...Record) ([]int64, error) {
	calls, err := p.split(ctx, records, make([]*call, 0, 8)) // room for the usual, on the stack
	if err != nil {
		return nil, err
	}
	if err := p.enqueue(calls); err != nil {
		return nil, err
	}
	offsets := make([]int64, len(records))
	var errs []error
	for _, call := range calls {
		select {
		case <-call.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("write to %s: %w", call.tp, context.Cause(ctx))
		}
		if err := call.failure(); err != nil {
			errs = append(errs, err)
		}
		call.tell(offsets)
		p.client.reuse(call)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return offsets, nil
}

// Begin is Produce for records of one partition, and does not wait: then is told what Produce would return, once, unless Begin
// returns an error. It must not wait, nor call the Producer: it holds up those who wait for the same batch. If ctx ends, what is under
// way goes on: then is told when the broker has answered, or with Close; of what has only gathered, when the next batch is made.
// Until then the records stay in use.
func (p *Producer) Begin(ctx context.Context, then func(error), records ...Record) error {
	calls, err := p.split(ctx, records, make([]*call, 0, 1))
	if err != nil {
		return err
	}
	if len(calls) != 1 {
		return fmt.Errorf("begin to write to %d partitions: only Produce does, which waits", len(calls))
	}
	calls[0].then, calls[0].from = then, p.client
	return p.enqueue(calls)
}

func (p *Producer) enqueue(calls []*call) error {
	idle, err := p.queue(calls)
	for _, l := range idle {
		l.start()
	}
	return err
}

// queue gives the lanes that have to be started.
func (p *Producer) queue(calls []*call) (idle []*lane, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, ErrClosed
	case p.stopped != nil:
		return nil, p.stopped
	case p.gate != nil && p.inits == 0:
		return nil, errors.New("write with a transactional ID before Init")
	}
	for _, c := range calls {
		l := p.byTP[c.tp]
		if l == nil {
			l = &lane{producer: p, tp: c.tp}
			p.byTP[c.tp] = l
		}
		l.queue = append(l.queue, c)
		if !l.running {
			l.running = true
			p.lanes.Add(1)
			idle = append(idle, l)
		}
	}
	return idle, nil
}

// Close waits until what is under way is acknowledged, or ctx ends (then gives it up, and returns ctx's error), and for
// all goroutines.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	defer p.cancel()
	idle := make(chan struct{})
	go func() {
		p.lanes.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		p.giveUp()
		<-idle
		return context.Cause(ctx)
	}
}

// giveUp ends all that is under way.
func (p *Producer) giveUp() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	for _, l := range p.byTP {
		l.giveUp()
	}
}

// enter and leave keep the batches and Inits of a fenced Producer apart: a batch of the old epoch that is sent again
// after an Init would be refused, and nobody could tell whether its first try is in the log.
func (p *Producer) enter(ctx context.Context) error {
	if p.gate == nil {
		return nil
	}
	select {
	case p.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryEnter enters unless it would have to wait.
func (p *Producer) tryEnter() bool {
	if p.gate == nil {
		return true
	}
	select {
	case p.gate <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *Producer) leave() {
	if p.gate != nil {
		<-p.gate
	}
}
