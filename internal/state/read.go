package state

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"distributor-bridge/internal/kafka"
)

// ReadConfig says what of a state topic to read. Client and Topic are required.
type ReadConfig struct {
	Client *kafka.Client
	Topic  string

	// Partitions are those to read; nil: all.
	Partitions []int
	// From is where to begin in a partition, an offset; those without one begin at their start.
	From map[int]int64
	// Want says which records are wanted; nil: all. What is not wanted is not kept in memory meanwhile.
	Want func(customer, key string) bool
	// Progress is told, after each record, how many offsets have been read, of how many; nil: nobody.
	Progress func(done, total int64)
}

// Read gives the newest record of each key, sorted by customer and key within a partition, as the topic holds them when Read
// begins. It owns nothing and claims nothing: whoever owns the partitions goes on undisturbed, and may have written newer
// records already. Open intents are another's, so they are in doubt. An error of take ends it.
func Read(ctx context.Context, cfg ReadConfig, take func(customer string, e Entry) error) error {
	starts, err := cfg.Client.StartOffset(ctx, cfg.Topic)
	if err != nil {
		return fmt.Errorf("read state %s: look for the start: %w", cfg.Topic, err)
	}
	ends, err := cfg.Client.EndOffset(ctx, cfg.Topic)
	if err != nil {
		return fmt.Errorf("read state %s: look for the end: %w", cfg.Topic, err)
	}
	if cfg.Partitions == nil {
		cfg.Partitions = slices.Sorted(maps.Keys(ends))
	}
	for p, from := range cfg.From {
		starts[p] = min(max(starts[p], from), ends[p])
	}
	r := &reading{cfg: cfg}
	for _, p := range cfg.Partitions {
		if _, ok := ends[p]; !ok {
			return fmt.Errorf("read state %s/%d: %w", cfg.Topic, p, kafka.ErrNoTopic)
		}
		r.total += ends[p] - starts[p]
	}
	for _, p := range cfg.Partitions {
		if err := r.partition(ctx, p, starts[p], ends[p], take); err != nil {
			return fmt.Errorf("read state %s/%d: %w", cfg.Topic, p, err)
		}
	}
	return nil
}

// reading is a Read under way.
type reading struct {
	cfg         ReadConfig
	done, total int64 // offsets
}

// partition reads one partition. Only the values are kept until its end, and decoded then: most of what a topic holds has
// been overwritten since.
func (r *reading) partition(ctx context.Context, number int, from, to int64, take func(string, Entry) error) error {
	newest := map[string]written{}
	before := r.done
	err := r.cfg.Client.Read(ctx, r.cfg.Topic, number, from, to, func(rec kafka.Record) error {
		r.told(before + rec.Offset + 1 - from)
		key := string(rec.Key)
		if key == claimKey || key == controlKey {
			return nil
		}
		customer, object, ok := strings.Cut(key, "/")
		switch {
		case !ok:
			return fmt.Errorf("the record at offset %d has a key of an unknown form", rec.Offset)
		case rec.Value == nil:
			delete(newest, key)
		case r.cfg.Want == nil || r.cfg.Want(customer, object):
			newest[key] = written{customer, object, rec.Offset, bytes.Clone(rec.Value)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.told(before + to - from)
	for _, w := range slices.SortedFunc(maps.Values(newest), written.compare) {
		rec, err := decode(w.value)
		if err != nil {
			return fmt.Errorf("offset %d: %w", w.offset, err)
		}
		if err := take(w.customer, Entry{Key: w.key, Record: rec}); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) told(done int64) {
	r.done = done
	if r.cfg.Progress != nil {
		r.cfg.Progress(done, r.total)
	}
}

// written is a record as the topic holds it.
type written struct {
	customer, key string
	offset        int64
	value         []byte
}

func (w written) compare(o written) int {
	return cmp.Or(cmp.Compare(w.customer, o.customer), cmp.Compare(w.key, o.key))
}
