package trace_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otel "go.opentelemetry.io/otel/trace"

	"distributor-bridge/internal/trace"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

var message = trace.Message{
	Topic: "orders", Partition: 3, Offset: 42, Group: "bridge", ID: "e1", Source: "/shop", Type: "distributor.order.paid",
}

func record() (*trace.Tracer, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	return trace.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), "v1"), spans
}

// way is what intake and the engine do for an event.
func way(t *trace.Tracer, parent string) {
	taken := t.Take(parent, message)
	sent := t.Send(taken.Under(context.Background()), "inbox", 1)
	sent.End()
	taken.End()
	parent = sent.Parent(parent)
	ctx, attempt := t.Attempt(context.Background(), parent, "", message)
	t.Call(ctx, trace.Call{
		Operation: "create_wallet", Method: "POST", Template: "/v2/investors/{id}/wallets/", Server: "api.example.com", Port: 443,
		Status: 400, Class: "client", Took: time.Second,
	})
	results := t.Send(t.Below(ctx, parent), "results", 2)
	results.Fail("not_written")
	results.End()
	attempt.IDs(parent)
	attempt.Outcome("waiting", "kyc_pending", 1, false)
	attempt.End()
	_, follow := t.Attempt(context.Background(), parent, "wallet/0xabc", message)
	follow.Outcome("rejected", "refused", 0, true)
	follow.End()
	t.Send(t.Below(context.Background(), parent), "dead", 1).End()
}

// Without a tracer, and for what upstream does not sample, nothing is allocated: most of all not in the hot path.
func TestOffCostsNothing(t *testing.T) {
	on, spans := record()
	for name, c := range map[string]struct {
		tracer *trace.Tracer
		parent string
	}{
		"no tracer, no trace": {nil, ""},
		"no tracer":           {nil, sampled},
		"not sampled":         {on, unsampled},
	} {
		if n := testing.AllocsPerRun(1000, func() { way(c.tracer, c.parent) }); n != 0 {
			t.Errorf("%s: %v allocations an event, want none", name, n)
		}
	}
	if n := len(spans.Started()); n != 0 {
		t.Errorf("%d spans of what is not sampled", n)
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		way(nil, sampled)
	}
}

func BenchmarkOn(b *testing.B) {
	on := trace.New(sdk.NewTracerProvider(), "v1")
	b.ReportAllocs()
	for b.Loop() {
		way(on, sampled)
	}
}

// Spans have the names, kinds and attributes of the conventions, and hang together.
func TestSpans(t *testing.T) {
	tracer, spans := record()
	way(tracer, sampled)
	event := map[string]any{
		"cloudevents.event_id": "e1", "cloudevents.event_source": "/shop", "cloudevents.event_type": "distributor.order.paid",
	}
	processed := with(event, map[string]any{
		"messaging.system": "kafka", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "orders", "messaging.destination.partition.id": "3", "messaging.kafka.offset": int64(42),
		"messaging.consumer.group.name": "bridge",
	})
	sent := func(topic string, n int64, more map[string]any) map[string]any {
		return with(more, map[string]any{
			"messaging.system": "kafka", "messaging.operation.name": "send", "messaging.operation.type": "send",
			"messaging.destination.name": topic, "messaging.batch.message_count": n,
		})
	}
	want := []struct {
		name, parent string
		kind         otel.SpanKind
		status       codes.Code
		attributes   map[string]any
	}{
		{"process orders", "", otel.SpanKindConsumer, codes.Unset, processed},
		{"send inbox", "process orders", otel.SpanKindProducer, codes.Unset, sent("inbox", 1, nil)},
		{"process orders", "send inbox", otel.SpanKindConsumer, codes.Unset, with(processed, map[string]any{
			"distributor_bridge.outcome": "waiting", "distributor_bridge.reason": "kyc_pending", "distributor_bridge.tries": int64(1),
		})},
		{"POST /v2/investors/{id}/wallets/", "process orders", otel.SpanKindClient, codes.Error, map[string]any{
			"http.request.method": "POST", "url.template": "/v2/investors/{id}/wallets/", "server.address": "api.example.com",
			"server.port": int64(443), "http.response.status_code": int64(400), "error.type": "400",
			"distributor_bridge.operation": "create_wallet",
		}},
		{"send results", "process orders", otel.SpanKindProducer, codes.Error, sent("results", 2, map[string]any{"error.type": "not_written"})},
		{"follow_up wallet", "send inbox", otel.SpanKindInternal, codes.Error, with(event, map[string]any{
			"distributor_bridge.follow_up": "wallet", "distributor_bridge.outcome": "rejected", "distributor_bridge.reason": "refused",
			"distributor_bridge.tries": int64(0), "error.type": "refused",
		})},
		{"send dead", "send inbox", otel.SpanKindProducer, codes.Unset, sent("dead", 1, nil)},
	}
	got := spans.Started()
	if len(got) != len(want) || len(spans.Ended()) != len(want) {
		t.Fatalf("%d spans, %d ended, want %d", len(got), len(spans.Ended()), len(want))
	}
	names := map[otel.SpanID]string{}
	for i, w := range want {
		s := got[i]
		names[s.SpanContext().SpanID()] = s.Name()
		if s.Name() != w.name || names[s.Parent().SpanID()] != w.parent || s.SpanKind() != w.kind || s.Status().Code != w.status {
			t.Errorf("span %d is %s below %q, %s, %s; want %+v", i, s.Name(), names[s.Parent().SpanID()], s.SpanKind(), s.Status().Code, w)
		}
		if s.SpanContext().TraceID().String() != sampled[3:35] {
			t.Errorf("%s is of trace %s", s.Name(), s.SpanContext().TraceID())
		}
		if have := values(s.Attributes()); !same(have, w.attributes) {
			t.Errorf("%s has\n%v, want\n%v", s.Name(), have, w.attributes)
		}
	}
	if root := got[0].Parent(); root.SpanID().String() != sampled[36:52] || !root.IsRemote() {
		t.Errorf("the first span is below %v, want upstream's", root)
	}
	if call := got[3]; got[3].EndTime().Sub(call.StartTime()) != time.Second {
		t.Errorf("the call took %s", call.EndTime().Sub(call.StartTime()))
	}
}

// What is no traceparent begins nothing in the engine, and is none of ours in the log.
func TestNoTraceParent(t *testing.T) {
	tracer, spans := record()
	for _, parent := range []string{
		"", "x", unsampled, "ff" + sampled[2:], "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", sampled[:53] + "zz",
	} {
		ctx, s := tracer.Attempt(t.Context(), parent, "", message)
		if s != (trace.Span{}) || ctx != t.Context() || tracer.Below(ctx, parent) != ctx {
			t.Errorf("%q made a span", parent)
		}
		if got := s.Parent(parent); got != parent {
			t.Errorf("%q became %q", parent, got)
		}
	}
	if trace, span := (trace.Span{}).IDs("x"); trace != "" || span != "" {
		t.Errorf("x is of trace %q, span %q", trace, span)
	}
	if n := len(spans.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func values(attributes []attribute.KeyValue) map[string]any {
	all := map[string]any{}
	for _, a := range attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

func with(a, b map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range []map[string]any{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func same(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
