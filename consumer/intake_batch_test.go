package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// taking is an intake that is given upstream's records by a test, and an inbox of two partitions.
type taking struct {
	t          *testing.T
	cluster    *kfake.Cluster
	in         *Intake
	assignment *kafka.Assignment
	next       int64 // of upstream's offsets
	given      map[string]kafka.Record
}

// takeIn gives one to a test, while it is a member of its group.
func takeIn(t *testing.T, test func(ctx context.Context, tk *taking)) {
	t.Helper()
	b, err := broker.Start(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client, err := kafka.New(kafka.Config{Brokers: b.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTopics(t.Context(), []kafka.TopicSpec{
		{Name: "upstream", Partitions: 1}, {Name: "inbox", Partitions: 2}, {Name: "dead", Partitions: 1},
	}); err != nil {
		t.Fatal(err)
	}
	inbox := client.Producer(kafka.ProducerConfig{})
	defer func() { _ = inbox.Close(t.Context()) }()
	tk := &taking{t: t, cluster: b.Cluster(), given: map[string]kafka.Record{}, in: NewIntake(Config{
		Client: client, Contract: contract, Upstream: []string{"upstream"}, Inbox: "inbox", Partitions: 2, Group: kafka.GroupConfig{ID: "g"},
		Publisher: producer.New(producer.Config{Kafka: inbox, Contract: contract, DeadLetters: "dead", Partitions: 1}),
	}, inbox)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = client.Group(tk.in.cfg.Group).Run(ctx, func(ctx context.Context, a *kafka.Assignment) error {
		defer cancel()
		tk.assignment = a
		test(ctx, tk)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// events are upstream's next, one of each customer, and of many lengths.
func (tk *taking) events(customers ...string) kafka.Fetched {
	got := kafka.Fetched{TopicPartition: kafka.TopicPartition{Topic: "upstream"}}
	for _, customer := range customers {
		id := fmt.Sprint(strings.Repeat("x", int(tk.next%37)), tk.next)
		e := schemas.Event{
			ID: id, Source: "/" + customer, Type: tk.in.cfg.Contract.FullType(schemas.TypeOrderCreditReleased), Time: time.Unix(1_800_000_000, 0),
			Data: fmt.Appendf(nil, `{"customer_id":%q,"order_id":"o%s"}`, customer, id),
		}
		if tk.next%3 == 0 {
			e.Extensions = map[string]string{"tenant": "of" + id}
			e.TraceParent = fmt.Sprintf("00-%032x-%016x-01", tk.next+1, tk.next+1)
		}
		value, headers := e.Binary()
		got.Records = append(got.Records, kafka.Record{Topic: "upstream", Offset: tk.next, Value: value, Headers: headers})
		more := []kafka.Header{
			{Key: producer.HeaderSourceTopic, Value: []byte("upstream")}, {Key: producer.HeaderSourcePartition, Value: []byte("0")},
			{Key: producer.HeaderSourceOffset, Value: []byte(strconv.FormatInt(tk.next, 10))},
		}
		if e.TraceParent != "" {
			more = append(more, kafka.Header{Key: producer.HeaderTraceParent, Value: []byte(e.TraceParent)})
		}
		tk.given[id] = kafka.Record{Key: []byte(customer), Value: value, Headers: append(headers[:len(headers):len(headers)], more...)}
		tk.next++
	}
	got.Next = tk.next
	return got
}

// check looks whether the inbox has all that was given, byte for byte, and nothing else.
func (tk *taking) check() {
	tk.t.Helper()
	ends, err := tk.in.cfg.Client.EndOffset(tk.t.Context(), "inbox")
	if err != nil {
		tk.t.Error(err)
	}
	found := map[string]bool{}
	for p, end := range ends {
		err := tk.in.cfg.Client.Read(tk.t.Context(), "inbox", p, 0, end, func(r kafka.Record) error {
			e, err := tk.in.cfg.Contract.Decode(r.Value, r.Headers)
			want := tk.given[e.ID]
			if !bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Value, want.Value) || !reflect.DeepEqual(r.Headers, want.Headers) {
				tk.t.Errorf("offset %d/%d: key %q, value %s, headers\n%q, want\n%q", p, r.Offset, r.Key, r.Value, r.Headers, want.Headers)
			}
			found[e.ID] = true
			return err
		})
		if err != nil {
			tk.t.Error(err)
		}
	}
	if len(found) != len(tk.given) {
		tk.t.Errorf("%d events in the inbox, want %d", len(found), len(tk.given))
	}
}

// customerOf gives a customer of a partition of the inbox.
func customerOf(partition int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("customer-", i); kafka.Partition([]byte(id), 2) == partition {
			return id
		}
	}
}

// Each batch has the bytes of its own events, whatever came before it in the same memory, while brokers have batches sent again
// and made anew, and refuse one for its size.
func TestBatchesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	takeIn(t, func(ctx context.Context, tk *taking) {
		faults := []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownProducerID, kerr.MessageTooLarge, kerr.RequestTimedOut}
		for i, n := range []int{1, 400, 3, 40, 1000, 2, 17, 1} {
			var customers []string
			for at := range n { // some have more than a batch takes of one
				customers = append(customers, fmt.Sprint("c", strings.Repeat("-", at%5), at%20))
			}
			if n > 1 { // alone, one that is refused would go to the dead letters
				tk.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "inbox", Err: faults[i%len(faults)]})
			}
			if err := tk.in.take(ctx, tk.assignment, tk.events(customers...)); err != nil {
				t.Error(err)
			}
		}
		tk.check()
	})
}

// A batch that was given up may still be appended: as it was, whatever is appended meanwhile.
func TestBatchGivenUp(t *testing.T) {
	t.Parallel()
	takeIn(t, func(ctx context.Context, tk *taking) {
		one, other := customerOf(0), customerOf(1)
		if err := tk.in.take(ctx, tk.assignment, tk.events(one)); err != nil {
			t.Error(err)
		}
		fault := tk.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		given, giveUp := context.WithCancel(ctx)
		defer giveUp()
		got, gone := tk.events(other, other), make(chan error, 1)
		go func() { gone <- tk.in.take(given, tk.assignment, got) }()
		if err := fault.Wait(ctx, 1); err != nil { // that partition has nobody to write as yet, and the batch's bytes are not made
			t.Error(err)
		}
		giveUp()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for range 20 {
			if err := tk.in.take(ctx, tk.assignment, tk.events(one, one)); err != nil {
				t.Error(err)
			}
		}
		fault.Remove()
		if err := tk.in.take(ctx, tk.assignment, tk.events(other)); err != nil {
			t.Error(err)
		}
		tk.check()
	})
}
