package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// place is where to fetch from.
type place struct {
	tp     TopicPartition
	offset int64
}

// fetch asks the broker that leads all the places, and gives an answer for each.
func (c *Client) fetch(ctx context.Context, places []place, cfg FetcherConfig) ([]answer, error) {
	req := &fetch.Request{
		ReplicaID:      -1, // a consumer
		MaxWaitTime:    int32(cfg.MaxWait.Milliseconds()),
		MinBytes:       1,
		MaxBytes:       int32(cfg.MaxBytes),
		IsolationLevel: isolation(cfg.ReadCommitted),
		SessionEpoch:   -1, // no fetch session
	}
	// In the order of places, since the broker fills its answer in that order.
	for _, p := range places {
		part := fetch.RequestPartition{
			Partition:          int32(p.tp.Partition),
			CurrentLeaderEpoch: -1,
			FetchOffset:        p.offset,
			LogStartOffset:     -1,
			PartitionMaxBytes:  int32(cfg.PartitionMaxBytes),
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.tp.Topic {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, part)
			continue
		}
		req.Topics = append(req.Topics, fetch.RequestTopic{Topic: p.tp.Topic, Partitions: []fetch.RequestPartition{part}})
	}
	m, err := c.sendWithin(ctx, cfg.MaxWait+c.cfg.Timeout, &fetchRequest{
		Request: req, clientID: c.cfg.ClientID, places: places, committed: cfg.ReadCommitted,
	})
	if err != nil {
		return nil, err
	}
	res := m.(*fetchRequest)
	if res.err != nil {
		return nil, res.err
	}
	for i, p := range places {
		a := &res.answers[i]
		if errors.Is(a.err, ErrOutOfRange) {
			c.explain(ctx, p, a)
		}
		a.err = c.denied(a.err, onTopic("Read", p.tp.Topic))
	}
	return res.answers, nil
}

// explain adds the log's bounds, which brokers leave out, to an answer that an offset is out of range.
func (c *Client) explain(ctx context.Context, p place, a *answer) {
	start, err := c.bound(ctx, p.tp, kafkago.FirstOffset)
	if err == nil {
		a.logStart = start
		a.high, err = c.bound(ctx, p.tp, kafkago.LastOffset)
		a.stable = a.high
	}
	switch {
	case err != nil:
		a.err = err // not known, to be asked again
	case a.logStart <= p.offset && p.offset <= a.high:
		a.err = errors.New("offset out of range of a broker that is behind")
	default:
		a.err = fmt.Errorf("%w: %d is not in %d to %d", ErrOutOfRange, p.offset, a.logStart, a.high)
	}
}

// bound gives the first or last offset of a partition.
func (c *Client) bound(ctx context.Context, tp TopicPartition, which int64) (int64, error) {
	m, err := c.send(ctx, &listoffsets.Request{
		ReplicaID: -1,
		Topics: []listoffsets.RequestTopic{{
			Topic: tp.Topic,
			Partitions: []listoffsets.RequestPartition{{
				Partition: int32(tp.Partition), CurrentLeaderEpoch: -1, Timestamp: which,
			}},
		}},
	})
	if err != nil {
		return -1, err
	}
	res := m.(*listoffsets.Response)
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return -1, errEmpty
	}
	p := res.Topics[0].Partitions[0]
	return p.Offset, code(p.ErrorCode)
}

func isolation(committed bool) int8 {
	if committed {
		return 1
	}
	return 0
}

// readWait is how long a broker may wait for data of a Read: short, since it usually is all there.
const readWait = 100 * time.Millisecond

// Read gives fn the committed records with from <= offset < to, in order, and returns after the last of them, also if
// what is before `to` was compacted away. An error of fn ends it and is returned. ErrOutOfRange if from is below the
// log's start; ErrNoTopic after 5 s of it. It waits for records that are not written yet.
func (c *Client) Read(ctx context.Context, topic string, partition int, from, to int64, fn func(Record) error) error {
	at := place{TopicPartition{topic, partition}, from}
	cfg := FetcherConfig{MaxWait: readWait, ReadCommitted: true}.withDefaults(c.cfg)
	var empty int // answers without anything although the log goes on, in a row
	for at.offset < to {
		a, err := c.fetchOne(ctx, at, cfg)
		if err != nil {
			return fmt.Errorf("read %s: %w", at.tp, err)
		}
		for _, r := range a.records {
			if r.Offset >= to {
				return nil
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		at.offset = a.next
		empty++
		if a.data || a.stable < to {
			empty = 0
		}
		// The log goes on to `to` and nothing is in between: all compacted away. Twice, since the price of a mistake is
		// a lost record, and of asking again 0.1 s.
		if empty == 2 {
			return nil
		}
	}
	return nil
}

// ReadOne gives the committed record at offset; false if the log has gone beyond it without it. An offset that the log has
// not come to is an error: a new leader may not know its end yet, or the topic was made anew.
func (c *Client) ReadOne(ctx context.Context, topic string, partition int, offset int64) (Record, bool, error) {
	at := place{TopicPartition{topic, partition}, offset}
	cfg := FetcherConfig{MaxWait: time.Millisecond, PartitionMaxBytes: 1, ReadCommitted: true}.withDefaults(c.cfg)
	a, err := c.fetchOne(ctx, at, cfg)
	switch {
	case errors.Is(err, ErrOutOfRange):
		starts, startErr := c.StartOffset(ctx, topic)
		if startErr != nil || starts[partition] <= offset {
			return Record{}, false, fmt.Errorf("read %s at %d: %w", at.tp, offset, errors.Join(err, startErr))
		}
		return Record{}, false, nil
	case err != nil:
		return Record{}, false, fmt.Errorf("read %s at %d: %w", at.tp, offset, err)
	case len(a.records) == 0 && offset >= a.stable:
		return Record{}, false, fmt.Errorf("read %s at %d: %w", at.tp, offset, ErrOutOfRange)
	case len(a.records) == 0 || a.records[0].Offset != offset:
		return Record{}, false, nil
	}
	return a.records[0], true, nil
}

// fetchOne fetches from one partition, and repeats temporary errors until ctx ends.
func (c *Client) fetchOne(ctx context.Context, at place, cfg FetcherConfig) (answer, error) {
	var a answer
	began := time.Now()
	err := c.retry(ctx, "fetch", func() error {
		answers, err := c.fetch(ctx, []place{at}, cfg)
		if err == nil {
			a, err = answers[0], answers[0].err
			if err == nil && a.none { // throttled: it says nothing
				err = errEmpty
			}
		}
		if absent(err) && time.Since(began) > noTopicAfter {
			if missing := c.missing(ctx, at.tp, "Read"); missing != nil {
				return final{fmt.Errorf("%s: %w", at.tp, missing)}
			}
		}
		return err
	})
	return a, err
}

// absent says whether an error may be that of a partition that does not exist, or may not be seen.
func absent(err error) bool { return errors.Is(err, errStale) || errors.Is(err, ErrNoTopic) }

// missing asks the brokers whether the partition does not exist, or may not be seen by one who needs it for operation; nil if
// it is there, or they do not answer.
func (c *Client) missing(ctx context.Context, tp TopicPartition, operation string) error {
	topics, err := c.topics(ctx, []string{tp.Topic}, operation)
	switch {
	case errors.Is(err, ErrDenied):
		return err
	case err == nil && topics[tp.Topic].Partitions <= tp.Partition:
		return final{ErrNoTopic}
	}
	return nil
}
