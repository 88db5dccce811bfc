package replay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/state"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

const partitions = 2

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is the bridge's topics, and who writes into them as the bridge does.
type world struct {
	t        *testing.T
	cfg      replay.Config
	producer *producer.Producer
	contract *schemas.Contract
	offset   int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: broker.ForTest(t)})
	if err != nil {
		t.Fatal(err)
	}
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, contract: contract, cfg: replay.Config{
		Client: client, Contract: contract,
		Inbox: broker.Name(t, "inbox"), Partitions: partitions, Group: broker.Name(t, "group"), Source: "/b", MaxRecord: 2 << 10,
		Results: broker.Name(t, "results"), DeadLetters: broker.Name(t, "dead"), State: broker.Name(t, "state"),
	}}
	var specs []kafka.TopicSpec
	for _, topic := range []string{w.cfg.Inbox, w.cfg.Results, w.cfg.DeadLetters, w.cfg.State} {
		specs = append(specs, kafka.TopicSpec{Name: topic, Partitions: partitions})
	}
	if _, err := client.CreateTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	kp := client.Producer(kafka.ProducerConfig{})
	w.producer = producer.New(producer.Config{
		Kafka: kp, Contract: contract, Results: w.cfg.Results, DeadLetters: w.cfg.DeadLetters, Partitions: partitions, Source: "/b",
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := kp.Close(ctx); err != nil {
			t.Error(err)
		}
		client.Close()
	})
	return w
}

func (w *world) desk() *replay.Desk { return replay.New(w.cfg) }

// event makes one of upstream's, emitted an hour before now.
func (w *world) event(id, name, data string) schemas.Event {
	e := schemas.Event{
		ID: id, Source: "/shop", Type: w.contract.FullType(name), Name: name, Time: now.Add(-time.Hour),
		DataContentType: "application/json", Data: json.RawMessage(data),
	}
	var ids struct {
		Customer string `json:"customer_id"`
	}
	if err := json.Unmarshal(e.Data, &ids); err != nil {
		w.t.Fatal(err)
	}
	e.CustomerID = ids.Customer
	return e
}

func order(customer, id string) string {
	return fmt.Sprintf(`{"customer_id":%q,"order_id":%q,"offering":"o"}`, customer, id)
}

// die writes an event's letter as the engine does.
func (w *world) die(e schemas.Event, at time.Time, change ...func(*producer.Letter)) {
	w.t.Helper()
	w.offset++
	value, headers := e.Binary()
	l := producer.Letter{
		Record: kafka.Record{
			Topic: "inbox", Partition: kafka.Partition([]byte(e.CustomerID), partitions), Offset: w.offset, Key: []byte(e.CustomerID),
			Value: value, Headers: append(headers, kafka.Header{Key: producer.HeaderSourceTopic, Value: []byte("orders")}),
		},
		Event: e, Reason: outcome.Refused, Class: outcome.ClassClient, Step: "investment", Status: 400, Fields: []string{"units"},
		Attempts: 1, FirstFailed: at, Failed: at,
	}
	for _, c := range change {
		c(&l)
	}
	if err := w.producer.Dead(w.t.Context(), l); err != nil {
		w.t.Fatal(err)
	}
}

// remember writes records of a customer to state.
func (w *world) remember(customer string, records map[string]*state.Record) {
	w.t.Helper()
	s, err := state.Open(w.t.Context(), state.Config{
		Client: w.cfg.Client, Topic: w.cfg.State, Partition: kafka.Partition([]byte(customer), partitions), Partitions: partitions,
		TransactionalID: broker.Name(w.t, "id"), Owner: "test", Lease: time.Minute,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var entries []state.Entry
	for key, r := range records {
		entries = append(entries, state.Entry{Key: key, Record: r})
	}
	if err := s.Write(w.t.Context(), customer, entries...); err != nil {
		w.t.Fatal(err)
	}
	if err := s.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func with(o attempt.Object, work ...attempt.Work) *state.Record {
	r := state.NewRecord()
	r.Object = o
	for _, w := range work {
		r.Put(w)
	}
	return r
}

func (w *world) letters(q replay.Query) []replay.Letter {
	w.t.Helper()
	letters, err := w.desk().Letters(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return letters
}

func names(letters []replay.Letter) (list []string) {
	for i := range letters {
		list = append(list, letters[i].Name())
	}
	return list
}
