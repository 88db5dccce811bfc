package kafka_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// Where many records are written, each waits some milliseconds for others, so that few requests carry many; where few are, none
// waits: in virtual time the broker takes no time at all.
func TestGathering(t *testing.T) {
	for name, c := range map[string]struct {
		writers, requests int           // requests: at most
		took              time.Duration // at most, by each write
	}{
		"one": {writers: 1, requests: 1000, took: 200 * time.Microsecond},
		// Who comes while a request gathers is in the next: they may go on as two groups of four, 800 µs after one another.
		"some": {writers: 8, requests: 1260, took: 2 * 8 * 200 * time.Microsecond},
		"many": {writers: 400, requests: 110, took: 2 * 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, err := broker.Pipe(broker.Config{Topics: []string{"out"}, Partitions: 8})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				client, err := kafka.New(kafka.Config{Brokers: b.Addrs(), Dial: b.Dial})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				p := client.Producer(kafka.ProducerConfig{})
				warm(t, p, "out", 0, 1, 2, 3, 4, 5, 6, 7)
				var requests atomic.Int64
				b.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
					b.Cluster().KeepControl()
					requests.Add(1)
					return nil, nil, false
				})
				var writers sync.WaitGroup
				for i := range c.writers {
					writers.Go(func() {
						for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
							began := time.Now()
							if _, err := p.Produce(t.Context(), text("out", i%8, fmt.Sprint(i))); err != nil {
								t.Error(err)
								return
							}
							if d := time.Since(began); d > c.took {
								t.Errorf("a write took %s, want at most %s", d, c.took)
								return
							}
						}
					})
				}
				writers.Wait()
				if n := int(requests.Load()); n == 0 || n > c.requests {
					t.Errorf("%d requests, want at most %d", n, c.requests)
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
