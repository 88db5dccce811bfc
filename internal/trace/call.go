package trace

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	otel "go.opentelemetry.io/otel/trace"
)

// Call is an HTTP request that has ended.
type Call struct {
	Operation string // what the API's client calls it
	Method    string
	Template  string // of the path: "/distributor/v2/investors/{id}/"
	Server    string // host
	Port      int
	Status    int    // 0 if there was no answer
	Class     string // what went wrong; empty for a success
	Took      time.Duration
}

// Call makes the span of a request that has just ended, below the span that ctx has; without one there is none.
func (t *Tracer) Call(ctx context.Context, c Call) {
	if t == nil || !otel.SpanContextFromContext(ctx).IsSampled() {
		return
	}
	now := time.Now()
	_, s := t.tracer.Start(ctx, c.Method+" "+c.Template, otel.WithSpanKind(otel.SpanKindClient), otel.WithTimestamp(now.Add(-c.Took)),
		otel.WithAttributes(attrOperation.String(c.Operation), semconv.HTTPRequestMethodKey.String(c.Method),
			semconv.URLTemplate(c.Template), semconv.ServerAddress(c.Server), semconv.ServerPort(c.Port)))
	if c.Status != 0 {
		s.SetAttributes(semconv.HTTPResponseStatusCode(c.Status))
	}
	if c.Class != "" {
		kind := c.Class
		if c.Status >= 400 {
			kind = strconv.Itoa(c.Status) // as the conventions have it
		}
		s.SetAttributes(semconv.ErrorTypeKey.String(kind))
		s.SetStatus(codes.Error, c.Class)
	}
	s.End(otel.WithTimestamp(now))
}
