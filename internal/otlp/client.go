package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Path is where collectors take traces.
const Path = "/v1/traces"

// client sends by http/protobuf. OpenTelemetry's own, otlptracehttp, links all of gRPC for its options: 69 packages and 3 MB of a
// program that speaks no gRPC. What is sent is made by OpenTelemetry's exporter all the same.
type client struct {
	cfg       Config
	url       string
	transport *http.Transport
}

func newClient(cfg Config) *client {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: callLimit}).DialContext
	}
	return &client{cfg: cfg, url: address(cfg.Endpoint), transport: &http.Transport{
		DialContext: dial, TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: callLimit, ResponseHeaderTimeout: callLimit,
		MaxConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}}
}

// address adds Path to a URL that has none.
func address(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Path != "" && u.Path != "/" {
		return endpoint
	}
	return u.JoinPath(Path).String()
}

// Start is the exporter's: there is nothing to start.
func (c *client) Start(context.Context) error { return nil }

// Stop is the exporter's: Run closes the client.
func (c *client) Stop(context.Context) error { return nil }

func (c *client) close() { c.transport.CloseIdleConnections() }

// UploadTraces sends spans until they are taken, refused for good, or ctx ends.
func (c *client) UploadTraces(ctx context.Context, spans []*pb.ResourceSpans) error {
	raw, err := proto.Marshal(&pb.TracesData{ResourceSpans: spans}) // on the wire the same as a collector's ExportTraceServiceRequest
	if err != nil {
		return err
	}
	var body bytes.Buffer
	packed := gzip.NewWriter(&body)
	if _, err := packed.Write(raw); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0))
	for {
		after, err := c.post(ctx, body.Bytes())
		var gone *backoff.PermanentError
		if err == nil || errors.As(err, &gone) {
			return err
		}
		timer := time.NewTimer(max(after, pause.NextBackOff()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// post makes one request. An error is permanent if the same would be refused again; after is how long the collector wants to be
// left alone.
func (c *client) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, backoff.Permanent(err)
	}
	if c.cfg.Headers != nil {
		headers, err := c.cfg.Headers()
		if err != nil {
			return 0, err
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", "distributor-bridge/"+c.cfg.Version)
	res, err := c.transport.RoundTrip(req) // no redirects: they would take the headers along
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection is used again
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, fmt.Errorf("the collector answers %d", res.StatusCode)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return 0, backoff.Permanent(fmt.Errorf("the collector answers %d: is traces.otlp_endpoint right, and do traces.headers allow it?",
			res.StatusCode))
	}
	return 0, nil
}
