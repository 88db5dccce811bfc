package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// TestBubble runs everything in virtual time: broker, client and a group, with records written and committed over more
// than an hour, in a second. It is the pattern for the tests of the whole program.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Pipe(broker.Config{Topics: []string{"in"}, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		c, err := kafka.New(kafka.Config{Brokers: b.Addrs(), Dial: b.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := c.Producer(kafka.ProducerConfig{})

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began, sessions := time.Now(), 0
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 61 {
				time.Sleep(time.Minute)
				// Not under ctx: the last record may be seen, and ctx ended for it, before its write has returned.
				if _, err := p.Produce(t.Context(), text("in", i%2, fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
		seen := 0
		err = c.Group(kafka.GroupConfig{ID: "g", Topics: []string{"in"}}).Run(ctx, func(ctx context.Context, a *kafka.Assignment) error {
			sessions++
			f := c.Fetcher(kafka.FetcherConfig{})
			defer f.Close()
			for _, tp := range a.All() {
				f.Set(tp, 0)
			}
			for {
				fetched, err := f.Poll(ctx)
				if err != nil {
					return nil //nolint:nilerr // ctx has ended
				}
				for _, x := range fetched {
					if x.Err != nil {
						return x.Err
					}
					if len(x.Records) == 0 {
						continue
					}
					seen += len(x.Records)
					if err := a.Commit(ctx, map[kafka.TopicPartition]int64{x.TopicPartition: x.Next}); err != nil {
						return err
					}
				}
				if seen == 61 {
					cancel()
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d < 61*time.Minute || d > 61*time.Minute+5*time.Second {
			t.Errorf("it took %s of virtual time", d)
		}
		if sessions != 1 {
			t.Errorf("%d sessions in a quiet hour", sessions)
		}
		writer.Wait()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
