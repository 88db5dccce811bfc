package kafka_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestCreateTopics(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	a, b := broker.Name(t, "a"), broker.Name(t, "b")
	specs := []kafka.TopicSpec{{Name: a, Partitions: 3, Config: map[string]string{"cleanup.policy": "compact"}}}
	for _, want := range []map[string]bool{{a: true}, {a: false}} {
		created, err := c.CreateTopics(t.Context(), specs)
		if err != nil || !maps.Equal(created, want) {
			t.Errorf("%v, %v, want %v", created, err, want)
		}
	}
	topics, err := c.Topics(t.Context(), a, b)
	want := kafka.TopicInfo{Partitions: 3, Replication: 1, Identity: topics[a].Identity}
	if err != nil || len(topics) != 1 || topics[a] != want || want.Identity == "" {
		t.Errorf("%v, %v", topics, err)
	}
	if all, err := c.Topics(t.Context()); err != nil || all[a].Partitions != 3 {
		t.Errorf("all topics: %v", err)
	}
	if !realKafka {
		return // kfake takes any setting
	}
	_, err = c.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: b, Partitions: 1, Config: map[string]string{"cleanup.policy": "no such"}}})
	if err == nil || !strings.Contains(err.Error(), b) {
		t.Errorf("a wrong setting: %v", err)
	}
}

func TestOffsets(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	write(t, p, text(name, 1, "a"), text(name, 1, "b"))
	start, err := c.StartOffset(t.Context(), name)
	if err != nil || !maps.Equal(start, map[int]int64{0: 0, 1: 0}) {
		t.Errorf("start %v, %v", start, err)
	}
	end, err := c.EndOffset(t.Context(), name)
	if err != nil || !maps.Equal(end, map[int]int64{0: 0, 1: 2}) {
		t.Errorf("end %v, %v", end, err)
	}
	if _, err := c.EndOffset(t.Context(), broker.Name(t, "missing")); !errors.Is(err, kafka.ErrNoTopic) {
		t.Errorf("missing topic: %v", err)
	}
	if got, err := c.GroupOffsets(t.Context(), broker.Name(t, "nobody"), name); err != nil || len(got) > 0 {
		t.Errorf("a group that does not exist: %v, %v", got, err)
	}
}

func TestGroupLimits(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	if err := c.CheckGroupLimits(t.Context(), 20*time.Second); err != nil {
		t.Error(err)
	}
	if err := c.CheckGroupLimits(t.Context(), 24*time.Hour); err == nil || !strings.Contains(err.Error(), "group.max.session.timeout.ms") {
		t.Errorf("a day: %v", err)
	}
}

// TestFreshCluster: what a cluster answers in its first second is waited out.
func TestFreshCluster(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{})
	c := client(t, b.Addrs())
	name := topic(t, c, 1, nil)
	for key, err := range map[kmsg.Key]*kerr.Error{
		kmsg.InitProducerID: kerr.CoordinatorLoadInProgress, kmsg.OffsetFetch: kerr.CoordinatorNotAvailable,
		kmsg.OffsetCommit: kerr.NotCoordinator, kmsg.ListOffsets: kerr.LeaderNotAvailable,
	} {
		b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: 3})
	}
	write(t, producer(t, c, kafka.ProducerConfig{TransactionalID: "owner"}), text(name, 0, "a"))
	if end, err := c.EndOffset(t.Context(), name); err != nil || end[0] != 1 {
		t.Errorf("%v, %v", end, err)
	}
	a := join(t, c, kafka.GroupConfig{ID: "g", Topics: []string{name}}).owns(t, 1)
	if err := a.Commit(t.Context(), map[kafka.TopicPartition]int64{{Topic: name}: 1}); err != nil {
		t.Error(err)
	}
	if got, err := c.GroupOffsets(t.Context(), "g", name); err != nil || got[0] != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestNamedTopics: a client of named topics knows no others, and says so instead of waiting.
func TestNamedTopics(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	mine, others := broker.Name(t, "mine"), broker.Name(t, "others")
	c, err := kafka.New(kafka.Config{Brokers: brokers, Topics: []string{mine}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	createTopic(t, c, mine, 1, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	write(t, p, text(mine, 0, "a"))
	if _, err := c.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: others, Partitions: 1}}); err == nil {
		t.Error("created a topic that is not among the client's")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.Produce(ctx, text(others, 0, "x")); !errors.Is(err, kafka.ErrNoTopic) {
		t.Error(err)
	}
}

// The first record at or after a time; the end, if there is none.
func TestOffsetAt(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 2, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	write(t, p, text(name, 1, "a"))
	write(t, p, text(name, 1, "b"))
	var times []time.Time
	err := c.Read(t.Context(), name, 1, 0, 2, func(r kafka.Record) error {
		times = append(times, r.Time)
		return nil
	})
	if err != nil || len(times) != 2 {
		t.Fatalf("%v, %v", times, err)
	}
	second := int64(1)
	if !times[1].After(times[0]) { // within one millisecond
		second = 0
	}
	for at, want := range map[time.Time]int64{
		times[0].Add(-time.Hour): 0, times[0]: 0, times[1]: second, times[1].Add(time.Hour): 2, time.Unix(-1, 0): 0,
	} {
		if got, err := c.OffsetAt(t.Context(), name, at); err != nil || !maps.Equal(got, map[int]int64{0: 0, 1: want}) {
			t.Errorf("at %s: %v, %v, want %d", at, got, err, want)
		}
	}
	if _, err := c.OffsetAt(t.Context(), broker.Name(t, "missing"), times[0]); !errors.Is(err, kafka.ErrNoTopic) {
		t.Errorf("no topic: %v", err)
	}
}
