package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// ledger collects what was written to a topic, by its value: each is to be told apart from all others.
type ledger struct {
	mu           sync.Mutex // guards the rest
	acknowledged map[string]int64
	givenUp      map[string]bool // may have been written
}

func newLedger() *ledger {
	return &ledger{acknowledged: map[string]int64{}, givenUp: map[string]bool{}}
}

// tell takes what became of a Produce.
func (l *ledger) tell(t *testing.T, offsets []int64, err error, records ...kafka.Record) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range records {
		switch {
		case err == nil:
			l.acknowledged[string(r.Value)] = offsets[i]
		case errors.Is(err, context.Canceled):
			l.givenUp[string(r.Value)] = true
		default:
			t.Errorf("%.20q: %v", r.Value, err)
		}
	}
}

// check looks whether a topic has what was acknowledged, where that was said, and nothing else but what was given up, all once.
func (l *ledger) check(t *testing.T, c *kafka.Client, topic string, partitions int) {
	t.Helper()
	found := map[string]bool{}
	for partition := range partitions {
		for _, r := range read(t, c, topic, partition) {
			value := string(r.Value)
			if value == "a" { // which warmed it
				continue
			}
			at, acknowledged := l.acknowledged[value]
			if found[value] || !acknowledged && !l.givenUp[value] || acknowledged && at != r.Offset {
				t.Errorf("%.20q is at %d, acknowledged %t at %d, seen before: %t", value, r.Offset, acknowledged, at, found[value])
			}
			if !strings.HasPrefix(value, fmt.Sprint(partition, " ")) {
				t.Errorf("%.20q is in partition %d", value, partition)
			}
			found[value] = true
		}
	}
	for value := range l.acknowledged {
		if !found[value] {
			t.Errorf("%.20q is acknowledged, and not in the log", value)
		}
	}
}

// mine is a record that names its partition.
func mine(topic string, partition int, what string, n ...int) kafka.Record {
	return text(topic, partition, fmt.Sprint(partition, " ", what, " ", n))
}

// TestGivenUpWhileOthersWrite: what a caller has given up, under way or gathered, is nobody else's, whatever others write before
// and after its end comes.
func TestGivenUpWhileOthersWrite(t *testing.T) {
	t.Parallel()
	b, v, c, name := twoBrokers(t)
	p, wrote := producer(t, c, kafka.ProducerConfig{}), newLedger()
	warm(t, p, name, 0, 1)
	release := v.hold(b.Addrs()[1])
	defer release()
	ended, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers sync.WaitGroup
	produce := func(ctx context.Context, records ...kafka.Record) {
		offsets, err := p.Produce(ctx, records...)
		wrote.tell(t, offsets, err, records...)
	}
	writers.Go(func() { produce(ended, mine(name, 1, "under way")) })
	eventually(t, "it is under way", func() bool { return v.holds() > 0 })
	cancel()
	writers.Wait()
	for i := range 20 {
		produce(ended, mine(name, 1, "gathered", i))
		produce(ended, mine(name, 1, "of two", i), mine(name, 0, "of two", i))
	}
	for caller := range 16 {
		writers.Go(func() {
			for i := range 60 {
				if i == 30 {
					release()
				}
				produce(t.Context(), mine(name, 0, "other", caller, i))
			}
		})
	}
	writers.Wait()
	produce(t.Context(), mine(name, 1, "after"))
	wrote.check(t, c, name, 2)
	holds(t, c, name, 1, "1 under way []", "1 after []")
}

// TestAllEnds has many callers write to two partitions, of which some give up and some write what the topic refuses: each is told
// of its own records.
func TestAllEnds(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, map[string]string{"max.message.bytes": "4000"})
	p, wrote := producer(t, c, kafka.ProducerConfig{}), newLedger()
	var writers sync.WaitGroup
	for caller := range 32 {
		writers.Go(func() {
			for i := range 40 {
				partition := (caller + i) % 2
				one, two := mine(name, partition, "one", caller, i), mine(name, 1-partition, "two", caller, i)
				three := mine(name, partition, "three", caller, i)
				switch i % 4 {
				case 0: // too large, by itself and with what it is gathered with
					one.Value = append(one.Value, make([]byte, 5000)...)
					if _, err := p.Produce(t.Context(), one); !errors.Is(err, kafka.ErrTooLarge) {
						t.Errorf("too large: %v", err)
					}
				case 1: // given up, sooner or later
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					offsets, err := p.Produce(ctx, one, two, three)
					wrote.tell(t, offsets, err, one, two, three)
				case 2:
					offsets, err := p.Produce(t.Context(), one)
					wrote.tell(t, offsets, err, one)
				case 3:
					offsets, err := p.Produce(t.Context(), one, two, three)
					wrote.tell(t, offsets, err, one, two, three)
				}
			}
		})
	}
	writers.Wait()
	write(t, p, text(name, 0, "a"), text(name, 1, "a")) // after all that was given up
	wrote.check(t, c, name, 2)
}
