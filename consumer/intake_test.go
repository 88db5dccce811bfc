package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
)

// Valid events of both modes are in the inbox in binary mode, keyed by customer, with where they came from.
func TestIntake(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	w.start(nil, true)
	e := w.order("c1", "o1", "structured")
	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.Extensions = map[string]string{"tenant": "a"}
	value, headers := e.Structured()
	w.write(
		kafka.Record{Topic: w.up, Partition: 1, Key: []byte("any"), Value: value, Headers: []kafka.Header{{Key: headers[0].Key, Value: headers[0].Value}}},
		w.record(w.order("c2", "o1", "binary")))
	w.caughtUp(w.cfg.Group.ID+"-intake", w.up)
	records := w.read(w.cfg.Inbox)
	if len(records) != 2 {
		t.Fatalf("%d records in the inbox", len(records))
	}
	for _, r := range records {
		h := map[string]string{}
		for _, header := range r.Headers {
			h[header.Key] = string(header.Value)
		}
		want := map[string]string{"ce_id": "binary", "source_topic": w.up, "source_partition": "0", "source_offset": "0",
			"content-type": "application/json", "ce_source": "/upstream"}
		customer := "c2"
		if h["ce_id"] == "structured" {
			customer = "c1"
			want["ce_id"], want["source_partition"], want["ce_tenant"], want["ce_traceparent"] = "structured", "1", "a", e.TraceParent
		}
		for key, value := range want {
			if h[key] != value {
				t.Errorf("header %s: %q, want %q", key, h[key], value)
			}
		}
		if string(r.Key) != customer || r.Partition != w.partition(customer) {
			t.Errorf("key %q in partition %d", r.Key, r.Partition)
		}
		if want := fmt.Sprintf(`{"customer_id":%q,"order_id":"o1"}`, customer); string(r.Value) != want {
			t.Errorf("value %s, want %s", r.Value, want)
		}
	}
}

// What is no valid event goes to the dead letters as it came, and the next one goes on.
func TestIntakeDeadLetters(t *testing.T) {
	t.Parallel()
	for _, unknown := range []bool{false, true} {
		t.Run(fmt.Sprint("unknown types to the dead letters: ", unknown), func(t *testing.T) {
			t.Parallel()
			w := sockets(t)
			w.cfg.DeadLetterUnknown = unknown
			d := newDesk(t, nil)
			w.start(d, true)

			invalid := w.record(w.event("order.credit_released", "invalid", `{"customer_id":"c1","secret":"Erika"}`))
			invalid.Key = []byte("k")
			invalid.Headers = append(invalid.Headers, kafka.Header{Key: "mine", Value: []byte{0, 255}}, kafka.Header{Key: "mine", Value: nil})
			other := w.record(w.event("coffee.spilled", "unknown", `{"anything":1}`))
			garbage := kafka.Record{Topic: w.up, Value: []byte{0xff, 0x00, 'x'}, Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
			large := w.record(w.event("order.credit_released", "large", `{"customer_id":"c1","order_id":"o1"}`+strings.Repeat(" ", 2<<20)))
			huge := w.record(w.order("c1", "o1", "huge")) // even its headers are too large
			huge.Headers = append(huge.Headers, kafka.Header{Key: "blob", Value: bytes.Repeat([]byte("x"), 2<<20)})
			huge.Value = []byte("{")
			for _, r := range []kafka.Record{invalid, other, garbage, large, huge, w.record(w.order("c1", "o1", "next"))} {
				w.write(r)
			}
			w.until("the next is done", d.finished("next"))
			w.caughtUp(w.cfg.Group.ID+"-intake", w.up)

			want := map[string]map[string]string{
				"0": {"dlq_reason": "invalid", "dlq_class": "event", "dlq_event_id": "invalid", "dlq_event_source": "/upstream",
					"dlq_event_type": "distributor.order.credit_released", "dlq_attempts": "1", "dlq_replays": "0", "dlq_version": "v1",
					"dlq_topic": w.up, "dlq_partition": "0", "dlq_payload": ""},
				"2": {"dlq_class": "event", "dlq_event_id": "", "dlq_payload": ""},
				"3": {"dlq_reason": "too_large", "dlq_event_id": "large", "dlq_payload": "left_out"},
				"4": {"dlq_reason": "invalid", "dlq_event_id": "huge", "dlq_payload": "all_left_out"},
			}
			if unknown {
				want["1"] = map[string]string{"dlq_reason": "unknown_type", "dlq_event_id": "unknown", "dlq_fields": ""}
			}
			headers, records := w.letters()
			sent := map[string]kafka.Record{"0": invalid, "1": other, "2": garbage, "3": large, "4": huge}
			for i, h := range headers {
				at := h["dlq_offset"]
				if want[at] == nil {
					t.Errorf("dead letter %v", h)
					continue
				}
				for key, value := range want[at] {
					if h[key] != value {
						t.Errorf("offset %s: %s is %q, want %q", at, key, h[key], value)
					}
				}
				delete(want, at)
				for _, key := range []string{"dlq_first_failed_at", "dlq_failed_at"} {
					if _, err := time.Parse(time.RFC3339Nano, h[key]); err != nil {
						t.Errorf("offset %s: %s: %v", at, key, err)
					}
				}
				if !bytes.Equal(records[i].Key, sent[at].Key) || (records[i].Key == nil) != (sent[at].Key == nil) {
					t.Errorf("offset %s: key %q, want %q", at, records[i].Key, sent[at].Key)
				}
				if h["dlq_payload"] == "" && !bytes.Equal(records[i].Value, sent[at].Value) {
					t.Errorf("offset %s: value %q, want %q", at, records[i].Value, sent[at].Value)
				}
				untouched := records[i].Headers[:min(len(sent[at].Headers), len(records[i].Headers))]
				same := slices.EqualFunc(untouched, sent[at].Headers, func(a, b kafka.Header) bool {
					return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
				})
				if at != "4" && !same {
					t.Errorf("offset %s: headers %v, want those of the record first", at, untouched)
				}
				if at == "0" && (!strings.Contains(h["dlq_fields"], "/data/order_id required") || strings.Contains(fmt.Sprint(h), "Erika")) {
					t.Errorf("fields %q", h["dlq_fields"])
				}
			}
			if len(want) > 0 {
				t.Errorf("no dead letters of %v", want)
			}
			skipped := d.told(func(r consumer.Report) bool {
				return r.Stage == consumer.StageIntake && r.Error != nil && r.Error.Reason == outcome.UnknownType
			})
			if len(skipped) != 1 {
				t.Errorf("%d reports of an unknown type", len(skipped))
			}
		})
	}
}

// Stopped between append and commit: the repeat stands in the inbox, and is known.
func TestIntakeRestartBeforeCommit(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.cfg.Drain = 100 * time.Millisecond
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: w.cfg.Group.ID + "-intake", Count: -1, Err: kerr.NotCoordinator,
	})
	m := w.start(nil, true)
	w.emit(w.order("c1", "o1", "e1"), w.order("c1", "o1", "e2"))
	if err := h.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.stop()
	h.Remove()
	d := newDesk(t, nil)
	w.start(d, true)
	w.caughtUp(w.cfg.Group.ID+"-intake", w.up)
	w.committed()
	if n := len(w.read(w.cfg.Inbox)); n != 4 {
		t.Fatalf("%d records in the inbox, want each event twice", n)
	}
	if got := d.attempts(); !slices.Equal(got, []string{"e1", "e2"}) {
		t.Errorf("handled %v", got)
	}
}

// A topic that does not exist is left out and looked for again; the others go on.
func TestIntakeTopicAppears(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	late := broker.Name(t, "late")
	w.cfg.Upstream = append(w.cfg.Upstream, late)
	d := newDesk(t, nil)
	w.start(d, true)
	w.emit(w.order("c1", "o1", "e1"))
	w.until("others go on", d.finished("e1"))
	w.topics(kafka.TopicSpec{Name: late, Partitions: 1})
	r := w.record(w.order("c1", "o1", "e2"))
	r.Topic = late
	w.write(r)
	w.until("it is found", d.finished("e2"))
	w.emit(w.order("c1", "o1", "e3"))
	w.until("the first goes on", d.finished("e3"))
}

// Follow-ups are polled, their news is published once, over restarts, and they are gone at their end.
func TestFollowUps(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		w.cfg.Poll = 5 * time.Second
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			run.Follow(attempt.KeyCustomer, "kyc")
			return nil
		})
		d.looks = func(_ context.Context, run *attempt.Run, nth int) error {
			if nth == 3 || nth == 6 {
				run.Customer().KYC = fmt.Sprint("STATUS-", nth)
				if err := registered(run); err != nil {
					return err
				}
			}
			if nth < 6 {
				return outcome.Wait(outcome.StatusPending, "")
			}
			return nil
		}
		began := time.Now()
		m := w.start(d, false)
		w.put(w.linked("c1", "e1"))
		w.until("there is news", func() bool { return d.tried("e1 kyc") == 4 })
		if took := time.Since(began); took < 15*time.Second || took > 20*time.Second {
			t.Errorf("four looks took %s", took)
		}
		m.stop()
		m = w.start(d, false)
		w.until("it has ended", d.finished("e1 kyc"))
		w.until("it is told", func() bool { return len(w.named("customer.registered")) == 2 })
		time.Sleep(time.Minute)
		m.stop()
		w.start(d, false)
		time.Sleep(time.Minute)
		if n := d.tried("e1 kyc"); n != 6 {
			t.Errorf("%d looks, want 6", n)
		}
		told := w.named("customer.registered")
		if len(told) != 2 || told[0].ID == told[1].ID || told[0].CausationID != "e1" {
			t.Errorf("told %+v", told)
		}
	})
}

// While the inbox takes nothing, upstream's lag is told as it grows, and not as it was when that began.
func TestIntakeLagGrows(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := w.counted()
		w.start(nil, true)
		w.emit(w.linked("c1", "before"))
		w.caughtUp(w.cfg.Group.ID+"-intake", w.up)
		var cures []func()
		for p := range int32(partitions) {
			cures = append(cures, w.faulty(kmsg.Produce, w.cfg.Inbox, p, kerr.NotLeaderForPartition))
		}
		for i := range 10 {
			w.emit(w.linked("c1", fmt.Sprint("stands ", i)))
			time.Sleep(time.Minute)
			if n := w.number(registry, "intake_lag_records"); n != float64(i+1) {
				t.Errorf("after %d events the lag is %v", i+1, n)
			}
		}
		for _, cure := range cures {
			cure()
		}
		w.until("all are taken in", func() bool { return w.number(registry, "intake_lag_records") == 0 })
	})
}
