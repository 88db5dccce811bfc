package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestFencing(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name, id := topic(t, c, 2, nil), broker.Name(t, "owner")
	cfg := kafka.ProducerConfig{TransactionalID: id}

	unready := c.Producer(cfg)
	if _, err := unready.Produce(t.Context(), text(name, 0, "x")); err == nil {
		t.Error("written before Init")
	}
	old := producer(t, c, cfg)
	write(t, old, text(name, 0, "old 1"))
	oldID, oldEpoch := old.ID()

	fresh := producer(t, c, cfg)
	if id, epoch := fresh.ID(); id != oldID || epoch != oldEpoch+1 {
		t.Errorf("the new owner is %d/%d, the old one %d/%d", id, epoch, oldID, oldEpoch)
	}
	if realKafka { // kfake refuses the old one from Init on, not from the claim on
		write(t, old, text(name, 0, "old 2"))
	} else {
		write(t, fresh, text(name, 0, "old 2"))
	}
	write(t, fresh, text(name, 0, "claim"))
	for range 2 {
		if _, err := old.Produce(t.Context(), text(name, 0, "late")); !errors.Is(err, kafka.ErrFenced) {
			t.Errorf("the old owner writes: %v", err)
		}
	}
	if err := old.Init(t.Context()); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the old owner inits: %v", err)
	}

	// The current owner renews, and goes on.
	if err := fresh.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, fresh, text(name, 0, "renewed"), text(name, 1, "other partition"))
	if _, epoch := fresh.ID(); epoch != oldEpoch+2 {
		t.Errorf("epoch %d after renewal, want %d", epoch, oldEpoch+2)
	}
	if got := values(read(t, c, name, 0)); !slices.Equal(got, []string{"old 1", "old 2", "claim", "renewed"}) {
		t.Errorf("the log has %q", got)
	}
}

// TestFencedInit: a stale owner that has not written since may not take the ID back by renewing.
func TestFencedInit(t *testing.T) {
	t.Parallel()
	if !realKafka {
		t.Skip("kfake does not refuse a stale epoch in InitProducerID (90); set KAFKA_BROKERS")
	}
	c := client(t, broker.ForTest(t))
	cfg := kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")}
	old := producer(t, c, cfg)
	producer(t, c, cfg)
	if err := old.Init(t.Context()); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the old owner renews: %v", err)
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	forgotten := producer(t, c, kafka.ProducerConfig{TransactionalID: broker.Name(t, "forgotten")})
	write(t, forgotten, text(name, 0, "claim"))
	owner := producer(t, c, kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")})
	last := read(t, c, name, 0)[0].ProducerID
	if id, _ := owner.ID(); id == last {
		t.Fatal("the same producer ID for two transactional IDs")
	}
	if err := owner.Seal(t.Context(), last, text(name, 0, "seal")); err != nil {
		t.Fatal(err)
	}
	write(t, owner, text(name, 0, "new claim"))
	if _, err := forgotten.Produce(t.Context(), text(name, 0, "late")); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("a sealed owner writes: %v", err)
	}
	if got := values(read(t, c, name, 0)); !slices.Equal(got, []string{"claim", "seal", "new claim"}) {
		t.Errorf("the log has %q", got)
	}
}

// TestFencedInDoubt: a fenced producer that cannot tell what is in the log writes no more.
func TestFencedInDoubt(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{})
	c := client(t, b.Addrs())
	name := topic(t, c, 1, nil)
	p := producer(t, c, kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")})
	write(t, p, text(name, 0, "a"))
	b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: name, Err: kerr.OutOfOrderSequenceNumber})
	for range 2 {
		if _, err := p.Produce(t.Context(), text(name, 0, "b")); !errors.Is(err, kafka.ErrFenced) {
			t.Errorf("goes on in doubt: %v", err)
		}
	}
}

// TestSequenceWrapsInTheLog: numbering starts again after 2³¹−1 without the broker's noticing.
func TestSequenceWrapsInTheLog(t *testing.T) {
	t.Parallel()
	if !realKafka {
		t.Skip("kfake does not take the numbering's wrap; set KAFKA_BROKERS")
	}
	c := client(t, broker.ForTest(t))
	name := topic(t, c, 1, nil)
	p := producer(t, c, kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")})
	// The broker takes any number from a producer that the partition does not know yet.
	p.StartAt(kafka.TopicPartition{Topic: name}, 1<<31-4)
	for i := range 6 {
		write(t, p, text(name, 0, fmt.Sprint(i, "a")), text(name, 0, fmt.Sprint(i, "b")), text(name, 0, fmt.Sprint(i, "c")))
	}
	if got := len(read(t, c, name, 0)); got != 18 {
		t.Errorf("%d records in the log", got)
	}
}
