package kafka_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// BenchmarkProduce writes records of 200 bytes, each acknowledged before its caller's next.
func BenchmarkProduce(b *testing.B) {
	for name, callers := range map[string]int{"1": 1, "64": 64, "1000": 1000} {
		b.Run(name, func(b *testing.B) {
			c := client(b, broker.ForTest(b))
			in := topic(b, c, 12, nil)
			p := producer(b, c, kafka.ProducerConfig{})
			value := strings.Repeat("x", 200)
			var caller atomic.Int64
			b.SetParallelism((callers + 1) / 2) // times GOMAXPROCS, 2 in CI
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				partition := int(caller.Add(1)) % 12
				for pb.Next() {
					if _, err := p.Produce(b.Context(), text(in, partition, value)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkFetch reads records of 200 bytes from 12 partitions.
func BenchmarkFetch(b *testing.B) {
	c := client(b, broker.ForTest(b))
	in := topic(b, c, 12, nil)
	p := producer(b, c, kafka.ProducerConfig{})
	var batch []kafka.Record
	for i := range 12 * 1000 {
		batch = append(batch, text(in, i%12, strings.Repeat("x", 200)))
	}
	for range max(1, b.N/len(batch)) {
		write(b, p, batch...)
	}
	f := fetcher(b, c, kafka.FetcherConfig{})
	for i := range 12 {
		f.Set(kafka.TopicPartition{Topic: in, Partition: i}, 0)
	}
	b.ResetTimer()
	for n := 0; n < b.N/len(batch)*len(batch); {
		fetched, err := f.Poll(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range fetched {
			n += len(x.Records)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkEvents writes and fetches as the bridge does for an event of one call: from upstream into the inbox, then,
// with 64 side by side, a state record, a call of 20 ms, another state record, a result. With KAFKA_BROKERS, the
// processor time is the client's alone.
func BenchmarkEvents(b *testing.B) {
	const partitions, atOnce = 8, 64
	var requests [64]atomic.Int64 // by API key: 0 is Produce, 1 Fetch
	c := clientOn(b, broker.ForTest(b), counting(&requests))
	upstream, inbox, state, results := topic(b, c, partitions, nil), topic(b, c, partitions, nil), topic(b, c, partitions, nil), topic(b, c, partitions, nil)
	load, in, out := producer(b, c, kafka.ProducerConfig{}), producer(b, c, kafka.ProducerConfig{}), producer(b, c, kafka.ProducerConfig{})
	var owners []*kafka.Producer
	for range partitions {
		owners = append(owners, producer(b, c, kafka.ProducerConfig{TransactionalID: broker.Name(b, "owner")}))
	}
	value := strings.Repeat("x", 400)
	var events []kafka.Record
	for i := range b.N {
		if events = append(events, text(upstream, i%partitions, value)); len(events) == 1000 || i == b.N-1 {
			write(b, load, events...)
			events = nil
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ResetTimer()
	requests[0].Store(0)
	requests[1].Store(0)
	before := processor(b)
	var running sync.WaitGroup
	running.Go(func() { // intake
		consume(ctx, c, upstream, partitions, func(records []kafka.Record) {
			for i := range records {
				records[i].Topic = inbox
			}
			if _, err := in.Produce(ctx, records...); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	})
	slots, done := make(chan struct{}, atOnce), make(chan struct{}, b.N)
	running.Go(func() { // engine
		consume(ctx, c, inbox, partitions, func(records []kafka.Record) {
			for _, r := range records {
				slots <- struct{}{}
				running.Go(func() {
					defer func() { <-slots; done <- struct{}{} }()
					write(b, owners[r.Partition], text(state, r.Partition, value))
					time.Sleep(20 * time.Millisecond)
					write(b, owners[r.Partition], text(state, r.Partition, value))
					write(b, out, text(results, r.Partition, value))
				})
			}
		})
	})
	for range b.N {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(1000*(processor(b)-before).Seconds()/float64(b.N), "cpu-s/1000")
	b.ReportMetric(float64(requests[0].Load())/float64(b.N), "produces/event")
	b.ReportMetric(float64(requests[1].Load())/float64(b.N), "fetches/event")
	cancel()
	running.Wait()
}

// consume gives what comes of a topic, a call for each poll, until ctx ends.
func consume(ctx context.Context, c *kafka.Client, topic string, partitions int, take func([]kafka.Record)) {
	f := c.Fetcher(kafka.FetcherConfig{})
	defer f.Close()
	for i := range partitions {
		f.Set(kafka.TopicPartition{Topic: topic, Partition: i}, 0)
	}
	for {
		fetched, err := f.Poll(ctx)
		if err != nil {
			return
		}
		var records []kafka.Record
		for _, x := range fetched {
			records = append(records, x.Records...)
		}
		if len(records) > 0 {
			take(records)
		}
	}
}

// processor gives the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// counting dials and counts the writes, which are the requests, by their API key.
func counting(n *[64]atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &counted{nc, n}, err
	}
}

type counted struct {
	net.Conn
	n *[64]atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	if len(b) > 6 {
		c.n[b[5]&63].Add(1)
	}
	return c.Conn.Write(b)
}
