package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"distributor-bridge/internal/broker"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// roundTrip writes a record and reads the topic's partition 0 from its start until that record.
func roundTrip(t *testing.T, addrs []string, dial kgo.Opt, topic, value string) (values []string) {
	t.Helper()
	opts := []kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}
	if dial != nil {
		opts = append(opts, dial)
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for !slices.Contains(values, value) {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestStartKeepsData(t *testing.T) {
	t.Parallel()
	cfg := broker.Config{DataDir: t.TempDir(), Topics: []string{"kept"}}
	for i, want := range [][]string{{"a"}, {"a", "b"}} {
		b, err := broker.Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got := roundTrip(t, b.Addrs(), nil, "kept", want[i])
		b.Close()
		if !slices.Equal(got, want) {
			t.Errorf("start %d: %v, want %v", i+1, got, want)
		}
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	b, err := broker.Pipe(broker.Config{Brokers: 3, Topics: []string{"piped"}, Partitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := len(slices.Compact(slices.Sorted(slices.Values(b.Addrs())))); got != 3 {
		t.Errorf("%d addresses for 3 brokers", got)
	}
	if got := roundTrip(t, b.Addrs(), kgo.Dialer(b.Dial), "piped", "a"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %v", got)
	}
	if _, err := b.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Error("dialed an address that nobody listens on")
	}
}

func TestPipeHasNoFiles(t *testing.T) {
	t.Parallel()
	if _, err := broker.Pipe(broker.Config{DataDir: t.TempDir()}); err == nil {
		t.Error("a folder was taken")
	}
	if _, err := broker.Pipe(broker.Config{Ports: []int{9092}}); err == nil {
		t.Error("a port was taken")
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	t.Run("odd/characters äöü", func(t *testing.T) {
		a, b := broker.Name(t, "topic"), broker.Name(t, "topic")
		if a == b {
			t.Errorf("%q twice", a)
		}
		for _, r := range a {
			if r > 'z' || r == '/' || r == ' ' {
				t.Errorf("%q is not a topic's name", a)
			}
		}
	})
}

// libs are the jars of a real Kafka, or the test is skipped.
func libs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("KAFKA_LIBS")
	if dir == "" {
		t.Skip("KAFKA_LIBS, the folder with the jars of a real Kafka, is not set (make test-kafka)")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestApacheSurvivesKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := broker.Apache(ctx, broker.ApacheConfig{Libs: libs(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { b.Close() }()
	create(t, b.Addrs(), "kept")
	if got := roundTrip(t, b.Addrs(), nil, "kept", "a"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %v", got)
	}
	b.Kill()
	if err := b.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := roundTrip(t, b.Addrs(), nil, "kept", "b"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("read %v after kill and restart", got)
	}
}

func TestApacheTellsWhyItDoesNotStart(t *testing.T) {
	if _, err := broker.Apache(t.Context(), broker.ApacheConfig{}); err == nil {
		t.Error("started without jars")
	}
	if _, err := broker.Apache(t.Context(), broker.ApacheConfig{Libs: t.TempDir(), Dir: t.TempDir(), Java: "/nonexistent"}); err == nil {
		t.Error("started without Java")
	}
}

func create(t *testing.T, addrs []string, topic string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	spec := kmsg.NewCreateTopicsRequestTopic()
	spec.Topic, spec.NumPartitions, spec.ReplicationFactor = topic, 1, 1
	req.Topics = append(req.Topics, spec)
	res, err := req.RequestWith(t.Context(), c)
	if err != nil || res.Topics[0].ErrorCode != 0 {
		t.Fatal("create topic:", err, res)
	}
}
