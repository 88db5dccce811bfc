package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// Desk reads for operators. It is used by one goroutine.
type Desk struct{ cfg Config }

// New connects to nothing.
func New(cfg Config) *Desk {
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, int64) {}
	}
	return &Desk{cfg}
}

// Close ends the connections.
func (d *Desk) Close() { d.cfg.Client.Close() }

// errSilent is that of brokers that do not answer.
var errSilent = errors.New("the brokers do not answer: are kafka.brokers, TLS and SASL right, and is Kafka up?")

// Open asks the brokers whether the topics that a Desk reads are there.
func (d *Desk) Open(ctx context.Context) error {
	asking, cancel := context.WithTimeoutCause(ctx, d.cfg.Patience, errSilent)
	defer cancel()
	topics := []string{d.cfg.Inbox, d.cfg.Results, d.cfg.DeadLetters, d.cfg.State}
	have, err := d.cfg.Client.Topics(asking, topics...)
	if err != nil {
		if cause := context.Cause(asking); ctx.Err() == nil && errors.Is(cause, errSilent) {
			err = cause
		}
		return fmt.Errorf("look at the topics: %w", err)
	}
	var missing []error
	for _, topic := range topics {
		if have[topic].Partitions == 0 {
			missing = append(missing, fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic))
		}
	}
	return errors.Join(missing...)
}

// Place is where a record is.
type Place struct {
	Topic     string
	Partition int
	Offset    int64
}

// String gives "topic/partition@offset".
func (p Place) String() string { return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Offset) }

// skew is how far the clocks of members and brokers may be apart: what happened at a time has been written since, by the
// broker's clock.
const skew = 10 * time.Minute

// read gives the records of a topic from a time on (zero: from its start) to its end as it is now, of these partitions
// (nil: all).
func (d *Desk) read(ctx context.Context, what, topic string, since time.Time, partitions []int, take func(kafka.Record)) error {
	find := d.cfg.Client.StartOffset
	if !since.IsZero() {
		find = func(ctx context.Context, topic string) (map[int]int64, error) {
			return d.cfg.Client.OffsetAt(ctx, topic, since.Add(-skew))
		}
	}
	from, err := find(ctx, topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	to, err := d.cfg.Client.EndOffset(ctx, topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	if partitions == nil {
		partitions = slices.Sorted(maps.Keys(to))
	}
	var done, total int64
	for _, p := range partitions {
		total += to[p] - from[p]
	}
	for _, p := range partitions {
		before := done
		err := d.cfg.Client.Read(ctx, topic, p, from[p], to[p], func(r kafka.Record) error {
			done = before + r.Offset + 1 - from[p]
			d.cfg.Progress(what, done, total)
			take(r)
			return nil
		})
		if err != nil {
			return err
		}
		done = before + to[p] - from[p]
	}
	d.cfg.Progress(what, total, total)
	return nil
}

// state reads the records that are wanted, of these customers (nil: all). They are given to take one by one: all of state may be
// more than memory has room for, and few need more than a part of some of it.
func (d *Desk) state(
	ctx context.Context, customers []string, want func(customer, key string) bool, take func(customer string, e state.Entry),
) error {
	const what = "state"
	cfg := state.ReadConfig{
		Client: d.cfg.Client, Topic: d.cfg.State, Want: want,
		Progress: func(done, total int64) { d.cfg.Progress(what, done, total) },
	}
	if customers != nil {
		if len(customers) == 0 {
			return nil
		}
		info, err := d.cfg.Client.Topics(ctx, d.cfg.State)
		if err != nil {
			return fmt.Errorf("read %s: %w", d.cfg.State, err)
		}
		cfg.Partitions = partitionsOf(customers, info[d.cfg.State].Partitions)
	}
	return state.Read(ctx, cfg, func(customer string, e state.Entry) error {
		take(customer, e)
		return nil
	})
}

// partitionsOf gives the partitions, of n, that hold these customers.
func partitionsOf(customers []string, n int) []int {
	var numbers []int
	for _, c := range customers {
		numbers = append(numbers, kafka.Partition([]byte(c), n))
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}
