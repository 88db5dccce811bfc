package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// fetcher gives one that ends with the test.
func fetcher(t testing.TB, c *kafka.Client, cfg kafka.FetcherConfig) *kafka.Fetcher {
	t.Helper()
	f := c.Fetcher(cfg)
	t.Cleanup(f.Close)
	return f
}

// poll polls until enough, and gives what came of each partition. An error of a partition fails the test.
func poll(t testing.TB, f *kafka.Fetcher, enough func(got map[kafka.TopicPartition][]kafka.Record) bool) map[kafka.TopicPartition][]kafka.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := make(map[kafka.TopicPartition][]kafka.Record)
	for !enough(got) {
		fetched, err := f.Poll(ctx)
		if err != nil {
			t.Fatalf("%v, so far %v", err, counts(got))
		}
		for _, x := range fetched {
			if x.Err != nil {
				t.Fatalf("%s: %v", x.TopicPartition, x.Err)
			}
			if n := len(x.Records); n > 0 && x.Next <= x.Records[n-1].Offset {
				t.Fatalf("%s: next is %d after offset %d", x.TopicPartition, x.Next, x.Records[n-1].Offset)
			}
			got[x.TopicPartition] = append(got[x.TopicPartition], x.Records...)
		}
	}
	return got
}

func counts(got map[kafka.TopicPartition][]kafka.Record) map[kafka.TopicPartition]int {
	n := make(map[kafka.TopicPartition]int)
	for tp, records := range got {
		n[tp] = len(records)
	}
	return n
}

// next polls until a partition's answer has been seen.
func next(t testing.TB, f *kafka.Fetcher, tp kafka.TopicPartition) kafka.Fetched {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		fetched, err := f.Poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range fetched {
			if x.TopicPartition == tp {
				return x
			}
		}
	}
}

func TestFetchManyPartitions(t *testing.T) {
	t.Parallel()
	const partitions, each = 8, 200
	c := client(t, broker.ForTest(t))
	name := topic(t, c, partitions, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	big := make([]byte, 1000)
	var records []kafka.Record
	for i := range partitions * each {
		records = append(records, kafka.Record{Topic: name, Partition: i % partitions, Value: big})
	}
	write(t, p, records...)

	// Answers hold about two partitions' worth: all must come all the same, at the same pace.
	f := fetcher(t, c, kafka.FetcherConfig{PartitionMaxBytes: 50_000, MaxBytes: 100_000})
	for i := range partitions {
		f.Set(kafka.TopicPartition{Topic: name, Partition: i}, 0)
	}
	got := poll(t, f, func(got map[kafka.TopicPartition][]kafka.Record) bool {
		total := 0
		for _, r := range got {
			total += len(r)
		}
		return total == partitions*each
	})
	for tp, records := range got {
		for i, r := range records {
			if r.Offset != int64(i) {
				t.Fatalf("%s: offset %d at place %d", tp, r.Offset, i)
			}
		}
	}
	if len(got) != partitions {
		t.Errorf("records of %d partitions", len(got))
	}
}

func TestFetchFollowsCalls(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	a, b := kafka.TopicPartition{Topic: name, Partition: 0}, kafka.TopicPartition{Topic: name, Partition: 1}
	write(t, p, text(name, 0, "0"), text(name, 0, "1"), text(name, 0, "2"))
	f := fetcher(t, c, kafka.FetcherConfig{})

	// Nothing set: Poll waits, until its ctx ends.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := f.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", got, err)
	}
	f.Set(a, 1)
	f.Set(b, 0)
	if got := values(next(t, f, a).Records); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("from 1: %q", got)
	}
	f.Set(a, 0)
	x := next(t, f, a)
	if got := values(x.Records); !slices.Equal(got, []string{"0", "1", "2"}) || x.HighWatermark != 3 || x.LogStart != 0 || x.Next != 3 {
		t.Errorf("moved to 0: %q, %+v", got, x)
	}

	f.Pause(a)
	write(t, p, text(name, 0, "3"), text(name, 1, "b0"))
	if got := poll(t, f, func(got map[kafka.TopicPartition][]kafka.Record) bool { return len(got[b]) == 1 }); len(got[a]) > 0 {
		t.Errorf("paused, and yet %q", values(got[a]))
	}
	f.Resume(a)
	if got := poll(t, f, func(got map[kafka.TopicPartition][]kafka.Record) bool { return len(got[a]) > 0 }); !slices.Equal(values(got[a]), []string{"3"}) {
		t.Errorf("resumed: %q", values(got[a]))
	}

	f.Remove(a)
	write(t, p, text(name, 0, "4"), text(name, 1, "b1"))
	if got := poll(t, f, func(got map[kafka.TopicPartition][]kafka.Record) bool { return len(got[b]) == 1 }); len(got[a]) > 0 {
		t.Errorf("removed, and yet %q", values(got[a]))
	}
	f.Close()
	if _, err := f.Poll(t.Context()); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestFetchPromptly: a partition that is set while a request waits for others is not held by it, and a sick one does
// not hold the rest.
func TestFetchPromptly(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 3, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	write(t, p, text(name, 1, "there"))
	f := fetcher(t, c, kafka.FetcherConfig{})
	f.Set(kafka.TopicPartition{Topic: name, Partition: 0}, 0)
	f.Set(kafka.TopicPartition{Topic: broker.Name(t, "missing"), Partition: 0}, 0)
	set := time.AfterFunc(100*time.Millisecond, func() { f.Set(kafka.TopicPartition{Topic: name, Partition: 1}, 0) })
	defer set.Stop()
	began, sick := time.Now(), 0
	for {
		fetched, err := f.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(fetched, func(x kafka.Fetched) bool { return len(x.Records) == 1 }) {
			break
		}
		for _, x := range fetched {
			if x.Err != nil {
				sick++
			}
		}
	}
	if d := time.Since(began); d > 400*time.Millisecond {
		t.Errorf("it took %s", d)
	}
	if sick == 0 || sick > 8 {
		t.Errorf("%d errors of the missing topic within 0.1 s", sick)
	}
}

func TestOutOfRange(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	tp := kafka.TopicPartition{Topic: name}
	p := producer(t, c, kafka.ProducerConfig{})
	write(t, p, text(name, 0, "a"), text(name, 0, "b"))
	f := fetcher(t, c, kafka.FetcherConfig{})
	f.Set(tp, 7)
	x := next(t, f, tp)
	if !errors.Is(x.Err, kafka.ErrOutOfRange) || x.LogStart != 0 || x.HighWatermark != 2 {
		t.Errorf("%+v", x)
	}
	// It is told once, then the partition waits for a Set.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if got, err := f.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", got, err)
	}
	f.Set(tp, 1)
	if got := values(next(t, f, tp).Records); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q", got)
	}

	if err := c.Read(t.Context(), name, 0, 7, 9, func(kafka.Record) error { return nil }); !errors.Is(err, kafka.ErrOutOfRange) {
		t.Errorf("Read: %v", err)
	}
	for _, offset := range []int64{2, 7} { // not written yet is not forgotten
		if _, ok, err := c.ReadOne(t.Context(), name, 0, offset); ok || !errors.Is(err, kafka.ErrOutOfRange) {
			t.Errorf("ReadOne %d: %v, %v", offset, ok, err)
		}
	}
}

func TestReadEnds(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	for i := range 5 {
		write(t, p, text(name, 0, fmt.Sprint(i)))
	}
	collect := func(from, to int64) (got []string, err error) {
		err = c.Read(t.Context(), name, 0, from, to, func(r kafka.Record) error {
			got = append(got, string(r.Value))
			return nil
		})
		return got, err
	}
	if got, err := collect(1, 3); err != nil || !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := collect(3, 3); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
	stop := errors.New("stop")
	if err := c.Read(t.Context(), name, 0, 0, 5, func(kafka.Record) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	// It waits for what is not written yet.
	late := time.AfterFunc(300*time.Millisecond, func() { _, _ = p.Produce(context.Background(), text(name, 0, "5")) })
	defer late.Stop()
	if got, err := collect(4, 6); err != nil || !slices.Equal(got, []string{"4", "5"}) {
		t.Errorf("%q, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Read(ctx, broker.Name(t, "missing"), 0, 0, 1, nil); !errors.Is(err, kafka.ErrNoTopic) {
		t.Errorf("missing topic: %v", err)
	}
}

// TestLeaderMoves: fetching and writing go on when another broker becomes a partition's leader.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{Brokers: 3})
	c := client(t, b.Addrs())
	name := topic(t, c, 3, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	f := fetcher(t, c, kafka.FetcherConfig{})
	for i := range 3 {
		f.Set(kafka.TopicPartition{Topic: name, Partition: i}, 0)
	}
	got := make(map[kafka.TopicPartition][]string)
	for round := range 4 {
		for i := range 3 {
			if err := b.Cluster().MoveTopicPartition(name, int32(i), int32((i+round)%3)); err != nil {
				t.Fatal(err)
			}
			write(t, p, text(name, i, fmt.Sprint(round)))
		}
	}
	for len(got) < 3 || slices.ContainsFunc(slices.Collect(maps.Values(got)), func(v []string) bool { return len(v) < 4 }) {
		fetched, err := f.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range fetched {
			got[x.TopicPartition] = append(got[x.TopicPartition], values(x.Records)...)
		}
	}
	for tp, v := range got {
		if !slices.Equal(v, []string{"0", "1", "2", "3"}) {
			t.Errorf("%s: %q", tp, v)
		}
	}
}
