package kafka_test

import (
	"errors"
	"testing"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// Asking whether a transactional ID may be used leaves it with its owner, and makes none.
func TestMayUseTakesNothing(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name, id := topic(t, c, 1, nil), broker.Name(t, "id")
	owner := producer(t, c, kafka.ProducerConfig{TransactionalID: id})
	if err := owner.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, owner, text(name, 0, "claim"))
	number, epoch := owner.ID()
	for range 3 {
		if err := c.MayUse(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	write(t, owner, text(name, 0, "still mine"))
	if err := owner.Init(t.Context()); err != nil { // ErrFenced, had somebody taken it
		t.Fatal(err)
	}
	if again, next := owner.ID(); again != number || next != epoch+1 {
		t.Errorf("the owner had %d in epoch %d, and has %d in epoch %d after its next init", number, epoch, again, next)
	}
	// One that nobody has does not come into being: its first owner is like one of an ID that was never asked for.
	var epochs []int16
	for _, asked := range []bool{true, false} {
		fresh := broker.Name(t, "fresh")
		if asked {
			if err := c.MayUse(t.Context(), fresh); err != nil {
				t.Fatal(err)
			}
		}
		first := producer(t, c, kafka.ProducerConfig{TransactionalID: fresh})
		if err := first.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, epoch := first.ID()
		epochs = append(epochs, epoch)
	}
	if epochs[0] != epochs[1] {
		t.Errorf("its first owner has epoch %d instead of %d: somebody had it before", epochs[0], epochs[1])
	}
}

func TestDescribeTopics(t *testing.T) {
	t.Parallel()
	c := client(t, broker.ForTest(t))
	name, missing := topic(t, c, 2, map[string]string{"cleanup.policy": "compact"}), broker.Name(t, "missing")
	states, err := c.DescribeTopics(t.Context(), name, missing)
	if err != nil {
		t.Fatal(err)
	}
	s := states[name]
	if s.Partitions != 2 || s.Replication != 1 || s.InSync != 1 || s.Leaderless != 0 || s.Err != nil {
		t.Errorf("%+v", s)
	}
	if !s.May.Has(kafka.OpRead) || !s.May.Has(kafka.OpWrite) {
		t.Errorf("may: %b", s.May)
	}
	if err := states[missing].Err; !errors.Is(err, kafka.ErrNoTopic) {
		t.Errorf("missing: %v", err)
	}
	settings, err := c.TopicSettings(t.Context(), name)
	if err != nil || settings[name]["cleanup.policy"] != "compact" || settings[name]["max.message.bytes"] == "" {
		t.Errorf("%v, %v", settings, err)
	}
	limits, err := c.BrokerSettings(t.Context(), kafka.LeastSession, kafka.MostSession)
	if err != nil || limits[kafka.LeastSession] == "" || limits[kafka.MostSession] == "" {
		t.Errorf("%v, %v", limits, err)
	}
	if may, err := c.MayGroup(t.Context(), broker.Name(t, "nobody")); err != nil || !may.Has(kafka.OpRead) {
		t.Errorf("a group that does not exist: %b, %v", may, err)
	}
}

func TestKnock(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	k := kafka.Config{Brokers: brokers}.Knock(t.Context(), brokers[0])
	if k.Stage != kafka.StageOpen || k.Err != nil || len(k.Brokers) == 0 || k.TLS != nil {
		t.Errorf("%+v", k)
	}
	k = kafka.Config{Brokers: brokers}.Knock(t.Context(), "127.0.0.1:1")
	if k.Stage != kafka.StageDial || k.Err == nil {
		t.Errorf("nobody there: %+v", k)
	}
}
