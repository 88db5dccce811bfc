// Package trace makes the spans of an event's way, by OpenTelemetry's conventions for messaging and HTTP clients:
//
//	process TOPIC            intake at upstream's record, below upstream's span; without one a trace may begin here
//	└─ send INBOX            its append; the inbox record's traceparent is this span, and state keeps it with the work
//	   ├─ process INBOX      an attempt at the event, each its own
//	   │  ├─ POST …/path/    a call of the API
//	   │  └─ send TOPIC      results, and the dead letter
//	   ├─ follow_up NAME     a look of a follow-up, perhaps days later and by another member
//	   │  └─ GET …/path/
//	   └─ send TOPIC         what is published from state: after a restart, or of what was held
//
// Names are of a closed set. Spans hold the event's identity and the place of its record, the outcome and its reason: no
// customer, no data, no URL but its template, no text of an error.
//
// A nil *Tracer makes no span, and neither does one where the parent is not sampled: then nothing is allocated. The package
// knows the API of OpenTelemetry only: who samples and exports is told to New.
package trace

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	otel "go.opentelemetry.io/otel/trace"
)

// Attributes of our own.
const (
	attrFollow    = attribute.Key("distributor_bridge.follow_up")
	attrOutcome   = attribute.Key("distributor_bridge.outcome")
	attrReason    = attribute.Key("distributor_bridge.reason")
	attrTries     = attribute.Key("distributor_bridge.tries")
	attrOperation = attribute.Key("distributor_bridge.operation")
)

// Tracer makes spans. Safe for concurrent use; nil makes none.
type Tracer struct{ tracer otel.Tracer }

// New makes spans with what samples and exports them, in the name of a version of this program.
func New(provider otel.TracerProvider, version string) *Tracer {
	return &Tracer{provider.Tracer("distributor-bridge", otel.WithInstrumentationVersion(version),
		otel.WithSchemaURL(semconv.SchemaURL))}
}

// Span is a stretch of an event's way. The zero value is none: its methods do nothing.
type Span struct{ span otel.Span }

// Message is a record that is worked on.
type Message struct {
	Topic            string
	Partition        int
	Offset           int64
	Group            string // consumer group
	ID, Source, Type string // of the event; empty if unknown
}

// Take begins intake's span of one of upstream's records. parent is the traceparent that came with it; the sampler decides
// on those without.
func (t *Tracer) Take(parent string, m Message) Span {
	if t == nil {
		return Span{}
	}
	ctx := context.Background()
	if parent != "" {
		remote, ok := sampled(parent)
		if !ok {
			return Span{}
		}
		ctx = otel.ContextWithRemoteSpanContext(ctx, remote)
	}
	return t.begin(ctx, "process "+m.Topic, otel.SpanKindConsumer, m.attributes()...)
}

// Attempt begins the span of one attempt at an event, or at a follow-up of it, and gives the context for what is below it.
// parent is the traceparent that is recorded; follow is the follow-up's name, empty for the event itself.
func (t *Tracer) Attempt(ctx context.Context, parent, follow string, m Message) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	remote, ok := sampled(parent)
	if !ok {
		return ctx, Span{}
	}
	ctx = otel.ContextWithRemoteSpanContext(ctx, remote)
	var s Span
	if follow, _, _ = strings.Cut(follow, "/"); follow == "" { // a wallet's goes on with its address
		s = t.begin(ctx, "process "+m.Topic, otel.SpanKindConsumer, m.attributes()...)
	} else {
		s = t.begin(ctx, "follow_up "+follow, otel.SpanKindInternal, append(m.event(), attrFollow.String(follow))...)
	}
	return s.Under(ctx), s
}

// Send begins the span of writing count records to a topic, below the span that ctx has; without one there is none.
func (t *Tracer) Send(ctx context.Context, topic string, count int) Span {
	if t == nil || !otel.SpanContextFromContext(ctx).IsSampled() {
		return Span{}
	}
	return t.begin(ctx, "send "+topic, otel.SpanKindProducer,
		semconv.MessagingSystemKafka, semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(topic), semconv.MessagingBatchMessageCount(count))
}

// Below gives a context for spans below the recorded traceparent, unless ctx has a span already.
func (t *Tracer) Below(ctx context.Context, parent string) context.Context {
	if t == nil || otel.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	remote, ok := sampled(parent)
	if !ok {
		return ctx
	}
	return otel.ContextWithRemoteSpanContext(ctx, remote)
}

func (t *Tracer) begin(ctx context.Context, name string, kind otel.SpanKind, attributes ...attribute.KeyValue) Span {
	_, s := t.tracer.Start(ctx, name, otel.WithSpanKind(kind), otel.WithAttributes(attributes...))
	if !s.IsRecording() { // the sampler does not want it
		return Span{}
	}
	return Span{s}
}

func (m Message) attributes() []attribute.KeyValue {
	return append(m.event(),
		semconv.MessagingSystemKafka, semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(m.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(m.Partition)),
		semconv.MessagingKafkaOffset(int(m.Offset)), semconv.MessagingConsumerGroupName(m.Group))
}

// event gives the attributes of the event's identity, with room for others.
func (m Message) event() []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 10)
	if m.ID != "" {
		all = append(all, semconv.CloudEventsEventID(m.ID), semconv.CloudEventsEventSource(m.Source), semconv.CloudEventsEventType(m.Type))
	}
	return all
}

// Under gives a context for spans below s.
func (s Span) Under(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return otel.ContextWithSpan(ctx, s.span)
}

// Outcome says how it ended: a verdict, its reason if there is one, and how often it was tried before. trouble marks the
// span as an error.
func (s Span) Outcome(verdict, reason string, tries int, trouble bool) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attrOutcome.String(verdict), attrTries.Int(tries))
	if reason != "" {
		s.span.SetAttributes(attrReason.String(reason))
	}
	if trouble {
		s.Fail(reason)
	}
}

// Fail marks the span as an error, of a kind out of a closed set.
func (s Span) Fail(kind string) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	s.span.SetStatus(codes.Error, kind)
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Parent gives the traceparent for what comes after s; otherwise without a span.
func (s Span) Parent(otherwise string) string {
	if s.span == nil {
		return otherwise
	}
	c := s.span.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// IDs gives the IDs of the trace and of the span, for the log; without a span, the trace of parent, if that is one.
func (s Span) IDs(parent string) (trace, span string) {
	if s.span != nil {
		c := s.span.SpanContext()
		return c.TraceID().String(), c.SpanID().String()
	}
	if len(parent) == parentLen {
		return parent[3:35], ""
	}
	return "", ""
}

const parentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// sampled reads a traceparent; ok is false for one that is not sampled, or not valid.
func sampled(parent string) (c otel.SpanContext, ok bool) {
	if len(parent) != parentLen || parent[:2] == "ff" {
		return c, false
	}
	var flags [1]byte
	if _, err := hex.Decode(flags[:], []byte(parent[53:])); err != nil || !otel.TraceFlags(flags[0]).IsSampled() {
		return c, false
	}
	trace, err := otel.TraceIDFromHex(parent[3:35])
	if err != nil {
		return c, false
	}
	span, err := otel.SpanIDFromHex(parent[36:52])
	if err != nil {
		return c, false
	}
	return otel.NewSpanContext(otel.SpanContextConfig{
		TraceID: trace, SpanID: span, TraceFlags: otel.FlagsSampled, Remote: true,
	}), true
}
