// Package otlp samples spans and exports them by OTLP (http/protobuf) to a collector. It is the only one that knows
// OpenTelemetry's SDK.
//
// What it guarantees: making and ending a span never waits for the collector. Spans wait in a queue with an end; what does not
// fit, and what the collector does not take, is dropped and counted. At the end there is a limited time to send what waits.
package otlp

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"distributor-bridge/internal/trace"
)

// Limits of what waits, and for how long. A span takes some 2 kB.
const (
	queueLen   = 2048
	batchLen   = 512
	batchAfter = 5 * time.Second  // a span waits no longer for others
	tryFor     = 30 * time.Second // to send one batch, repeats included
	callLimit  = 10 * time.Second // of one request
	flushFor   = 3 * time.Second  // at the end, for all that waits
)

// Config says where spans go. Endpoint and Service are required.
type Config struct {
	Endpoint string // URL; Path is added if it has none
	// Headers gives the headers of each request, such as a token; nil: none. It is asked for each, so that they may change.
	Headers func() (map[string]string, error)
	TLS     *tls.Config // for https; nil: the system's certificates
	Sample  float64     // share of traces that begin here which are kept; one that upstream has begun is as upstream says
	Service string      // service.name
	Version string      // service.version
	Member  string      // service.instance.id
	// Dial opens connections; nil is the network.
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Registry prometheus.Registerer // of the number of spans; nil: nowhere
	Log      zerolog.Logger
}

// Exporter takes the spans that end, and sends them while Run runs.
type Exporter struct {
	cfg      Config
	provider *sdk.TracerProvider
	queue    chan sdk.ReadOnlySpan
	client   *client
	out      sdk.SpanExporter
	spans    *prometheus.CounterVec
	failing  bool // of Run: the last batch was not taken
}

// What became of a span, as the number's label has it.
const (
	exported = "exported"
	dropped  = "dropped" // the queue was full, or the end came
	failed   = "failed"  // the collector did not take it
)

// New starts nothing, and connects to nothing.
func New(cfg Config) *Exporter {
	c := newClient(cfg)
	e := &Exporter{
		cfg: cfg, queue: make(chan sdk.ReadOnlySpan, queueLen), client: c, out: otlptrace.NewUnstarted(c),
		spans: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "distributor_bridge", Name: "trace_spans_total",
			Help: "Spans that ended, by what became of them: exported; dropped, since too many were waiting; failed, since the " +
				"collector did not take them.",
		}, []string{"result"}),
	}
	for _, result := range []string{exported, dropped, failed} {
		e.spans.WithLabelValues(result)
	}
	e.provider = sdk.NewTracerProvider(
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(cfg.Sample))),
		sdk.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName(cfg.Service), semconv.ServiceVersion(cfg.Version), semconv.ServiceInstanceID(cfg.Member))),
		sdk.WithSpanProcessor(e))
	return e
}

// Tracer makes the spans; a nil Exporter's makes none.
func (e *Exporter) Tracer() *trace.Tracer {
	if e == nil {
		return nil
	}
	return trace.New(e.provider, e.cfg.Version)
}

// Run sends what ends until ctx ends, then what waits, for a few seconds at most.
func (e *Exporter) Run(ctx context.Context) error {
	if r := e.cfg.Registry; r != nil {
		if err := r.Register(e.spans); err != nil {
			return err
		}
		defer r.Unregister(e.spans)
	}
	defer e.client.close()
	limit, cancel := outlasting(ctx, flushFor)
	defer cancel()
	for ctx.Err() == nil {
		e.send(limit, e.gather(ctx))
	}
	for batch := e.waiting(nil); len(batch) > 0; batch = e.waiting(nil) {
		if limit.Err() != nil {
			e.spans.WithLabelValues(dropped).Add(float64(len(batch)))
			continue
		}
		e.send(limit, batch)
	}
	return nil
}

// outlasting gives a context that ends some time after ctx, and the function that ends it.
func outlasting(ctx context.Context, d time.Duration) (context.Context, func()) {
	limit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-limit.Done():
		}
	})
	return limit, func() {
		stop()
		cancel()
	}
}

// gather waits for a span, then for others to go with it.
func (e *Exporter) gather(ctx context.Context) []sdk.ReadOnlySpan {
	var batch []sdk.ReadOnlySpan
	select {
	case s := <-e.queue:
		batch = append(make([]sdk.ReadOnlySpan, 0, batchLen), s)
	case <-ctx.Done():
		return nil
	}
	enough := time.NewTimer(batchAfter)
	defer enough.Stop()
	for len(batch) < batchLen {
		select {
		case s := <-e.queue:
			batch = append(batch, s)
		case <-enough.C:
			return batch
		case <-ctx.Done():
			return e.waiting(batch)
		}
	}
	return batch
}

// waiting adds to a batch what waits already.
func (e *Exporter) waiting(batch []sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	for len(batch) < batchLen {
		select {
		case s := <-e.queue:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

// send sends a batch. A collector that begins to fail, and one that takes spans again, is told once.
func (e *Exporter) send(ctx context.Context, batch []sdk.ReadOnlySpan) {
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	err := e.out.ExportSpans(ctx, batch)
	if err != nil {
		e.spans.WithLabelValues(failed).Add(float64(len(batch)))
		if !e.failing {
			e.cfg.Log.Warn().Err(err).Msg("traces are not taken: spans are lost until they are; events are not affected")
		}
	} else {
		e.spans.WithLabelValues(exported).Add(float64(len(batch)))
		if e.failing {
			e.cfg.Log.Info().Msg("traces are taken again")
		}
	}
	e.failing = err != nil
}

// OnStart is the SDK's: nothing is to be done.
func (e *Exporter) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd puts a span into the queue, or drops it.
func (e *Exporter) OnEnd(s sdk.ReadOnlySpan) {
	select {
	case e.queue <- s:
	default:
		e.spans.WithLabelValues(dropped).Inc()
	}
}

// Shutdown is the SDK's: Run's end is the end.
func (e *Exporter) Shutdown(context.Context) error { return nil }

// ForceFlush is the SDK's: nobody asks for it.
func (e *Exporter) ForceFlush(context.Context) error { return nil }
