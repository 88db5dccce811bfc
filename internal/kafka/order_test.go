package kafka_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

const callersInOrder, partitionsInOrder = 64, 3

// writeInOrder has many callers write pairs of records, until stop says so for each, and gives where they were
// acknowledged.
func writeInOrder(t *testing.T, p *kafka.Producer, topic string, stop func(i int) bool) map[string]int64 {
	t.Helper()
	var mu sync.Mutex
	acknowledged := make(map[string]int64)
	var wg sync.WaitGroup
	for caller := range callersInOrder {
		wg.Go(func() {
			partition := caller % partitionsInOrder
			for i := 0; !stop(i); i++ {
				a, b := fmt.Sprintf("%d:%d:a", caller, i), fmt.Sprintf("%d:%d:b", caller, i)
				offsets, err := p.Produce(t.Context(), text(topic, partition, a), text(topic, partition, b))
				if err != nil {
					t.Errorf("caller %d: %v", caller, err)
					return
				}
				if offsets[1] != offsets[0]+1 {
					t.Errorf("caller %d: one call's records at %v", caller, offsets)
				}
				mu.Lock()
				acknowledged[a], acknowledged[b] = offsets[0], offsets[1]
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged
}

// checkOrder: what was acknowledged is in the log, once, where it was told to be, and in the order of its caller.
func checkOrder(t *testing.T, c *kafka.Client, topic string, acknowledged map[string]int64) {
	t.Helper()
	next := make(map[string]string) // what is next of each caller
	found := 0
	for partition := range partitionsInOrder {
		for _, r := range read(t, c, topic, partition) {
			value := string(r.Value)
			var caller, i int
			var half string
			if _, err := fmt.Sscanf(strings.ReplaceAll(value, ":", " "), "%d %d %s", &caller, &i, &half); err != nil {
				t.Fatal(err)
			}
			who := fmt.Sprint(caller)
			if want := next[who]; want != "" && want != value || want == "" && value != who+":0:a" {
				t.Fatalf("caller %s: %q, want %q: lost, twice or out of order", who, value, want)
			}
			next[who] = fmt.Sprintf("%d:%d:b", caller, i)
			if half == "b" {
				next[who] = fmt.Sprintf("%d:%d:a", caller, i+1)
			}
			if at := acknowledged[value]; at != r.Offset {
				t.Errorf("%q is at %d, acknowledged at %d", value, r.Offset, at)
			}
			found++
		}
	}
	if found != len(acknowledged) {
		t.Errorf("%d records in the log, %d acknowledged", found, len(acknowledged))
	}
}

// TestOrderOnBadNetwork has many callers write while requests and answers are lost.
func TestOrderOnBadNetwork(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	good, net := client(t, brokers), newNetwork()
	name := topic(t, good, partitionsInOrder, nil)
	p := producer(t, clientOn(t, brokers, net.dial), kafka.ProducerConfig{})
	write(t, p, text(topic(t, good, 1, nil), 0, "connects"))
	net.lose(0.08, 0.08)
	enough := func(i int) bool { return i >= 40 && net.losses() >= 10 || i == 1000 } // under load requests are larger, and fewer
	acknowledged := writeInOrder(t, p, name, enough)
	net.lose(0, 0)
	if net.losses() < 10 {
		t.Errorf("only %d requests and answers were lost: nothing is proved", net.losses())
	}
	checkOrder(t, good, name, acknowledged)
	t.Logf("%d records, %d losses", len(acknowledged), net.losses())
}

// TestOrderOverCrashes has many callers write while a real broker is killed and comes back, twice.
func TestOrderOverCrashes(t *testing.T) {
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		t.Skip("KAFKA_LIBS, the folder with the jars of a real Kafka, is not set (make test-kafka)")
	}
	libs, err := filepath.Abs(libs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b, err := broker.Apache(ctx, broker.ApacheConfig{Libs: libs, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	c := client(t, b.Addrs())
	name := topic(t, c, partitionsInOrder, nil)
	p := producer(t, c, kafka.ProducerConfig{})

	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 2 {
			time.Sleep(2 * time.Second)
			b.Kill()
			if err := b.Restart(ctx); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Second)
	}()
	acknowledged := writeInOrder(t, p, name, func(int) bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
	checkOrder(t, c, name, acknowledged)
	t.Logf("%d records over two crashes", len(acknowledged))
}
