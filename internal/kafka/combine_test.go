package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

// What becomes of a request.
type fate int

const (
	arrives fate = iota
	requestLost
	answerLost
)

// valve is a network on which requests that write can be held, and lost.
type valve struct {
	mu       sync.Mutex // guards the rest
	open     chan struct{}
	only     string // hold what goes to this broker; empty is all
	held     int
	combined []int // partitions of the requests of several
	largest  int   // bytes of the largest request
	fate     fate  // of the next request of several
}

// hold holds requests from now on, until release.
func (v *valve) hold(only string) (release func()) {
	open := make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open, v.only, v.held = open, only, 0
	return sync.OnceFunc(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.open = nil
		close(open)
	})
}

func (v *valve) holds() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.held
}

func (v *valve) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, proto, address)
	if err != nil {
		return nil, err
	}
	return &valved{Conn: nc, v: v, to: address}, nil
}

// client gives one that waits long for what is held.
func (v *valve) client(t *testing.T, brokers []string) *kafka.Client {
	t.Helper()
	c, err := kafka.New(kafka.Config{Brokers: brokers, Dial: v.dial, Timeout: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// pass waits while requests are held, and gives what becomes of this one.
func (v *valve) pass(to string, partitions, size int) fate {
	v.mu.Lock()
	open := v.open
	if open != nil && (v.only == "" || v.only == to) {
		v.held++
		v.mu.Unlock()
		<-open
		v.mu.Lock()
	}
	defer v.mu.Unlock()
	v.largest = max(v.largest, size)
	if partitions < 2 {
		return arrives
	}
	v.combined = append(v.combined, partitions)
	f := v.fate
	v.fate = arrives
	return f
}

type valved struct {
	net.Conn
	v    *valve
	to   string
	mute bool // the answer gets lost; of the one goroutine that writes and reads
}

func (c *valved) Write(b []byte) (int, error) {
	if len(b) < 14 || binary.BigEndian.Uint16(b[4:]) != uint16(kmsg.Produce) {
		return c.Conn.Write(b)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version = int16(binary.BigEndian.Uint16(b[6:]))
	partitions := 0
	if err := req.ReadFrom(b[14+binary.BigEndian.Uint16(b[12:]):]); err != nil {
		return 0, err
	}
	for _, t := range req.Topics {
		partitions += len(t.Partitions)
	}
	switch c.v.pass(c.to, partitions, len(b)) {
	case requestLost:
		_ = c.Conn.Close()
		return 0, errNetwork
	case answerLost:
		c.mute = true
	}
	return c.Conn.Write(b)
}

func (c *valved) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.mute {
		_ = c.Conn.Close()
		return 0, errNetwork
	}
	return n, err
}

// gathering is a client whose batches gather, since all requests that may be under way are held.
type gathering struct {
	*kafka.Client
	brokers []string
	net     *valve
	topic   string
	free    func()
}

// gather gives one. What is in prepared has written once before, so that it is combined.
func gather(t *testing.T, brokers []string, partitions int, prepare func(g *gathering)) *gathering {
	t.Helper()
	v := &valve{}
	g := &gathering{Client: v.client(t, brokers), brokers: brokers, net: v}
	g.topic = topic(t, g.Client, partitions, nil)
	others := topic(t, g.Client, kafka.SendersPerBroker, nil)
	p := producer(t, g.Client, kafka.ProducerConfig{})
	for i := range kafka.SendersPerBroker {
		warm(t, p, others, i)
	}
	prepare(g)
	g.free = v.hold("")
	var fillers sync.WaitGroup
	for i := range kafka.SendersPerBroker {
		fillers.Go(func() {
			if _, err := p.Produce(context.Background(), text(others, i, "held")); err != nil && !errors.Is(err, kafka.ErrClosed) {
				t.Error(err)
			}
		})
		eventually(t, "a request is held", func() bool { return v.holds() == i+1 })
	}
	t.Cleanup(func() {
		g.free()
		fillers.Wait()
	})
	return g
}

// warm has a producer write "a" to partitions, until what is next is combined: not the first batch, nor one after trouble,
// as a fresh topic may give.
func warm(t *testing.T, p *kafka.Producer, topic string, partitions ...int) {
	t.Helper()
	for _, i := range partitions {
		eventually(t, "batches are combined", func() bool {
			if p.Combines(kafka.TopicPartition{Topic: topic, Partition: i}) {
				return true
			}
			write(t, p, text(topic, i, "a"))
			return false
		})
	}
}

// write has a producer write, and waits until that is gathered; the error comes later.
func (g *gathering) write(t *testing.T, p *kafka.Producer, r kafka.Record) <-chan error {
	t.Helper()
	wrote, before := make(chan error, 1), g.Waiting()
	go func() {
		_, err := p.Produce(context.Background(), r)
		wrote <- err
	}()
	eventually(t, "a batch waits", func() bool { return g.Waiting() == before+1 })
	return wrote
}

// sent checks that a request of n partitions was.
func (g *gathering) sent(t *testing.T, n int) {
	t.Helper()
	g.net.mu.Lock()
	defer g.net.mu.Unlock()
	if !slices.Contains(g.net.combined, n) {
		t.Errorf("requests of %v partitions, none of %d", g.net.combined, n)
	}
}

// holds checks what a partition has after what warmed it.
func holds(t *testing.T, c *kafka.Client, topic string, partition int, want ...string) {
	t.Helper()
	got := values(read(t, c, topic, partition))
	warmed := slices.IndexFunc(got, func(v string) bool { return v != "a" })
	if warmed < 0 {
		warmed = len(got)
	}
	if !slices.Equal(got[warmed:], want) {
		t.Errorf("partition %d has %q, want %q", partition, got[warmed:], want)
	}
}

// TestCombined: batches of several producers go in one request; whether it arrives or gets lost, or its answer does, each
// is in the log once.
func TestCombined(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fate{"arrives": arrives, "request lost": requestLost, "answer lost": answerLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fenced, plain *kafka.Producer
			g := gather(t, broker.ForTest(t), 3, func(g *gathering) {
				fenced = producer(t, g.Client, kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")})
				plain = producer(t, g.Client, kafka.ProducerConfig{})
				warm(t, fenced, g.topic, 0)
				warm(t, plain, g.topic, 1, 2)
			})
			g.net.fate = f
			wrote := []<-chan error{
				g.write(t, fenced, text(g.topic, 0, "b")),
				g.write(t, plain, text(g.topic, 1, "b")), g.write(t, plain, text(g.topic, 2, "b")),
			}
			g.free()
			for _, w := range wrote {
				if err := <-w; err != nil {
					t.Error(err)
				}
			}
			g.sent(t, 3)
			write(t, fenced, text(g.topic, 0, "c"))
			write(t, plain, text(g.topic, 1, "c"), text(g.topic, 2, "c"))
			for i := range 3 {
				holds(t, g.Client, g.topic, i, "b", "c")
			}
		})
	}
}

// TestCombinedRefused: of one request, a batch may be refused and another written.
func TestCombinedRefused(t *testing.T) {
	t.Parallel()
	b := fake(t, broker.Config{})
	var p *kafka.Producer
	g := gather(t, b.Addrs(), 2, func(g *gathering) {
		p = producer(t, g.Client, kafka.ProducerConfig{})
		warm(t, p, g.topic, 0, 1)
	})
	good, refused := g.write(t, p, text(g.topic, 0, "b")), g.write(t, p, text(g.topic, 1, "b"))
	b.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: g.topic, Partitions: []int32{1}, Err: kerr.MessageTooLarge,
	})
	g.free()
	if err := <-good; err != nil {
		t.Error(err)
	}
	if err := <-refused; !errors.Is(err, kafka.ErrTooLarge) {
		t.Error(err)
	}
	g.sent(t, 2)
	write(t, p, text(g.topic, 0, "c"), text(g.topic, 1, "c"))
	holds(t, g.Client, g.topic, 0, "b", "c")
	holds(t, g.Client, g.topic, 1, "c")
}

// TestTooLargeInDoubt: a batch whose first try got lost, and whose second is refused as too large, has one record that is to blame,
// and the others are written.
func TestTooLargeInDoubt(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fate{"request lost": requestLost, "answer lost": answerLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *kafka.Producer
			g := gather(t, broker.ForTest(t), 1, func(g *gathering) {
				g.topic = topic(t, g.Client, 2, map[string]string{"max.message.bytes": "4000"})
				p = producer(t, g.Client, kafka.ProducerConfig{})
				warm(t, p, g.topic, 0, 1)
			})
			g.net.fate = f
			other := g.write(t, p, text(g.topic, 1, "b"))
			sizes := []int{1, 1, 5000, 1}
			told := make([]chan error, len(sizes))
			for i, size := range sizes {
				told[i] = make(chan error, 1)
				r := text(g.topic, 0, fmt.Sprint(i, strings.Repeat("x", size)))
				if err := p.Begin(t.Context(), func(err error) { told[i] <- err }, r); err != nil {
					t.Fatal(err)
				}
			}
			g.free()
			for i, size := range sizes {
				switch err := <-told[i]; {
				case size > 4000 && !errors.Is(err, kafka.ErrTooLarge), size < 4000 && err != nil:
					t.Errorf("%d, of %d bytes: %v", i, size, err)
				}
			}
			if err := <-other; err != nil {
				t.Error(err)
			}
			g.sent(t, 2)
			write(t, p, text(g.topic, 0, "c"))
			holds(t, g.Client, g.topic, 0, "0x", "1x", "3x", "c")
		})
	}
}

// TestTooLargeInDoubtFenced: an owner whose batch may be in the log, or not, writes no more, nor any part of it.
func TestTooLargeInDoubtFenced(t *testing.T) {
	t.Parallel()
	var owner, other *kafka.Producer
	g := gather(t, broker.ForTest(t), 1, func(g *gathering) {
		g.topic = topic(t, g.Client, 2, map[string]string{"max.message.bytes": "4000"})
		owner = producer(t, g.Client, kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")})
		other = producer(t, g.Client, kafka.ProducerConfig{})
		warm(t, owner, g.topic, 0)
		warm(t, other, g.topic, 1)
	})
	g.net.fate = answerLost
	good := g.write(t, other, text(g.topic, 1, "b"))
	told := make(chan error, 3)
	for _, size := range []int{1, 5000, 1} {
		if err := owner.Begin(t.Context(), func(err error) { told <- err }, text(g.topic, 0, strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
	}
	g.free()
	for range 3 {
		if err := <-told; !errors.Is(err, kafka.ErrFenced) {
			t.Error(err)
		}
	}
	if err := <-good; err != nil {
		t.Error(err)
	}
	g.sent(t, 2)
	holds(t, g.Client, g.topic, 0)
}

// TestCombinedFenced: a stale owner's batch stops its producer, and nobody else's.
func TestCombinedFenced(t *testing.T) {
	t.Parallel()
	var stale, owner *kafka.Producer
	brokers := broker.ForTest(t)
	g := gather(t, brokers, 2, func(g *gathering) {
		cfg := kafka.ProducerConfig{TransactionalID: broker.Name(t, "owner")}
		stale = producer(t, g.Client, cfg)
		owner = producer(t, g.Client, kafka.ProducerConfig{TransactionalID: broker.Name(t, "other")})
		warm(t, stale, g.topic, 0)
		warm(t, owner, g.topic, 1)
		write(t, producer(t, client(t, brokers), cfg), text(g.topic, 0, "claim"))
	})
	late, good := g.write(t, stale, text(g.topic, 0, "late")), g.write(t, owner, text(g.topic, 1, "b"))
	g.free()
	if err := <-late; !errors.Is(err, kafka.ErrFenced) {
		t.Error(err)
	}
	if err := <-good; err != nil {
		t.Error(err)
	}
	g.sent(t, 2)
	if _, err := stale.Produce(t.Context(), text(g.topic, 0, "later")); !errors.Is(err, kafka.ErrFenced) {
		t.Error(err)
	}
	write(t, owner, text(g.topic, 1, "c"))
	holds(t, g.Client, g.topic, 0, "claim")
	holds(t, g.Client, g.topic, 1, "b", "c")
}

// TestCombinedClose: a producer that is closed while its batch waits for a request takes only that with it.
func TestCombinedClose(t *testing.T) {
	t.Parallel()
	var closed, other *kafka.Producer
	g := gather(t, broker.ForTest(t), 2, func(g *gathering) {
		closed = producer(t, g.Client, kafka.ProducerConfig{})
		other = producer(t, g.Client, kafka.ProducerConfig{})
		warm(t, closed, g.topic, 0)
		warm(t, other, g.topic, 1)
	})
	waits, good := g.write(t, closed, text(g.topic, 0, "b")), g.write(t, other, text(g.topic, 1, "b"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := closed.Close(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-waits; !errors.Is(err, kafka.ErrClosed) {
		t.Error(err)
	}
	g.free()
	if err := <-good; err != nil {
		t.Error(err)
	}
	holds(t, g.Client, g.topic, 0)
	holds(t, g.Client, g.topic, 1, "b")
}

// TestCombinedClientClose: with the Client closed, what waits is told.
func TestCombinedClientClose(t *testing.T) {
	t.Parallel()
	var p *kafka.Producer
	g := gather(t, broker.ForTest(t), 1, func(g *gathering) {
		p = producer(t, g.Client, kafka.ProducerConfig{})
		warm(t, p, g.topic, 0)
	})
	waits := g.write(t, p, text(g.topic, 0, "b"))
	g.Close()
	if err := <-waits; !errors.Is(err, kafka.ErrClosed) {
		t.Error(err)
	}
	g.free()
	g.Client = client(t, g.brokers)
	holds(t, g.Client, g.topic, 0)
}

// TestCombinedSize: what is too much for one request goes in several.
func TestCombinedSize(t *testing.T) {
	t.Parallel()
	const partitions, size = 6, 600_000
	var p *kafka.Producer
	g := gather(t, broker.ForTest(t), partitions, func(g *gathering) {
		p = producer(t, g.Client, kafka.ProducerConfig{})
		for i := range partitions {
			warm(t, p, g.topic, i)
		}
	})
	var wrote []<-chan error
	for i := range partitions {
		wrote = append(wrote, g.write(t, p, text(g.topic, i, strings.Repeat("x", size))))
	}
	g.free()
	for _, w := range wrote {
		if err := <-w; err != nil {
			t.Error(err)
		}
	}
	g.net.mu.Lock()
	defer g.net.mu.Unlock()
	if g.net.largest < size || g.net.largest > 1<<20+size+1000 {
		t.Errorf("the largest request has %d bytes", g.net.largest)
	}
}

// twoBrokers gives two, each of which leads a partition of the topic, and a client whose way to them can be held.
func twoBrokers(t *testing.T) (b *broker.Broker, v *valve, c *kafka.Client, name string) {
	t.Helper()
	b, v = fake(t, broker.Config{Brokers: 2}), &valve{}
	c = v.client(t, b.Addrs())
	name = topic(t, c, 2, nil)
	for i := range int32(2) {
		if err := b.Cluster().MoveTopicPartition(name, i, i); err != nil {
			t.Fatal(err)
		}
	}
	return b, v, c, name
}

// TestDeadBroker: a broker that does not answer holds back what it leads, and nothing else.
func TestDeadBroker(t *testing.T) {
	t.Parallel()
	b, v, c, name := twoBrokers(t)
	p := producer(t, c, kafka.ProducerConfig{})
	warm(t, p, name, 0, 1)
	release := v.hold(b.Addrs()[1])
	defer release()
	wrote := make(chan error, 1)
	go func() {
		_, err := p.Produce(context.Background(), text(name, 1, "dead"))
		wrote <- err
	}()
	eventually(t, "the dead broker's is held", func() bool { return v.holds() > 0 })
	for range 20 {
		write(t, p, text(name, 0, "b"))
	}
	select {
	case err := <-wrote:
		t.Errorf("written on a dead broker, %v", err)
	default:
	}
	release()
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	holds(t, c, name, 1, "dead")
}

// TestPatience: a request that is answered late does not hold those that come after it.
func TestPatience(t *testing.T) {
	t.Parallel()
	brokers := broker.ForTest(t)
	v := &valve{}
	c := v.client(t, brokers)
	name := topic(t, c, 2, nil)
	p := producer(t, c, kafka.ProducerConfig{})
	warm(t, p, name, 0, 1)
	release := v.hold("")
	defer release()
	var writers sync.WaitGroup
	for i := range 2 {
		writers.Go(func() {
			if _, err := p.Produce(t.Context(), text(name, i, "b")); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "another request is sent", func() bool { return v.holds() == i+1 })
	}
	release()
	writers.Wait()
}
