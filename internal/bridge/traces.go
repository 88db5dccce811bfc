package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/otlp"
	"distributor-bridge/internal/trace"
)

// Traces says where OpenTelemetry's spans go. Upstream's traceparent goes on into results and dead letters with and without it.
type Traces struct {
	// OTLPEndpoint is the URL of a collector that takes OTLP by http/protobuf; /v1/traces is added to one without a path. Default:
	// none, no spans are made.
	OTLPEndpoint string `koanf:"otlp_endpoint"`
	// Insecure allows http for a collector that is not on a loopback address, and then no headers: they could be read.
	Insecure bool `koanf:"insecure"`
	// CAFile holds the certificates that are trusted, PEM. Default: the system's.
	CAFile string `koanf:"ca_file"`
	// Headers are sent with each request, such as a token: "Name: value", one a line. Default: none.
	Headers config.Secret `koanf:"headers"`
	// HeadersFile holds the headers instead. It is read again while the bridge runs.
	HeadersFile string `koanf:"headers_file"`
	// Sample is the share of traces that is kept, 0 to 1, of events that come without one. Where upstream has begun the trace,
	// upstream has decided.
	Sample float64 `koanf:"sample"`
	// Service is the service.name of the spans.
	Service string `koanf:"service"`
}

func (c *Config) checkTraces(p *config.Problems) {
	t := c.Traces
	if !(t.Sample >= 0 && t.Sample <= 1) {
		p.Add("traces.sample", "%g is not between 0 and 1", t.Sample)
	}
	if t.Service == "" {
		p.Add("traces.service", "is required")
	}
	if _, err := headers(string(t.Headers)); err != nil {
		p.Add("traces.headers", "%v", err)
	}
	if _, err := t.tls(); err != nil {
		p.Add("traces.ca_file", "%v", err)
	}
	t.checkEndpoint(p)
}

func (t Traces) checkEndpoint(p *config.Problems) {
	tells := t.Headers != "" || t.HeadersFile != ""
	if t.OTLPEndpoint == "" {
		if tells || t.CAFile != "" || t.Insecure {
			p.Add("traces.otlp_endpoint", "is empty, so no traces are sent, but other keys of traces are given: set it, or take them out")
		}
		return
	}
	u, err := url.Parse(t.OTLPEndpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "",
		u.Scheme != "https" && u.Scheme != "http":
		p.Add("traces.otlp_endpoint", "want https://host:4318")
	case u.Scheme == "https" || loopback(u.Hostname()):
	case !t.Insecure:
		p.Add("traces.otlp_endpoint", "http is only allowed for a loopback address: use https, or set traces.insecure")
	case tells:
		p.Add("traces.headers", "could be read on the way by http: use https, or take them out")
	}
}

var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[\x20-\x7e]+$`)
)

// headers reads "Name: value" lines. An error quotes none of it.
func headers(text string) (map[string]string, error) {
	all := map[string]string{}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); !ok || !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return nil, fmt.Errorf(`line %d is not of the form "Name: value"`, i+1)
		}
		all[name] = value
	}
	return all, nil
}

func (t Traces) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("there is no certificate in it")
	}
	return cfg, nil
}

// headers gives those of each request, from the file if there is one.
func (t Traces) headers() (map[string]string, error) {
	text := t.Headers
	if t.HeadersFile != "" {
		var err error
		if text, err = config.ReadSecret(t.HeadersFile); err != nil {
			return nil, fmt.Errorf("traces.headers_file: %w", err)
		}
	}
	return headers(string(text))
}

// exporter gives what samples and exports spans; nil if there are none.
func (c *Config) exporter() (*otlp.Exporter, error) {
	t := c.Traces
	if t.OTLPEndpoint == "" {
		return nil, nil //nolint:nilnil // no traces are no error, and a nil exporter's tracer makes none
	}
	secure, err := t.tls()
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // for people only
	return otlp.New(otlp.Config{
		Endpoint: t.OTLPEndpoint, Headers: t.headers, TLS: secure, Sample: t.Sample,
		Service: t.Service, Version: c.Version, Member: host, Dial: c.TracesDial, Registry: c.Registry, Log: c.Log,
	}), nil
}

// traceCalls makes the span of each call of the API; nil if there are none.
func traceCalls(c *Config, traces *otlp.Exporter) func(context.Context, distributor.Call) {
	if traces == nil {
		return nil
	}
	tracer := traces.Tracer()
	server, port := "", 443
	if u, err := url.Parse(c.API.BaseURL); err == nil {
		server = u.Hostname()
		if u.Scheme == "http" {
			port = 80
		}
		if n, err := strconv.Atoi(u.Port()); err == nil {
			port = n
		}
	}
	return func(ctx context.Context, call distributor.Call) {
		tracer.Call(ctx, trace.Call{
			Operation: call.Operation, Method: call.Method, Template: c.API.Prefix + "/" + call.Path,
			Server: server, Port: port, Status: call.Status, Class: string(call.Class), Took: call.Duration,
		})
	}
}

// export sends spans until the function that it gives is called, which waits a little for the last ones.
func (b *Bridge) export() (end func()) {
	if b.traces == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.traces.Run(ctx); err != nil {
			b.cfg.Log.Error().Err(err).Msg("traces are not sent")
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// traced adds to an event's line which trace it belongs to, if there is one.
func traced(line *zerolog.Event, r consumer.Report) *zerolog.Event {
	if r.TraceID != "" {
		line = line.Str("trace_id", r.TraceID)
	}
	if r.SpanID != "" {
		line = line.Str("span_id", r.SpanID)
	}
	return line
}
