package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestTransactions(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	c := client(t, brokers)
	name := topic(t, c, 1, nil)
	tp := kafka.TopicPartition{Topic: name}
	one := other(t, brokers, kgo.TransactionalID(broker.Name(t, "one")))
	two := other(t, brokers, kgo.TransactionalID(broker.Name(t, "two")))
	begin := func(k *kgo.Client, values ...string) {
		t.Helper()
		if err := k.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		put(t, k, name, values...)
	}
	end := func(k *kgo.Client, how kgo.TransactionEndTry) {
		t.Helper()
		if err := k.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	plain := producer(t, c, kafka.ProducerConfig{})
	write(t, plain, text(name, 0, "plain 1"))
	begin(one, "one aborted")
	begin(two, "two committed")
	put(t, one, name, "one aborted, again")
	end(two, kgo.TryCommit)
	write(t, plain, text(name, 0, "plain 2"))
	end(one, kgo.TryAbort)
	begin(one, "one committed")
	end(one, kgo.TryCommit)
	begin(two, "two aborted")
	end(two, kgo.TryAbort) // a marker is last in the log

	committed := []string{"plain 1", "two committed", "plain 2", "one committed"}
	if got := values(read(t, c, name, 0)); !slices.Equal(got, committed) {
		t.Errorf("Read gives %q", got)
	}
	ends, err := c.EndOffset(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"plain 1", "one aborted", "two committed", "one aborted, again", "plain 2", "one committed", "two aborted"}
	for readCommitted, want := range map[bool][]string{true: committed, false: all} {
		// From each offset on, as after a restart at any place.
		for from := range ends[0] {
			f := c.Fetcher(kafka.FetcherConfig{ReadCommitted: readCommitted})
			f.Set(tp, from)
			var got []string
			for at := from; at < ends[0]; {
				x := next(t, f, tp)
				if x.Err != nil {
					t.Fatal(x.Err)
				}
				if x.Next < at {
					t.Fatalf("next went from %d back to %d", at, x.Next)
				}
				at = x.Next
				for _, r := range x.Records {
					if r.Offset < from {
						t.Errorf("offset %d from %d on", r.Offset, from)
					}
				}
				got = append(got, values(x.Records)...)
			}
			f.Close()
			if from == 0 && !slices.Equal(got, want) || !slices.Equal(got, want[len(want)-len(got):]) {
				t.Errorf("committed %v, from %d: %q", readCommitted, from, got)
			}
		}
	}
}

// put writes with another client, one batch each.
func put(t testing.TB, k *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}
