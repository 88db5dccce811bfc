package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// TestCompacted reads a compacted log from each offset on: batches of which nothing or only a beginning is left must
// neither be given twice, nor loop, nor hide what comes after them.
func TestCompacted(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	var fakeBroker *broker.Broker
	if !realKafka {
		fakeBroker = fake(t, broker.Config{})
		brokers = fakeBroker.Addrs()
	}
	c := client(t, brokers)
	name := topic(t, c, 1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "200", "segment.bytes": "1048576",
		"min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0", "min.compaction.lag.ms": "0",
	})
	tp := kafka.TopicPartition{Topic: name}
	p := producer(t, c, kafka.ProducerConfig{})
	keyed := func(key, value string) kafka.Record {
		return kafka.Record{Topic: name, Key: []byte(key), Value: []byte(value)}
	}
	// Batches of ten: of the first a beginning stays, of the second nothing, of the third the end.
	batch := func(stays, round string, place int) {
		var records []kafka.Record
		for i := range 10 {
			key := fmt.Sprint("k", i)
			if i == place {
				key = stays
			}
			records = append(records, keyed(key, round))
		}
		write(t, p, records...)
	}
	batch("only once", "0", 0)
	batch("k0", "1", 0)
	batch("once, too", "2", 9)
	batch("k0", "3", 0)

	count := func() int {
		n := 0
		if err := c.Read(t.Context(), name, 0, 0, 40, func(kafka.Record) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if fakeBroker != nil {
		time.Sleep(300 * time.Millisecond) // until the segment is old enough
		write(t, p, keyed("tail", ""))
		fakeBroker.Cluster().Compact()
	}
	eventually(t, "compaction", func() bool {
		if fakeBroker == nil {
			time.Sleep(300 * time.Millisecond)
			write(t, p, keyed("tail", ""))
		}
		return count() < 30
	})

	latest := make(map[string]int64) // offset by key, before the tail
	for _, r := range read(t, c, name, 0) {
		if string(r.Key) != "tail" {
			latest[string(r.Key)] = r.Offset
		}
	}
	if len(latest) != 12 || latest["only once"] != 0 || latest["once, too"] != 29 || latest["k5"] != 35 {
		t.Errorf("after compaction: %v", latest)
	}
	if _, ok, err := c.ReadOne(t.Context(), name, 0, 15); ok || err != nil {
		t.Errorf("a record compacted away: %v, %v", ok, err)
	}
	if r, ok, err := c.ReadOne(t.Context(), name, 0, 29); !ok || err != nil || string(r.Key) != "once, too" {
		t.Errorf("a record that stays: %v, %v", ok, err)
	}
	for from := range int64(40) {
		f := c.Fetcher(kafka.FetcherConfig{PartitionMaxBytes: 1}) // a batch at a time
		f.Set(tp, from)
		seen, polls := make(map[int64]bool), 0
		for at := from; at < 40; polls++ {
			x := next(t, f, tp)
			for _, r := range x.Records {
				if seen[r.Offset] || r.Offset < from {
					t.Fatalf("from %d: offset %d again", from, r.Offset)
				}
				seen[r.Offset] = true
			}
			at = x.Next
		}
		f.Close()
		for key, offset := range latest {
			if offset >= from && !seen[offset] {
				t.Errorf("from %d: %q at %d is missing", from, key, offset)
			}
		}
		if polls > 45 {
			t.Errorf("from %d: %d polls for 40 offsets", from, polls)
		}
	}
}
