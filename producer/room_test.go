package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
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

// registered is a result that can be told from all others, and has another length than many of them.
func registered(customer string, n int) schemas.Result {
	id := fmt.Sprint(customer, " ", n)
	return schemas.Result{
		Name: schemas.TypeCustomerRegistered, Subject: schemas.SubjectCustomer, Time: time.Date(2026, 1, 15, 9, 30, 0, n, time.UTC),
		Cause: schemas.Cause{
			Source: "/" + customer, ID: id, CorrelationID: strings.Repeat("x", n%50) + id, TraceParent: fmt.Sprintf("00-%032x-%016x-01", n+1, n+1),
		},
		Data: schemas.CustomerRegistered{CustomerID: customer, InvestorID: id},
	}
}

// faked is a bench on a broker that can be made to fail.
func faked(t *testing.T) (*bench, *kfake.Cluster) {
	t.Helper()
	b, err := broker.Start(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return setupOn(t, b.Addrs()), b.Cluster()
}

// checkResults looks whether the topic has all of these results, byte for byte, and nothing else.
func (b *bench) checkResults(results ...schemas.Result) {
	b.t.Helper()
	want := map[string]schemas.Event{}
	for _, r := range results {
		r.Source = b.cfg.Source
		e, err := b.contract.NewResult(r)
		if err != nil {
			b.t.Fatal(err)
		}
		want[e.ID] = e
	}
	found := map[string]bool{}
	for _, r := range b.read(b.cfg.Results) {
		got, err := b.contract.Decode(r.Value, r.Headers)
		if err != nil {
			b.t.Errorf("%q: %v", texts(r.Headers), err)
			continue
		}
		e, ok := want[got.ID]
		value, headers := e.Binary()
		headers = append(headers, kafka.Header{Key: producer.HeaderTraceParent, Value: []byte(e.TraceParent)})
		if !ok || string(r.Key) != e.CustomerID || !bytes.Equal(r.Value, value) || !reflect.DeepEqual(r.Headers, headers) {
			b.t.Errorf("key %q, value %s, headers\n%q, want\n%q", r.Key, r.Value, texts(r.Headers), texts(headers))
		}
		found[got.ID] = true
	}
	if len(found) != len(want) {
		b.t.Errorf("%d results in the log, want %d", len(found), len(want))
	}
}

// Results of many at once keep their bytes, while brokers have them sent again, and made anew.
func TestResultsOfManyAtOnce(t *testing.T) {
	t.Parallel()
	b, cluster := faked(t)
	const customers, each = 32, 30
	var all []schemas.Result
	var writers sync.WaitGroup
	for i := range customers {
		customer := fmt.Sprint("customer", strings.Repeat("-", i), i)
		var mine []schemas.Result
		for n := range each {
			mine = append(mine, registered(customer, i*each+n))
		}
		all = append(all, mine...)
		writers.Go(func() {
			for n := 0; n < each; n += 3 { // one, then two together
				for _, few := range [][]schemas.Result{mine[n : n+1], mine[n+1 : n+3]} {
					if err := b.producer.Results(t.Context(), customer, few...); err != nil {
						t.Error(err)
					}
				}
				if fault := []*kerr.Error{kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.UnknownProducerID}[i%3]; n == 3*i%each {
					cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.cfg.Results, Err: fault})
				}
			}
		})
	}
	writers.Wait()
	b.checkResults(all...)
}

// A result that was given up may still be written: with its own bytes, whatever is published meanwhile.
func TestResultsGivenUp(t *testing.T) {
	t.Parallel()
	b, cluster := faked(t)
	all := []schemas.Result{registered("a", 0)}
	if err := b.producer.Results(t.Context(), "a", all...); err != nil {
		t.Fatal(err)
	}
	other := "b"
	for kafka.Partition([]byte(other), partitions) == kafka.Partition([]byte("a"), partitions) {
		other += "b"
	}
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := make(chan error, 1)
	go func() { gone <- b.producer.Results(ctx, other, registered(other, 1000)) }()
	if err := fault.Wait(t.Context(), 1); err != nil { // its partition has nobody to write as yet, and its batch is not made
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for n := range 20 {
		all = append(all, registered("a", n+1))
		if err := b.producer.Results(t.Context(), "a", all[n+1]); err != nil {
			t.Fatal(err)
		}
	}
	fault.Remove()
	all = append(all, registered(other, 1000), registered(other, 1001))
	if err := b.producer.Results(t.Context(), other, registered(other, 1001)); err != nil {
		t.Fatal(err)
	}
	b.checkResults(all...)
}

// BenchmarkResults is what the publication of one result costs, with the part of the broker that runs in this process.
func BenchmarkResults(b *testing.B) {
	s := setup(b)
	result := registered("c", 1)
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.producer.Results(b.Context(), "c", result); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
