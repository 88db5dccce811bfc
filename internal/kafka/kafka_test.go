package kafka_test

import (
	"context"
	"flag"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestMain(m *testing.M) {
	// They wait for brokers far more than they compute. An option of the command line counts.
	if err := flag.Set("test.parallel", strconv.Itoa(max(8, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// realKafka tells whether the suite runs on brokers of KAFKA_BROKERS, not on kfake.
var realKafka = os.Getenv(broker.EnvBrokers) != ""

// fake gives an in-process broker that ends with the test; for what only a fake can be made to do.
func fake(t testing.TB, cfg broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// client gives a client of the brokers, that ends with the test.
func client(t testing.TB, brokers []string) *kafka.Client {
	t.Helper()
	return clientOn(t, brokers, (&net.Dialer{}).DialContext)
}

func clientOn(t testing.TB, brokers []string, dial func(context.Context, string, string) (net.Conn, error)) *kafka.Client {
	t.Helper()
	c, err := kafka.New(kafka.Config{
		Brokers: brokers, Dial: dial,
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// topic makes a topic of its own for the test.
func topic(t testing.TB, c *kafka.Client, partitions int, config map[string]string) string {
	t.Helper()
	name := broker.Name(t, "topic")
	createTopic(t, c, name, partitions, config)
	return name
}

func createTopic(t testing.TB, c *kafka.Client, name string, partitions int, config map[string]string) {
	t.Helper()
	spec := kafka.TopicSpec{Name: name, Partitions: partitions, Config: config}
	if _, err := c.CreateTopics(t.Context(), []kafka.TopicSpec{spec}); err != nil {
		t.Fatal(err)
	}
}

// producer gives one that ends with the test.
func producer(t testing.TB, c *kafka.Client, cfg kafka.ProducerConfig) *kafka.Producer {
	t.Helper()
	p := c.Producer(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	if err := p.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, p *kafka.Producer, records ...kafka.Record) []int64 {
	t.Helper()
	offsets, err := p.Produce(t.Context(), records...)
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

// text is a record with a value only.
func text(topic string, partition int, value string) kafka.Record {
	return kafka.Record{Topic: topic, Partition: partition, Value: []byte(value)}
}

// read gives all that is in a partition now.
func read(t testing.TB, c *kafka.Client, topic string, partition int) []kafka.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	end, err := c.EndOffset(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var got []kafka.Record
	err = c.Read(ctx, topic, partition, 0, end[partition], func(r kafka.Record) error {
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func values(records []kafka.Record) []string {
	var values []string
	for _, r := range records {
		values = append(values, string(r.Value))
	}
	return values
}

// other gives a client that is not ours, as other users of the cluster have.
func other(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually waits until ok, asking again and again.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(3 * time.Minute)
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
