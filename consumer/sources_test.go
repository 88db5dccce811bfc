package consumer_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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

// remake deletes a topic; create makes it again, empty, as soon as the brokers let it.
func (w *world) remake(c *kgo.Client, topic string, partitions int) (create func()) {
	w.t.Helper()
	broker.DeleteTopic(w.t, c, topic)
	return func() {
		w.t.Helper()
		w.until("it can be made again", func() bool {
			created, err := w.client.CreateTopics(w.t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: partitions}})
			return err == nil && created[topic]
		})
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
	create := w.remake(c, gone, 1)
	w.emit(w.order("c1", "o1", "meanwhile"))
	w.until("the other goes on", taken("meanwhile"))
	create()
	put(t, c, of("again"), of("and again")) // ours knows the numbering of the old one
	w.until("it is taken in again", taken("and again"))
	w.until("from its start", taken("again"))
}

// fetchGate is a network that can hold fetches back. Those that were held fail.
type fetchGate struct {
	mu   sync.Mutex
	shut chan struct{} // nil while it is open
	held int
}

func (g *fetchGate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &gatedConn{conn, g}, err
}

// close holds fetches from now on, until open.
func (g *fetchGate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.held = make(chan struct{}), 0
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.shut)
		g.shut = nil
	})
}

func (g *fetchGate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held > 0
}

type gatedConn struct {
	net.Conn
	gate *fetchGate
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if len(b) < 6 || binary.BigEndian.Uint16(b[4:]) != uint16(kmsg.Fetch) {
		return c.Conn.Write(b)
	}
	c.gate.mu.Lock()
	shut := c.gate.shut
	if shut == nil {
		c.gate.mu.Unlock()
		return c.Conn.Write(b)
	}
	c.gate.held++
	c.gate.mu.Unlock()
	<-shut
	_ = c.Close()
	return 0, net.ErrClosed
}

// A topic that is deleted and made again so fast that the group notices nothing, and that has more new events by then than had been
// taken in of old ones, is taken in from its start all the same.
func TestIntakeTopicRemade(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	var gate fetchGate
	w.kafka.Dial = gate.dial
	w.topics(kafka.TopicSpec{Name: w.up + ".remade", Partitions: 1})
	w.up += ".remade"
	w.cfg.Upstream = []string{w.up}
	w.cfg.Group.TopicPoll = time.Hour // the group looks for changed topics after the test
	w.emit(w.order("c1", "o1", "old 1"), w.order("c1", "o1", "old 2"))
	w.start(nil, true)
	w.caughtUp(w.cfg.Group.ID+"-intake", w.up)

	open := gate.close()
	defer open()
	w.until("no fetch is under way", gate.holds)
	c := w.writer()
	w.remake(c, w.up, 1)()
	put(t, c, w.record(w.order("c1", "o1", "new 1")), w.record(w.order("c1", "o1", "new 2")), w.record(w.order("c1", "o1", "new 3")))
	open()
	w.until("what is beyond the old ones is taken in", func() bool { return slices.Contains(w.taken(), "new 3") })
	if got, want := w.taken(), []string{"old 1", "old 2", "new 1", "new 2", "new 3"}; !slices.Equal(got, want) {
		t.Errorf("taken in %v, want %v", got, want)
	}
}

// A commit that was under way when the topic was deleted, and is repeated until it is made again, says nothing of the new one.
func TestIntakeTopicRemadeBeforeCommit(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: w.up, Count: -1, Err: kerr.UnknownTopicOrPartition,
	})
	w.emit(w.order("c1", "o1", "old 1"), w.order("c1", "o1", "old 2"))
	w.start(nil, true)
	if err := h.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c := w.writer()
	w.remake(c, w.up, 1)()
	put(t, c, w.record(w.order("c1", "o1", "new 1")), w.record(w.order("c1", "o1", "new 2")), w.record(w.order("c1", "o1", "new 3")))
	h.Remove()
	for _, id := range []string{"new 1", "new 2", "new 3"} {
		w.until(id+" is taken in", func() bool { return slices.Contains(w.taken(), id) })
	}
}

// A partition that could not be fetched for a while goes on where it was: its topic is no new one.
func TestIntakeGoesOnAfterTrouble(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.emit(w.order("c1", "o1", "one"), w.order("c1", "o1", "two"))
	w.start(nil, true)
	w.caughtUp(w.cfg.Group.ID+"-intake", w.up)
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Fetch}, Topic: w.up, Count: 3, Err: kerr.UnknownTopicOrPartition,
	})
	if err := h.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	w.emit(w.order("c1", "o1", "three"))
	w.until("what comes after the trouble is taken in", func() bool { return slices.Contains(w.taken(), "three") })
	if got, want := w.taken(), []string{"one", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("taken in %v, want %v", got, want)
	}
}
