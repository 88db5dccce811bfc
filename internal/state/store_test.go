package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const partitions = 3

// setup gives what opens stores of one partition of a topic of its own.
func setup(t *testing.T, brokers []string) state.Config {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topic := broker.Name(t, "state")
	_, err = client.CreateTopics(t.Context(), []kafka.TopicSpec{{
		Name: topic, Partitions: partitions, Config: map[string]string{"cleanup.policy": "compact"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return state.Config{
		Client: client, Topic: topic, Partition: 1, Partitions: partitions, TransactionalID: broker.Name(t, "id"),
		Owner: "test", Lease: time.Minute,
	}
}

func open(t *testing.T, cfg state.Config) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func write(t *testing.T, s *state.Store, customer string, records map[string]*state.Record) {
	t.Helper()
	var entries []state.Entry
	for key, r := range records {
		entries = append(entries, state.Entry{Key: key, Record: r})
	}
	if err := s.Write(t.Context(), customer, entries...); err != nil {
		t.Fatal(err)
	}
}

// put writes straight to the topic, as nobody should.
func put(t *testing.T, cfg state.Config, key string, value []byte) {
	t.Helper()
	p := cfg.Client.Producer(kafka.ProducerConfig{})
	defer func() { _ = p.Close(context.Background()) }()
	if _, err := p.Produce(t.Context(), kafka.Record{Topic: cfg.Topic, Partition: cfg.Partition, Key: []byte(key), Value: value}); err != nil {
		t.Fatal(err)
	}
}

var now = time.Date(2026, 1, 15, 9, 30, 0, 123e6, time.UTC)

// full gives a record that uses every field.
func full() *state.Record {
	r := state.NewRecord()
	r.Customer = &attempt.Customer{
		InvestorID: "inv", KYC: attempt.KYCSuccess, KYCSince: now, Wallets: []attempt.Wallet{{ID: "w", Managed: true}},
		Parts: map[string]time.Time{"person": now},
	}
	r.Seen = 7
	r.Last = &attempt.Outcome{
		Verdict: outcome.Rejected, Time: now,
		Results: []attempt.Result{{Type: "event.rejected", Subject: "customer", Data: json.RawMessage(`{"a":1}`)}},
		Dead:    &attempt.Dead{Reason: outcome.Refused, Class: outcome.ClassClient, Status: 400, Fields: []string{"iban"}, Tries: 2, Failed: now},
	}
	r.Remember("0123456789abcdef")
	r.Put(attempt.Work{
		Event:  attempt.Event{Source: "/s", ID: "e", Type: "customer.updated", Time: now, Correlation: "c"},
		Offset: 6, Held: outcome.Waiting, Reason: outcome.KYCPending, On: "customer", Since: now, Due: now.Add(time.Hour),
		Tries: 3, Panics: 1, Failed: now, Answers: map[string]json.RawMessage{"document": json.RawMessage(`"d"`)},
		Generation: map[string]int{"investor": 1}, Told: []outcome.Reason{outcome.KYCPending},
	})
	r.Behind = []int64{8, 9}
	return r
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	write(t, s, "c1", map[string]*state.Record{"customer": full(), "order/1": state.NewRecord()})
	write(t, s, "c2", map[string]*state.Record{"customer": state.NewRecord()})
	changed := s.Edit("c2", "customer")
	changed.Seen = 11
	if s.Get("c2", "customer").Seen != -1 {
		t.Error("a record changed before it was written")
	}
	write(t, s, "c2", map[string]*state.Record{"customer": changed})
	if s.Get("c2", "customer").Seen != 11 {
		t.Error("memory does not follow the write")
	}

	again := open(t, cfg)
	if got := again.Get("c1", "customer"); !reflect.DeepEqual(got, full()) {
		t.Errorf("restored %+v, want %+v", got, full())
	}
	if got := again.Get("c2", "customer"); got == nil || got.Seen != 11 {
		t.Errorf("restored %+v, want the last write", got)
	}
	if got, want := again.Customers(), []string{"c1", "c2"}; !slices.Equal(got, want) {
		t.Errorf("customers %v, want %v", got, want)
	}
	if got, want := again.Keys("c1"), []string{"customer", "order/1"}; !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	if again.Get("c1", "nothing") != nil || again.Get("nobody", "customer") != nil {
		t.Error("something is known of nothing")
	}
}

func TestPartitionsAreApart(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	write(t, open(t, cfg), "c1", map[string]*state.Record{"customer": full()})
	cfg.Partition, cfg.TransactionalID = 2, cfg.TransactionalID+"-2"
	if got := open(t, cfg).Customers(); len(got) != 0 {
		t.Errorf("another partition knows %v", got)
	}
}

func TestFenced(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	old := open(t, cfg)
	write(t, old, "c1", map[string]*state.Record{"customer": full()})
	current := open(t, cfg)

	late := state.NewRecord()
	late.Seen = 99
	if err := old.Write(t.Context(), "c1", state.Entry{Key: "customer", Record: late}); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the older owner's write: %v, want ErrFenced", err)
	}
	if err := old.Renew(t.Context()); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("the older owner's claim: %v, want ErrFenced", err)
	}
	if got := old.Get("c1", "customer").Seen; got != 7 {
		t.Errorf("memory changed to %d by a write that was refused", got)
	}
	write(t, current, "c2", map[string]*state.Record{"customer": full()})
	if got := open(t, cfg).Get("c1", "customer"); got == nil || got.Seen != 7 {
		t.Errorf("restored %+v, want what the older owner wrote when it was one", got)
	}
}

// A start with another number of partitions is refused, and spoils nothing: the right number goes on, and whoever owns
// the partition meanwhile is not disturbed.
func TestOtherPartitions(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	owner := open(t, cfg)
	write(t, owner, "c1", map[string]*state.Record{"customer": full()})
	wrong := cfg
	wrong.Partitions = 4
	for range 2 {
		if _, err := state.Open(t.Context(), wrong); !errors.Is(err, state.ErrPartitions) {
			t.Errorf("another number of partitions: %v, want ErrPartitions", err)
		}
	}
	write(t, owner, "c2", map[string]*state.Record{"customer": full()})
	if got := open(t, cfg).Customers(); !slices.Equal(got, []string{"c1", "c2"}) {
		t.Errorf("restored %v", got)
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	cfg := setup(t, b.Addrs())
	s := open(t, cfg)
	write(t, s, "c1", map[string]*state.Record{"customer": full()})
	b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: cfg.Topic, Err: kerr.TopicAuthorizationFailed})
	changed := s.Edit("c1", "customer")
	changed.Seen = 99
	err = s.Write(t.Context(), "c1", state.Entry{Key: "customer", Record: changed}, state.Entry{Key: "order/1", Record: full()})
	if !errors.Is(err, kafka.ErrDenied) {
		t.Fatalf("write: %v", err)
	}
	if s.Get("c1", "customer").Seen != 7 || s.Get("c1", "order/1") != nil {
		t.Error("memory changed")
	}
	if got := open(t, cfg).Get("c1", "customer"); got == nil || got.Seen != 7 {
		t.Errorf("restored %+v", got)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, fresh := range []bool{true, false} {
		t.Run(fmt.Sprint("fresh=", fresh), func(t *testing.T) {
			t.Parallel()
			cfg := setup(t, broker.ForTest(t))
			if !fresh {
				cfg.Lease = time.Nanosecond
			}
			s := open(t, cfg)
			before := end(t, cfg)
			until, err := s.Ready(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(until); left > cfg.Lease {
				t.Errorf("calls may be sent for %s more, the lease is %s", left, cfg.Lease)
			}
			if claimed := end(t, cfg) > before; claimed == fresh {
				t.Errorf("a claim was written: %v", claimed)
			}
			open(t, cfg) // takes over
			if _, err := s.Ready(t.Context()); !fresh && !errors.Is(err, kafka.ErrFenced) {
				t.Errorf("after a takeover: %v, want ErrFenced", err)
			}
		})
	}
}

func end(t *testing.T, cfg state.Config) int64 {
	t.Helper()
	ends, err := cfg.Client.EndOffset(t.Context(), cfg.Topic)
	if err != nil {
		t.Fatal(err)
	}
	return ends[cfg.Partition]
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	write(t, open(t, cfg), "c1", map[string]*state.Record{"customer": full(), "order/1": full()})
	put(t, cfg, "c1/order/1", nil)
	put(t, cfg, "nobody/customer", nil)
	s := open(t, cfg)
	if s.Get("c1", "order/1") != nil || s.Get("c1", "customer") == nil {
		t.Errorf("keys %v, want the customer alone", s.Keys("c1"))
	}
}

func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, value, want string }{
		"later version": {"c1/customer", `{"v":4,"seen":1}`, "newer bridge"},
		"no JSON":       {"c1/customer", `{"v":1,"secret"`, "not readable"},
		"no claim":      {"claim", `{`, "not readable"},
		"strange key":   {"secret", `{"v":1}`, "unknown form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t, broker.ForTest(t))
			put(t, cfg, c.key, []byte(c.value))
			_, err := state.Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("opened with %v, want an error that says %q and no value", err, c.want)
			}
		})
	}
}

// journal is what a run needs to look at an intent.
type journal struct {
	attempt.Journal
	written *attempt.Work // by the last intent
}

func (journal) Object(string) attempt.Object { return attempt.Object{} }
func (j journal) Intend(_ context.Context, w attempt.Work, _ []attempt.Entry) error {
	if j.written != nil {
		*j.written = w
	}
	return nil
}
func (journal) Ready(ctx context.Context) (context.Context, error) { return ctx, nil }

// An intent that was read back is in doubt: nobody knows how far its call got. One of this owner is not.
func TestInheritedIntent(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	rules := attempt.Config{KeyRetention: 20 * time.Hour, Margin: 10 * time.Minute, Quiet: time.Minute}
	refuse := func(w attempt.Work) outcome.Verdict {
		run := attempt.New(rules, journal{}, w)
		_, err := attempt.Do(t.Context(), run, "investor", nil, func(attempt.Refs) int { return 1 },
			func(context.Context, uuid.UUID, int) (string, error) { return "", outcome.Reject(outcome.Refused) })
		return outcome.Of(err).Verdict
	}
	var intended attempt.Work // as it is in the midst of the call
	begun := attempt.Work{Event: attempt.Event{Source: "/s", ID: "e"}, Offset: 3}
	run := attempt.New(rules, journal{written: &intended}, begun)
	_, _ = attempt.Do(t.Context(), run, "investor", nil, func(attempt.Refs) int { return 1 },
		func(context.Context, uuid.UUID, int) (string, error) { return "", outcome.Reject(outcome.Refused) })
	r := state.NewRecord()
	r.Put(intended)
	write(t, s, "c1", map[string]*state.Record{"customer": r})
	if got := refuse(s.Get("c1", "customer").Work[0]); got != outcome.Rejected {
		t.Errorf("own intent: a refusal is %v", got)
	}
	if got := refuse(open(t, cfg).Get("c1", "customer").Work[0]); got != outcome.Retrying {
		t.Errorf("inherited intent: a refusal is %v, want retrying until all is quiet", got)
	}
}

func TestRestoreAfterCompaction(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	cfg := setup(t, b.Addrs())
	s := open(t, cfg)
	for seen := range int64(50) {
		r := state.NewRecord()
		r.Seen = seen
		write(t, s, "c1", map[string]*state.Record{"customer": r, fmt.Sprintf("order/%d", seen%5): r.Clone()})
	}
	count := func() (n int) {
		err := cfg.Client.Read(t.Context(), cfg.Topic, cfg.Partition, 0, end(t, cfg), func(kafka.Record) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	b.Cluster().Compact()
	if after := count(); after >= before {
		t.Fatalf("%d records, and %d after compaction", before, after)
	}
	again := open(t, cfg)
	if got := again.Get("c1", "customer"); got == nil || got.Seen != 49 {
		t.Errorf("restored %+v", got)
	}
	for i := range int64(5) {
		if got := again.Get("c1", fmt.Sprintf("order/%d", i)); got == nil || got.Seen != 45+i {
			t.Errorf("restored order %d as %+v", i, got)
		}
	}
	wrong := cfg
	wrong.Partitions = 4
	if _, err := state.Open(t.Context(), wrong); !errors.Is(err, state.ErrPartitions) {
		t.Errorf("another number of partitions after compaction: %v", err)
	}
}
