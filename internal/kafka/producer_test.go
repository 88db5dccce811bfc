package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 3, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	began := time.Now().Truncate(time.Millisecond)
	given := []kafka.Record{
		{Topic: name, Partition: 1, Key: []byte("k"), Value: []byte("v"), Headers: []kafka.Header{
			{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte{}}, {Key: "", Value: nil},
		}},
		{Topic: name, Partition: 2, Key: []byte{}, Value: []byte{}},
		{Topic: name, Partition: 1}, // a tombstone
	}
	offsets := write(t, p, given...)
	if want := []int64{0, 0, 1}; !slices.Equal(offsets, want) {
		t.Fatalf("offsets %v, want %v", offsets, want)
	}
	for i, want := range given {
		got, ok, err := c.ReadOne(t.Context(), name, want.Partition, offsets[i])
		if err != nil || !ok {
			t.Fatalf("record %d: %v, %v", i, ok, err)
		}
		if !same(got.Key, want.Key) || !same(got.Value, want.Value) {
			t.Errorf("record %d: key %#v value %#v, want %#v and %#v", i, got.Key, got.Value, want.Key, want.Value)
		}
		if len(got.Headers) != len(want.Headers) {
			t.Fatalf("record %d: %d headers, want %d", i, len(got.Headers), len(want.Headers))
		}
		for j, h := range want.Headers {
			if g := got.Headers[j]; g.Key != h.Key || !same(g.Value, h.Value) {
				t.Errorf("record %d header %d: %#v, want %#v", i, j, g, h)
			}
		}
		if got.Time.Before(began) || got.Time.After(time.Now()) {
			t.Errorf("record %d: time %s is not the present", i, got.Time)
		}
		if got.ProducerID < 0 {
			t.Errorf("record %d: no producer ID", i)
		}
	}
}

// same tells null from empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// TestTemporaryCodes: whatever a broker answers in its troubles, applied or not, the record is there once, in order.
func TestTemporaryCodes(t *testing.T) {
	t.Parallel()
	for _, fault := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas,
		kerr.KafkaStorageError, kerr.UnknownServerError, // refused
		kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, // applied nevertheless
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, // start anew
	} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			b := fake(t, broker.Config{})
			c := client(t, b.Addrs())
			name := topic(t, c, 1, nil)
			p := producer(t, c, kafka.ProducerConfig{})
			write(t, p, text(name, 0, "a"))
			h := b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: fault, Count: 3})
			offsets := write(t, p, text(name, 0, "b"))
			write(t, p, text(name, 0, "c"))
			if h.Hits() != 3 {
				t.Errorf("%d faults, want 3", h.Hits())
			}
			if got := values(read(t, c, name, 0)); !slices.Equal(got, []string{"a", "b", "c"}) || offsets[0] != 1 {
				t.Errorf("the log has %q, b acknowledged at %v", got, offsets)
			}
		})
	}
}

func TestFinalCodes(t *testing.T) {
	t.Parallel()
	for fault, want := range map[*kerr.Error]error{
		kerr.TopicAuthorizationFailed: kafka.ErrDenied,
		kerr.MessageTooLarge:          kafka.ErrTooLarge,
		kerr.InvalidRecord:            nil,
	} {
		t.Run(fault.Message, func(t *testing.T) {
			t.Parallel()
			b := fake(t, broker.Config{})
			c := client(t, b.Addrs())
			name := topic(t, c, 1, nil)
			p := producer(t, c, kafka.ProducerConfig{})
			write(t, p, text(name, 0, "a"))
			// A lost answer before the refusal: nobody can tell whether "b" is in the log; the next one must be, once.
			b.Cluster().Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: kerr.RequestTimedOut},
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: fault},
			)
			_, err := p.Produce(t.Context(), text(name, 0, "b"))
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			write(t, p, text(name, 0, "c"))
			if got := values(read(t, c, name, 0)); !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Errorf("the log has %q", got)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, map[string]string{"max.message.bytes": "2000"})
	p := producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 10_000})

	_, err := p.Produce(t.Context(), text(name, 0, strings.Repeat("x", 6000)), text(name, 0, strings.Repeat("y", 6000)))
	if !errors.Is(err, kafka.ErrTooLarge) || !strings.Contains(err.Error(), "10000") || strings.Contains(err.Error(), "xx") {
		t.Errorf("over the producer's limit: %v", err)
	}
	// Small ones gather to more than the topic takes: only the large one is refused.
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i == 25 {
				if _, err := p.Produce(t.Context(), text(name, 0, strings.Repeat("x", 3000))); !errors.Is(err, kafka.ErrTooLarge) {
					t.Errorf("over the topic's limit: %v", err)
				}
				return
			}
			if _, err := p.Produce(t.Context(), text(name, 0, strings.Repeat("z", 300))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(read(t, c, name, 0)); got != 49 {
		t.Errorf("%d records in the log, want 49", got)
	}
}

func TestProduceRefuses(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	for what, r := range map[string]kafka.Record{
		"no such topic":      text(broker.Name(t, "missing"), 0, "x"),
		"no such partition":  text(name, 1, "x"),
		"no topic":           text("", 0, "x"),
		"negative partition": text(name, -1, "x"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := p.Produce(ctx, r); !errors.Is(err, kafka.ErrNoTopic) {
				t.Error(err)
			}
		})
	}
}

// TestGivenUp: a caller that does not wait for its record any more does not upset the order of the others.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	net := newNetwork()
	good := client(t, brokers)
	name := topic(t, good, 1, nil)
	p := producer(t, clientOn(t, brokers, net.dial), kafka.ProducerConfig{})
	write(t, p, text(name, 0, "a"))

	net.cut(true)
	for _, value := range []string{"under way", "gathered"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := p.Produce(ctx, text(name, 0, value)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", value, err)
		}
		cancel()
	}
	net.cut(false)
	write(t, p, text(name, 0, "b"))
	if got := values(read(t, good, name, 0)); !slices.Equal(got, []string{"a", "under way", "b"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestProducerClose(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	net := newNetwork()
	good := client(t, brokers)
	name := topic(t, good, 1, nil)
	c := clientOn(t, brokers, net.dial)

	// In order: what is under way is acknowledged first.
	p := c.Producer(kafka.ProducerConfig{Linger: 100 * time.Millisecond})
	wrote := make(chan error, 1)
	go func() {
		_, err := p.Produce(context.Background(), text(name, 0, "a"))
		wrote <- err
	}()
	eventually(t, "a record is accepted", func() bool { return p.Busy() })
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if _, err := p.Produce(t.Context(), text(name, 0, "late")); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}

	// With the brokers gone: given up when its ctx ends.
	p = c.Producer(kafka.ProducerConfig{})
	write(t, p, text(name, 0, "b"))
	net.cut(true)
	go func() {
		_, err := p.Produce(context.Background(), text(name, 0, "lost"))
		wrote <- err
	}()
	eventually(t, "a record is accepted", func() bool { return p.Busy() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close without brokers: %v", err)
	}
	if err := <-wrote; !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("given up by Close: %v", err)
	}
	if got := values(read(t, good, name, 0)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the log has %q", got)
	}
}
