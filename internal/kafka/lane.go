package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// lane is the writing of one partition: one batch under way, the next gathers meanwhile.
type lane struct {
	producer *Producer
	tp       TopicPartition

	queue   []*call // guarded by producer.mu
	running bool    // guarded by producer.mu; there is a goroutine

	// The rest belongs to the running goroutine; the mutex hands it on to the next.

	who      identity
	inits    int   // which Init of a fenced producer who is from; of an idempotent one, 1 when it has an identity
	sequence int32 // of the next record
}

// run writes what is queued until nothing is, or ctx ends.
func (l *lane) run(ctx context.Context) {
	for {
		if d := l.producer.cfg.Linger; d > 0 {
			_ = wait(ctx, d) // take sees ctx's end
		}
		calls := l.take(ctx)
		if calls == nil {
			return
		}
		l.write(ctx, calls)
	}
}

// take gives the calls of the next batch; nil, and the goroutine has to end, if there are none.
func (l *lane) take(ctx context.Context) []*call {
	p := l.producer
	p.mu.Lock()
	defer p.mu.Unlock()
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
		if ctx.Err() != nil {
			n++
			c.finish(-1, ErrClosed)
			continue
		}
		if size += c.size; len(calls) > 0 && size > p.cfg.GatherBytes {
			break
		}
		n++
		calls = append(calls, c)
	}
	l.queue = l.queue[n:]
	if len(calls) == 0 {
		l.queue = nil
		l.running = false
	}
	return calls
}

func (l *lane) write(ctx context.Context, calls []*call) {
	if err := l.producer.enter(ctx); err != nil {
		finish(calls, ErrClosed)
		return
	}
	defer l.producer.leave()
	l.send(ctx, calls)
}

// send writes calls as one batch and finishes them. It returns when the batch's fate is known, or ctx ends.
func (l *lane) send(ctx context.Context, calls []*call) {
	var records []Record
	for _, c := range calls {
		records = append(records, c.records...)
	}
	var batch []byte
	var doubt bool // whether a try may have been written without our knowing
	began, pause := time.Now(), newBackoff()
	for {
		if batch == nil {
			if err := l.identify(ctx); err != nil {
				finish(calls, err)
				return
			}
			batch = encodeBatch(records, time.Now(), l.who, l.sequence)
		}
		base, err := l.producer.client.produce(ctx, l.tp, batch)
		if err == nil {
			l.written(calls, base, len(records))
			return
		}
		if ctx.Err() != nil {
			finish(calls, ErrClosed)
			return
		}
		switch l.verdict(ctx, err, began) {
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
	}
}

// written tells the callers where their records are.
func (l *lane) written(calls []*call, base int64, records int) {
	l.sequence = nextSequence(l.sequence, records)
	for _, c := range calls {
		c.finish(base, nil)
		if base >= 0 {
			base += int64(len(c.records))
		}
	}
}

// refuse tells the callers that their records are not written; with doubt, that they may be.
func (l *lane) refuse(ctx context.Context, calls []*call, err error, doubt bool) {
	if errors.Is(err, ErrTooLarge) && len(calls) > 1 && !doubt {
		for i := range calls { // too large together: one is to blame, the others are not
			l.send(ctx, calls[i:i+1])
		}
		return
	}
	if errors.Is(err, errStale) {
		err = ErrNoTopic
	}
	if doubt {
		// Under the same number the broker would take the next batch for a repeat of this one, and not write it.
		if stop := l.restart(err); stop != nil {
			err = stop
		}
	}
	finish(calls, err)
}

// identify makes sure that the lane has the identity to write with.
func (l *lane) identify(ctx context.Context) error {
	p := l.producer
	if p.gate == nil {
		if l.inits > 0 {
			return nil
		}
		who, err := p.client.initProducer(ctx, "", identity{-1, -1})
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
	p.client.log.Warn().Stringer("partition", l.tp).Err(cause).Msg("kafka: the order of writes is in doubt, starting anew")
	if p.gate == nil {
		l.inits = 0
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !errors.Is(cause, ErrFenced) {
		cause = fmt.Errorf("%w: it is not known whether the last write is in the log: %w", ErrFenced, cause)
	}
	p.stopped = cause
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

func (l *lane) verdict(ctx context.Context, err error, began time.Time) verdict {
	var c codeError
	hasCode := errors.As(err, &c)
	switch {
	case hasCode && c.is(kafkago.OutOfOrderSequenceNumber, kafkago.UnknownProducerId, kafkago.InvalidProducerIDMapping,
		kafkago.InvalidProducerEpoch, kafkago.ProducerFenced):
		return anew
	case (errors.Is(err, errStale) || errors.Is(err, ErrNoTopic)) && time.Since(began) > noTopicAfter:
		if l.producer.client.missing(ctx, l.tp) {
			return refused
		}
		return again
	case temporary(err):
		return again
	}
	return refused
}

// maybeWritten: after this error of a try, the batch may be in the log.
func maybeWritten(err error) bool {
	var c codeError
	if errors.As(err, &c) {
		return c.is(kafkago.Unknown, kafkago.RequestTimedOut, kafkago.NotEnoughReplicasAfterAppend,
			kafkago.NetworkException, kafkago.KafkaStorageError)
	}
	return !errors.Is(err, errStale)
}

func finish(calls []*call, err error) {
	for _, c := range calls {
		c.finish(-1, err)
	}
}

// produce sends a batch once and gives its first offset; -1 if the broker knows only that it has it.
func (c *Client) produce(ctx context.Context, tp TopicPartition, batch []byte) (int64, error) {
	const allReplicas = -1
	m, err := c.send(ctx, &rawproduce.Request{
		Acks:    allReplicas,
		Timeout: int32((c.cfg.Timeout * 3 / 4).Milliseconds()), // so that the broker answers before we hang up
		Topics: []rawproduce.RequestTopic{{
			Topic: tp.Topic,
			Partitions: []rawproduce.RequestPartition{{
				Partition: int32(tp.Partition),
				RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(batch)},
			}},
		}},
	})
	if err != nil {
		return -1, err
	}
	res := m.(*produce.Response)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return -1, errEmpty
	}
	switch p := res.Topics[0].Partitions[0]; codeError(p.ErrorCode) {
	case 0:
		return p.BaseOffset, nil
	case codeError(kafkago.DuplicateSequenceNumber): // written by an earlier try
		return -1, nil
	default:
		return -1, code(p.ErrorCode)
	}
}

// initProducer asks for a producer ID and epoch: a new ID without a transactional ID; with one, the next epoch. It
// repeats temporary errors until ctx ends; repeating is safe, at worst it uses up another epoch.
func (c *Client) initProducer(ctx context.Context, transactionalID string, who identity) (identity, error) {
	err := c.retry(ctx, "init producer", func() error {
		m, err := c.send(ctx, &initproducerid.Request{
			TransactionalID:      transactionalID,
			TransactionTimeoutMs: 60_000, // no transaction is ever opened; brokers refuse 0
			ProducerID:           who.id,
			ProducerEpoch:        who.epoch,
		})
		if err != nil {
			return err
		}
		res := m.(*initproducerid.Response)
		if res.ErrorCode != 0 {
			return code(res.ErrorCode)
		}
		who = identity{res.ProducerID, res.ProducerEpoch}
		return nil
	})
	return who, err
}
