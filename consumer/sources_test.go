package consumer_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// writer is upstream with another Kafka client, which can do what ours has no need to.
func (w *world) writer(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	opts = append(opts, kgo.SeedBrokers(w.kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	c, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// foreign gives a record as the other client writes it.
func foreign(r kafka.Record) *kgo.Record {
	out := &kgo.Record{Topic: r.Topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader(h))
	}
	return out
}

func put(t *testing.T, c *kgo.Client, records ...kafka.Record) {
	t.Helper()
	for _, r := range records {
		if err := c.ProduceSync(t.Context(), foreign(r)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// taken gives the IDs of the inbox's events, in their order.
func (w *world) taken() []string {
	w.t.Helper()
	var ids []string
	for _, r := range w.read(w.cfg.Inbox) {
		for _, h := range r.Headers {
			if h.Key == "ce_id" {
				ids = append(ids, string(h.Value))
			}
		}
	}
	return ids
}

// Whatever codec upstream compresses with, its events are taken in.
func TestIntakeCodecs(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	var want []string
	for i, codec := range codecs {
		c := w.writer(kgo.ProducerBatchCompression(codec))
		for j := range 3 {
			id := fmt.Sprint("codec-", i, "-", j)
			put(t, c, w.record(w.order("c1", "o1", id)))
			want = append(want, id)
		}
	}
	w.start(nil, true)
	w.caughtUp(w.cfg.Group.ID+"-intake", w.up)
	if got := w.taken(); !slices.Equal(got, want) {
		t.Errorf("taken in %v, want %v", got, want)
	}
}

// Of upstream's transactions only what was committed is taken in, and the markers between hold up nothing.
func TestIntakeTransactions(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	c := w.writer(kgo.TransactionalID(broker.Name(t, "upstream")))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		put(t, c, w.record(w.order("c1", "o1", fmt.Sprint("transaction-", i))))
		if err := c.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	w.start(nil, true)
	w.until("both are taken in", func() bool { return len(w.taken()) >= 2 })
	w.emit(w.order("c1", "o1", "after"))
	w.until("what comes after is", func() bool { return slices.Contains(w.taken(), "after") })
	if got, want := w.taken(), []string{"transaction-0", "transaction-2", "after"}; !slices.Equal(got, want) {
		t.Errorf("taken in %v, want %v", got, want)
	}
}

// A topic that is deleted holds up no other, and is taken in from its start when it comes again.
func TestIntakeTopicDeleted(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	gone := broker.Name(t, "gone")
	w.topics(kafka.TopicSpec{Name: gone, Partitions: 1})
	w.cfg.Upstream = append(w.cfg.Upstream, gone)
	of := func(id string) kafka.Record {
		r := w.record(w.order("c1", "o1", id))
		r.Topic = gone
		return r
	}
	taken := func(id string) func() bool { return func() bool { return slices.Contains(w.taken(), id) } }
	w.write(of("before"))
	w.start(nil, true)
	w.until("it is taken in", taken("before"))
	w.caughtUp(w.cfg.Group.ID+"-intake", gone)

	c := w.writer()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.TimeoutMillis = []string{gone}, 10_000
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(gone)
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.emit(w.order("c1", "o1", "meanwhile"))
	w.until("the other goes on", taken("meanwhile"))
	w.until("it can be made again", func() bool {
		_, err := w.client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: gone, Partitions: 1}})
		return err == nil
	})
	put(t, c, of("again"), of("and again")) // ours knows the numbering of the old one
	w.until("it is taken in again", taken("and again"))
	// The in-process broker does not forget a deleted topic's offsets, so it may be taken in from where the old one ended.
	if os.Getenv(broker.EnvBrokers) != "" {
		w.until("from its start", taken("again"))
	}
}
