package kafka_test

import (
	"strings"
	"sync/atomic"
	"testing"

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
