package producer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const partitions = 4

type bench struct {
	t        testing.TB
	client   *kafka.Client
	contract *schemas.Contract
	producer *producer.Producer
	cfg      producer.Config
}

func setup(t testing.TB) *bench {
	t.Helper()
	return setupOn(t, broker.ForTest(t))
}

func setupOn(t testing.TB, brokers []string) *bench {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	p := client.Producer(kafka.ProducerConfig{})
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	cfg := producer.Config{
		Kafka: p, Contract: contract, Results: broker.Name(t, "results"), DeadLetters: broker.Name(t, "dead"),
		Partitions: partitions, Source: "bridge/test", Version: "v1.2.3",
	}
	_, err = client.CreateTopics(t.Context(), []kafka.TopicSpec{
		{Name: cfg.Results, Partitions: partitions}, {Name: cfg.DeadLetters, Partitions: partitions},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, client: client, contract: contract, producer: producer.New(cfg), cfg: cfg}
}

func (b *bench) read(topic string) (records []kafka.Record) {
	b.t.Helper()
	ends, err := b.client.EndOffset(b.t.Context(), topic)
	if err != nil {
		b.t.Fatal(err)
	}
	for p, end := range ends {
		err := b.client.Read(b.t.Context(), topic, p, 0, end, func(r kafka.Record) error {
			records = append(records, r)
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return records
}

// Every result type that the contract knows is written from its JSON, as state keeps it, and reads back as itself.
func TestResultsOfAllTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range schemas.ResultTypes() {
		file, err := schemas.Files().Open("examples/result." + name + "/valid.json")
		if err != nil {
			t.Fatal(err)
		}
		var example struct {
			Data json.RawMessage `json:"data"`
		}
		err = json.NewDecoder(file).Decode(&example)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		result := schemas.Result{
			Name: name, Subject: "customer", Key: name, Time: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC),
			Cause: schemas.Cause{Source: "/s", ID: "e1", CorrelationID: "corr"}, Data: example.Data,
		}
		for range 2 { // and again, as after a crash
			if err := b.producer.Results(t.Context(), "customer-42", result); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	records := b.read(b.cfg.Results)
	if len(records) != 2*len(schemas.ResultTypes()) {
		t.Fatalf("%d records", len(records))
	}
	for i, r := range records {
		if string(r.Key) != "customer-42" || r.Partition != kafka.Partition(r.Key, partitions) {
			t.Errorf("key %q in partition %d", r.Key, r.Partition)
		}
		e, err := b.contract.Decode(r.Value, r.Headers)
		if err == nil {
			err = b.contract.ValidateResult(e)
		}
		if err != nil || e.Name != schemas.ResultTypes()[i/2] || e.Source != "bridge/test" || e.CausationID != "e1" || e.CorrelationID != "corr" {
			t.Errorf("%s: %+v, %v", schemas.ResultTypes()[i/2], e, err)
		}
		if i%2 == 1 && (!bytes.Equal(r.Value, records[i-1].Value) || !reflect.DeepEqual(r.Headers, records[i-1].Headers)) {
			t.Errorf("%s: the repeat has other bytes", e.Name)
		}
	}
}

func TestResultsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := schemas.Result{
		Name: schemas.TypeCustomerRegistered, Subject: "customer", Time: time.Now(),
		Cause: schemas.Cause{Source: "/s", ID: "e"}, Data: schemas.CustomerRegistered{CustomerID: "c", InvestorID: "i"},
	}
	for name, spoil := range map[string]func(*schemas.Result){
		"unknown name":   func(r *schemas.Result) { r.Name, r.Data = "secret.made", json.RawMessage(`{}`) },
		"no JSON":        func(r *schemas.Result) { r.Data = json.RawMessage(`Erika`) },
		"another's type": func(r *schemas.Result) { r.Data = schemas.WalletCreated{} },
		"no cause":       func(r *schemas.Result) { r.Cause = schemas.Cause{} },
	} {
		bad := good
		spoil(&bad)
		if err := b.producer.Results(t.Context(), "c", good, bad); err == nil || strings.Contains(err.Error(), "Erika") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(b.read(b.cfg.Results)); n != 0 {
		t.Errorf("%d results written of lists with a bad one", n)
	}
	if err := b.producer.Results(t.Context(), "c"); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
}

func letter(record kafka.Record) producer.Letter {
	return producer.Letter{
		Record: record, Event: schemas.Event{ID: "e1", Source: "/s", Type: "distributor.order.paid"},
		Reason: outcome.Refused, Class: outcome.ClassClient, Step: "investment", Status: 400, Fields: []string{"units", "wallet"},
		Attempts: 3, FirstFailed: time.Date(2026, 1, 15, 9, 30, 0, 5e8, time.UTC), Failed: time.Date(2026, 1, 15, 10, 0, 0, 0, time.FixedZone("", 3600)),
	}
}

var of = []string{
	"dlq_reason=refused", "dlq_class=client", "dlq_step=investment", "dlq_status=400", "dlq_fields=units,wallet",
	"dlq_attempts=3", "dlq_first_failed_at=2026-01-15T09:30:00.5Z", "dlq_failed_at=2026-01-15T09:00:00Z", "dlq_topic=up",
	"dlq_partition=7", "dlq_offset=42", "dlq_event_id=e1", "dlq_event_source=/s", "dlq_event_type=distributor.order.paid",
	"dlq_replays=0", "dlq_version=v1.2.3",
}

func texts(headers []kafka.Header) (all []string) {
	for _, h := range headers {
		all = append(all, h.Key+"="+string(h.Value))
	}
	return all
}

func TestDead(t *testing.T) {
	t.Parallel()
	mine := []kafka.Header{{Key: "mine", Value: []byte{0, 1}}, {Key: "mine", Value: nil}, {Key: "ce_id", Value: []byte("e1")}}
	many := []kafka.Header{{Key: "blob", Value: make([]byte, 2<<20)}}
	replayed := append(slices.Clone(mine), kafka.Header{Key: "dlq_replays", Value: []byte("2")}, kafka.Header{Key: "dlq_reason", Value: []byte("bug")})
	with := func(more ...string) []string { return append(slices.Clone(of), more...) }
	twice := slices.Clone(of)
	twice[slices.Index(twice, "dlq_replays=0")] = "dlq_replays=2"
	for name, c := range map[string]struct {
		record      kafka.Record
		key, value  []byte
		untouched   []kafka.Header
		headers     []string
		inPartition int
	}{
		"as it came":     {kafka.Record{Key: []byte("k"), Value: []byte("v"), Headers: mine}, []byte("k"), []byte("v"), mine, of, kafka.Partition([]byte("k"), partitions)},
		"nulls":          {kafka.Record{}, nil, nil, nil, of, 42 % partitions},
		"empty":          {kafka.Record{Key: []byte{}, Value: []byte{}}, []byte{}, []byte{}, nil, of, kafka.Partition([]byte{}, partitions)},
		"replayed twice": {kafka.Record{Key: []byte("k"), Headers: replayed}, []byte("k"), nil, mine, twice, kafka.Partition([]byte("k"), partitions)},
		"too large":      {kafka.Record{Key: []byte("k"), Value: make([]byte, 2<<20), Headers: mine}, []byte("k"), nil, mine, with("dlq_payload=left_out"), kafka.Partition([]byte("k"), partitions)},
		"large headers":  {kafka.Record{Key: []byte("k"), Value: []byte("v"), Headers: many}, nil, nil, nil, with("dlq_payload=all_left_out"), kafka.Partition([]byte("k"), partitions)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.record.Topic, c.record.Partition, c.record.Offset = "up", 7, 42
			for range 2 {
				if err := b.producer.Dead(t.Context(), letter(c.record)); err != nil {
					t.Fatal(err)
				}
			}
			records := b.read(b.cfg.DeadLetters)
			if len(records) != 2 {
				t.Fatalf("%d dead letters", len(records))
			}
			for _, r := range records {
				if !bytes.Equal(r.Key, c.key) || (r.Key == nil) != (c.key == nil) || !bytes.Equal(r.Value, c.value) || (r.Value == nil) != (c.value == nil) {
					t.Errorf("key %q, value of %d bytes", r.Key, len(r.Value))
				}
				n := len(c.untouched)
				if len(r.Headers) < n || n > 0 && !reflect.DeepEqual(r.Headers[:n], c.untouched) {
					t.Fatalf("headers %q, want first %q", texts(r.Headers), texts(c.untouched))
				}
				if got := texts(r.Headers[n:]); !slices.Equal(got, c.headers) {
					t.Errorf("headers\n%q, want\n%q", got, c.headers)
				}
				if r.Partition != c.inPartition {
					t.Errorf("in partition %d, want %d", r.Partition, c.inPartition)
				}
			}
		})
	}
}

// What is not known has no header.
func TestDeadLeavesOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	err := b.producer.Dead(t.Context(), producer.Letter{Record: kafka.Record{Topic: "up"}, Reason: outcome.Invalid, Failed: time.Now(), FirstFailed: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range b.read(b.cfg.DeadLetters)[0].Headers {
		if len(h.Value) == 0 || slices.Contains([]string{"dlq_step", "dlq_status", "dlq_fields", "dlq_class", "dlq_event_id"}, h.Key) {
			t.Errorf("header %s: %q", h.Key, h.Value)
		}
	}
}
