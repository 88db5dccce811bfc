package consumer_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// world is a broker with the bridge's topics, a client to look at them, and who writes upstream's events.
type world struct {
	t        *testing.T
	broker   *broker.Broker // nil with KAFKA_BROKERS
	kafka    kafka.Config
	client   *kafka.Client
	upstream *kafka.Producer
	contract *schemas.Contract
	cfg      consumer.Config // of members; tests change it before start

	virtual bool // time is

	up, results, dead string // topics; inbox and state are in cfg
}

// partitions of the bridge's topics in tests.
const partitions = 3

// sockets gives a world on KAFKA_BROKERS, or on an in-process broker, in real time.
func sockets(t *testing.T) *world {
	t.Helper()
	if env := os.Getenv(broker.EnvBrokers); env != "" {
		return newWorld(t, nil, kafka.Config{Brokers: strings.Split(env, ",")})
	}
	return inProcess(t)
}

// inProcess gives a world on an in-process broker, for tests that need its faults.
func inProcess(t *testing.T) *world {
	t.Helper()
	b, err := broker.Start(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return newWorld(t, b, kafka.Config{Brokers: b.Addrs()})
}

// virtual runs a test in a bubble of virtual time, with a broker inside of it.
func virtual(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b, err := broker.Pipe(broker.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		w := newWorld(t, b, kafka.Config{Brokers: b.Addrs(), Dial: b.Dial})
		w.cfg.Group = kafka.GroupConfig{ID: w.cfg.Group.ID} // its own times: a beat every 100 ms is many in an hour
		w.cfg.CommitEvery = 0
		w.virtual = true
		test(t, w)
	})
}

func newWorld(t *testing.T, b *broker.Broker, cfg kafka.Config) *world {
	t.Helper()
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	upstream := client.Producer(kafka.ProducerConfig{MaxBatchBytes: 8 << 20})
	t.Cleanup(func() { closeProducer(t, upstream) })
	w := &world{
		t: t, broker: b, kafka: cfg, client: client, upstream: upstream, contract: contract,
		up: broker.Name(t, "up"), results: broker.Name(t, "results"), dead: broker.Name(t, "dead"),
	}
	w.cfg = consumer.Config{
		Contract: contract,
		Group: kafka.GroupConfig{
			ID: broker.Name(t, "group"), HeartbeatInterval: 100 * time.Millisecond, SessionTimeout: 6 * time.Second,
			JoinBackoff: 100 * time.Millisecond, TopicPoll: 200 * time.Millisecond,
		},
		Upstream: []string{w.up}, Inbox: broker.Name(t, "inbox"), State: broker.Name(t, "state"), Partitions: partitions,
		Owner:      "test",
		Attempt:    attempt.Config{KeyRetention: 20 * time.Hour, Margin: 10 * time.Minute, Quiet: time.Minute},
		RetryFirst: 10 * time.Millisecond, RetryMost: 100 * time.Millisecond, CommitEvery: 50 * time.Millisecond,
		Poll: 100 * time.Millisecond, HoldAfter: 100 * time.Millisecond,
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	w.topics(
		kafka.TopicSpec{Name: w.up, Partitions: 2, Config: map[string]string{"max.message.bytes": "8388608"}},
		kafka.TopicSpec{Name: w.cfg.Inbox, Partitions: partitions}, kafka.TopicSpec{Name: w.results, Partitions: partitions},
		kafka.TopicSpec{Name: w.dead, Partitions: partitions},
		kafka.TopicSpec{Name: w.cfg.State, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"}},
	)
	return w
}

func (w *world) topics(specs ...kafka.TopicSpec) {
	w.t.Helper()
	if _, err := w.client.CreateTopics(w.t.Context(), specs); err != nil {
		w.t.Fatal(err)
	}
}

func closeProducer(t *testing.T, p *kafka.Producer) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_ = p.Close(ctx) // what is under way is given up, as in a crash
}

// member is a running engine, intake or both, with connections and producers of its own.
type member struct {
	stop func() // ends it, and waits; may be called twice
	done chan struct{}
	err  error // of Run, once done is closed

	engine *consumer.Engine // nil if it has none
}

// start runs parts of the bridge: an engine if d is not nil, and an intake if asked for.
func (w *world) start(d *desk, intake bool) *member {
	w.t.Helper()
	client, err := kafka.New(w.kafka)
	if err != nil {
		w.t.Fatal(err)
	}
	results, inbox := client.Producer(kafka.ProducerConfig{}), client.Producer(kafka.ProducerConfig{})
	cfg := w.cfg
	cfg.Client = client
	cfg.Publisher = producer.New(producer.Config{
		Kafka: results, Contract: w.contract, Results: w.results, DeadLetters: w.dead, Partitions: partitions,
		Source: "bridge", Version: "v1",
	})
	m := &member{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(w.t.Context())
	errs := make(chan error, 2)
	running := 0
	run := func(f func(context.Context) error) {
		running++
		go func() { errs <- f(ctx) }()
	}
	if d != nil {
		cfg.Handle, cfg.FollowUp, cfg.Report = d.handle, d.follow, d.report
		m.engine = consumer.NewEngine(cfg)
		run(m.engine.Run)
	}
	if intake {
		run(consumer.NewIntake(cfg, inbox).Run)
	}
	go func() {
		defer close(m.done)
		for range running {
			if err := <-errs; err != nil {
				m.err = err
				cancel()
			}
		}
		closeProducer(w.t, results)
		closeProducer(w.t, inbox)
		client.Close()
	}()
	m.stop = func() {
		cancel()
		<-m.done
	}
	w.t.Cleanup(m.stop)
	return m
}

// event makes an event of upstream.
func (w *world) event(name, id, data string) schemas.Event {
	return schemas.Event{
		ID: id, Source: "/upstream", Type: w.contract.FullType(name), Time: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC),
		Data: []byte(data),
	}
}

// order makes an event about an order, whose subject is that order.
func (w *world) order(customer, order, id string) schemas.Event {
	return w.event(schemas.TypeOrderCreditReleased, id, fmt.Sprintf(`{"customer_id":%q,"order_id":%q}`, customer, order))
}

// linked makes an event about a customer.
func (w *world) linked(customer, id string) schemas.Event {
	return w.event(schemas.TypeCustomerLinked, id,
		fmt.Sprintf(`{"customer_id":%q,"investor_id":"16fd2706-8baf-433b-82eb-8c7fada847da"}`, customer))
}

// redeemed makes an event about a customer's positions.
func (w *world) redeemed(customer, redemption, id string) schemas.Event {
	return w.event(schemas.TypePositionRedeemed, id,
		fmt.Sprintf(`{"customer_id":%q,"redemption_id":%q,"offering":"solar","units":1}`, customer, redemption))
}

// record gives an event as upstream writes it, in binary mode.
func (w *world) record(e schemas.Event) kafka.Record {
	value, headers := e.Binary()
	return kafka.Record{Topic: w.up, Value: value, Headers: headers}
}

// emit writes events to upstream's topic, into its first partition: in that order.
func (w *world) emit(events ...schemas.Event) {
	w.t.Helper()
	var records []kafka.Record
	for _, e := range events {
		records = append(records, w.record(e))
	}
	w.write(records...)
}

// put writes events straight into the inbox, as intake does, and gives their offsets.
func (w *world) put(events ...schemas.Event) []int64 {
	w.t.Helper()
	var records []kafka.Record
	for _, e := range events {
		r := w.record(e)
		var d struct {
			CustomerID string `json:"customer_id"`
		}
		mustDecode(w.t, e.Data, &d)
		r.Topic, r.Key = w.cfg.Inbox, []byte(d.CustomerID)
		r.Partition = kafka.Partition(r.Key, partitions)
		records = append(records, r)
	}
	return w.write(records...)
}

func (w *world) write(records ...kafka.Record) []int64 {
	w.t.Helper()
	offsets, err := w.upstream.Produce(w.t.Context(), records...)
	if err != nil {
		w.t.Fatal(err)
	}
	return offsets
}

// read gives all that a topic holds now, by partition.
func (w *world) read(topic string) []kafka.Record {
	w.t.Helper()
	ends, err := w.client.EndOffset(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	starts, err := w.client.StartOffset(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var records []kafka.Record
	for p := range len(ends) {
		err := w.client.Read(w.t.Context(), topic, p, starts[p], ends[p], func(r kafka.Record) error {
			records = append(records, r)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return records
}

// published gives the results that stand in the topic now.
func (w *world) published() []schemas.Event {
	w.t.Helper()
	var events []schemas.Event
	for _, r := range w.read(w.results) {
		e, err := w.contract.Decode(r.Value, r.Headers)
		if err == nil {
			err = w.contract.ValidateResult(e)
		}
		if err != nil {
			w.t.Errorf("result at %s offset %d: %v", r.TopicPartition(), r.Offset, err)
		}
		events = append(events, e)
	}
	return events
}

// named gives the results of that name.
func (w *world) named(name string) []schemas.Event {
	w.t.Helper()
	var events []schemas.Event
	for _, e := range w.published() {
		if e.Name == name {
			events = append(events, e)
		}
	}
	return events
}

// letters gives the dead letters' headers by the ID of the event, and the records.
func (w *world) letters() (headers []map[string]string, records []kafka.Record) {
	w.t.Helper()
	records = w.read(w.dead)
	for _, r := range records {
		h := map[string]string{}
		for _, header := range r.Headers {
			h[header.Key] = string(header.Value)
		}
		headers = append(headers, h)
	}
	return headers, records
}

// committed waits until the engine's group has committed all that the inbox holds.
func (w *world) committed() {
	w.t.Helper()
	w.caughtUp(w.cfg.Group.ID, w.cfg.Inbox)
}

func (w *world) caughtUp(group, topic string) {
	w.t.Helper()
	w.until("all of "+topic+" is committed", func() bool {
		ends, err := w.client.EndOffset(w.t.Context(), topic)
		if err != nil {
			w.t.Fatal(err)
		}
		offsets, err := w.client.GroupOffsets(w.t.Context(), group, topic)
		if err != nil {
			w.t.Fatal(err)
		}
		for p, end := range ends {
			if offsets[p] != end {
				return false
			}
		}
		return true
	})
}

// until waits for a condition: 2 minutes (a machine may be busy), or 5 minutes of virtual time.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	limit := 2 * time.Minute
	if w.virtual {
		limit = 5 * time.Minute
	}
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// partition gives the partition of a customer.
func (w *world) partition(customer string) int { return kafka.Partition([]byte(customer), partitions) }
