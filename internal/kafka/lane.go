package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// lane is the writing of one partition: one batch under way, the next gathers meanwhile.
//
// All being well it needs no goroutine: it waits in the Client's combiner, whose sender takes what has gathered by then,
// and tells the callers. A goroutine drives it for what may take long: a first batch, and one that has to be repeated.
type lane struct {
	producer *Producer
	tp       TopicPartition

	queue   []*call // guarded by producer.mu
	running bool    // guarded by producer.mu; it is counted in producer.lanes
	parcel  *parcel // guarded by producer.mu; what the combiner has of it; nil while a goroutine drives it

	// The rest belongs to whoever drives the lane, the goroutine or the parcel's sender; producer.mu hands it on.

	who      identity
	inits    int   // which Init of a fenced producer who is from; of an idempotent one, 1 when it has an identity
	sequence int32 // of the next record
	alone    bool  // the last batch had to be repeated: until one has not, nobody else's are in a request with ours
}

// start has what is queued written. The lane is running already.
func (l *lane) start() {
	if !l.handOver() {
		l.producer.spawn(l.run)
	}
}

// handOver gives the lane to the combiner, if nothing is in the way.
func (l *lane) handOver() bool {
	p := l.producer
	if l.alone || p.cfg.Linger > 0 || l.inits == 0 || !p.tryEnter() {
		return false
	}
	leader, known := p.client.leader(l.tp)
	waiting := &parcel{tp: l.tp, lane: l}
	p.mu.Lock()
	ok := known && !p.gone && p.stopped == nil && (p.gate == nil || l.inits == p.inits)
	if ok {
		l.parcel = waiting
	}
	p.mu.Unlock()
	if ok && p.client.combiner.put(leader, waiting) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && l.parcel != waiting {
		return true // given up meanwhile
	}
	l.parcel = nil
	p.leave()
	return false
}

// load fills the lane's parcel with what has gathered. If that is nothing, the lane has ended.
func (l *lane) load(waiting *parcel) bool {
	p := l.producer
	p.mu.Lock() // until the batch is made: callers that are told ErrClosed may use their records' memory again
	defer p.mu.Unlock()
	if l.parcel != waiting {
		return false // given up
	}
	waiting.calls = l.gather()
	if len(waiting.calls) == 0 {
		l.parcel = nil
		p.leave()
		l.end()
		return false
	}
	waiting.batch = encodeCalls(waiting.calls, time.Now(), l.who, l.sequence)
	return true
}

// answered takes the fate of the lane's parcel, and goes on.
func (l *lane) answered(sent *parcel) {
	p := l.producer
	p.mu.Lock()
	mine := l.parcel == sent
	if mine {
		l.parcel = nil
	}
	p.mu.Unlock()
	if !mine {
		return // given up
	}
	if sent.err != nil {
		p.spawn(func(ctx context.Context) {
			l.send(ctx, sent.calls, sent.batch, sent.err)
			p.leave()
			l.run(ctx)
		})
		return
	}
	l.written(sent.calls, sent.base)
	reuse(sent.batch)
	p.leave()
	if l.more() {
		l.start()
	}
}

// more tells whether there is more to be written; if not, the lane has ended.
func (l *lane) more() bool {
	l.producer.mu.Lock()
	defer l.producer.mu.Unlock()
	if len(l.queue) == 0 {
		l.end()
		return false
	}
	return true
}

// giveUp ends a lane that the combiner has. What is under way may still be written. producer.mu is held.
func (l *lane) giveUp() {
	if l.parcel == nil {
		return
	}
	finish(l.parcel.calls, ErrClosed)
	finish(l.queue, ErrClosed)
	l.parcel = nil
	l.producer.leave()
	l.end()
}

// end: nothing is queued, and nobody drives the lane. producer.mu is held.
func (l *lane) end() {
	l.queue, l.running = nil, false
	l.producer.lanes.Done()
}

// run writes what is queued until nothing is, ctx ends, or the combiner has the lane.
func (l *lane) run(ctx context.Context) {
	for {
		if d := l.producer.cfg.Linger; d > 0 {
			_ = wait(ctx, d) // take sees ctx's end
		}
		calls := l.take(ctx)
		if calls == nil {
			return
		}
		if err := l.producer.enter(ctx); err != nil {
			finish(calls, ErrClosed)
			continue
		}
		l.send(ctx, calls, nil, nil)
		l.producer.leave()
		if !l.more() || l.handOver() {
			return
		}
	}
}

// take gives the calls of the next batch; nil, and the lane has ended, if there are none.
func (l *lane) take(ctx context.Context) []*call {
	p := l.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		finish(l.queue, ErrClosed)
		l.queue = nil
	}
	calls := l.gather()
	if len(calls) == 0 {
		l.end()
	}
	return calls
}

// gather takes the calls of the next batch from the queue. producer.mu is held.
func (l *lane) gather() []*call {
	var calls []*call
	var size, n int
	for _, c := range l.queue {
		select {
		case <-c.gone:
			n++
			c.finish(-1, context.Canceled) // nobody is waiting
			continue
		default:
		}
		if size += c.size; len(calls) > 0 && size > l.producer.cfg.GatherBytes {
			break
		}
		n++
		calls = append(calls, c)
	}
	l.queue = l.queue[n:]
	return calls
}

// send writes calls as one batch, in a request of its own, and finishes them. It returns when the batch's fate is known,
// or ctx ends. With failed, that is what came of a first try of the batch.
func (l *lane) send(ctx context.Context, calls []*call, batch []byte, failed error) {
	var doubt bool // whether a try may have been written without our knowing
	began, pause := time.Now(), newBackoff()
	err := failed
	l.alone = false
	for {
		if err == nil {
			if batch == nil {
				if err := l.identify(ctx); err != nil {
					finish(calls, err)
					return
				}
				batch = encodeCalls(calls, time.Now(), l.who, l.sequence)
			}
			var base int64
			if base, err = l.producer.client.produce(ctx, l.tp, batch); err == nil {
				l.written(calls, base)
				return
			}
		}
		l.alone = true
		if ctx.Err() != nil {
			finish(calls, ErrClosed)
			return
		}
		if absent(err) && time.Since(began) > noTopicAfter {
			err = cmp.Or(l.producer.client.missing(ctx, l.tp, "Write"), err)
		}
		switch l.verdict(err) {
		case again:
			doubt = doubt || maybeWritten(err)
			l.producer.client.log.Debug().Stringer("partition", l.tp).Err(err).Msg("kafka: writing again")
			_ = wait(ctx, pause.NextBackOff())
		case anew:
			if stop := l.restart(err); stop != nil {
				finish(calls, stop)
				return
			}
			batch = nil
		case refused:
			l.refuse(ctx, calls, err, doubt)
			return
		}
		err = nil
	}
}

// written tells the callers where their records are.
func (l *lane) written(calls []*call, base int64) {
	for _, c := range calls {
		n := len(c.places) // the call is not ours any more once it is finished
		l.sequence = nextSequence(l.sequence, n)
		c.finish(base, nil)
		if base >= 0 {
			base += int64(n)
		}
	}
}

// refuse tells the callers that their records are not written; with doubt, that they may be.
func (l *lane) refuse(ctx context.Context, calls []*call, err error, doubt bool) {
	if doubt {
		// Under the same number the broker would take the next batch for a repeat of this one, and not write it.
		if stop := l.restart(err); stop != nil {
			finish(calls, stop)
			return
		}
	}
	if !errors.Is(err, ErrTooLarge) || len(calls) == 1 {
		finish(calls, err)
		return
	}
	// Too large together: one is to blame, the others are not. In doubt too, since an earlier try of what is too large is in the
	// log only if the limit was larger then, the topic's or its leader's; then they are in it twice, and readers know repeats.
	for i := range calls {
		l.send(ctx, calls[i:i+1], nil, nil)
	}
}

// identify makes sure that the lane has the identity to write with.
func (l *lane) identify(ctx context.Context) error {
	p := l.producer
	if p.gate == nil {
		if l.inits > 0 {
			return nil
		}
		// Brokers before 2.8 want IdempotentWrite on the cluster for it, others to write to any topic.
		who, err := p.client.initProducer(ctx, "", identity{-1, -1}, onTopic("Write", l.tp.Topic))
		if err != nil {
			if ctx.Err() != nil {
				return ErrClosed
			}
			return err
		}
		l.who, l.inits, l.sequence = who, 1, 0
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		return p.stopped
	}
	if l.inits != p.inits {
		l.who, l.inits, l.sequence = p.who, p.inits, 0
	}
	return nil
}

// restart gives the lane's identity up, since it is not known what is in the log under it. A fenced producer has no
// other: it stops, for good.
func (l *lane) restart(cause error) (stop error) {
	p := l.producer
	if p.gate == nil {
		p.client.log.Warn().Stringer("partition", l.tp).Err(cause).Msg("kafka: the order of writes is in doubt, starting anew")
		l.inits = 0
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !errors.Is(cause, ErrFenced) {
		cause = fmt.Errorf("%w: it is not known whether the last write is in the log: %w", ErrFenced, cause)
	}
	p.stopped = cause
	p.client.log.Warn().Stringer("partition", l.tp).Err(cause).
		Msg("kafka: fenced, or the order is in doubt: nothing more is written; the partition is taken anew")
	return cause
}

// What to do after a try that was not acknowledged.
type verdict int

const (
	again   verdict = iota // send the same bytes
	anew                   // the broker does not know, or accept, our identity or numbering
	refused                // tell the caller
)

// noTopicAfter is how long a topic may be missing before writing to it is given up: metadata of a new one takes a while.
const noTopicAfter = 5 * time.Second

func (l *lane) verdict(err error) verdict {
	var c codeError
	hasCode := errors.As(err, &c)
	switch {
	case hasCode && c.is(kafkago.OutOfOrderSequenceNumber, kafkago.UnknownProducerId, kafkago.InvalidProducerIDMapping,
		kafkago.InvalidProducerEpoch, kafkago.ProducerFenced):
		return anew
	case temporary(err):
		return again
	}
	return refused
}

// maybeWritten: after this error of a try, the batch may be in the log. A leader that has written it, and is put down before
// the replicas have it, answers that it does not lead (6) or does not know the partition (3).
func maybeWritten(err error) bool {
	var c codeError
	if errors.As(err, &c) {
		return c.is(kafkago.Unknown, kafkago.RequestTimedOut, kafkago.NotEnoughReplicasAfterAppend,
			kafkago.NetworkException, kafkago.KafkaStorageError, kafkago.NotLeaderForPartition, kafkago.UnknownTopicOrPartition)
	}
	return !errors.Is(err, errStale)
}
