package otlp_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"distributor-bridge/internal/otlp"
	"distributor-bridge/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decode gives what a request holds.
func decode(t *testing.T, r *http.Request) *pb.TracesData {
	t.Helper()
	plain, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Error(err)
		return nil
	}
	raw, err := io.ReadAll(plain)
	var data pb.TracesData
	if err == nil {
		err = proto.Unmarshal(raw, &data)
	}
	if err != nil {
		t.Error(err)
	}
	return &data
}

// By TLS, with the headers as they are at the time, to the path that collectors have; and the resource says who sends.
func TestExport(t *testing.T) {
	token, seen := "first", make(chan *http.Request, 10)
	data := make(chan *pb.TracesData, 10)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data <- decode(t, r)
		seen <- r
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	e := otlp.New(otlp.Config{
		Endpoint: server.URL, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Sample: 1,
		Service: "bridge-of-test", Version: "v1", Member: "pod-1",
		Headers: func() (map[string]string, error) { return map[string]string{"Authorization": token}, nil },
	})
	for _, token = range []string{"first", "second"} {
		ctx, cancel := context.WithCancel(t.Context())
		e.Tracer().Take("", trace.Message{Topic: "orders"}).End()
		cancel() // what waits at the end is sent
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		r, got := <-seen, (<-data).GetResourceSpans()
		if r.URL.Path != otlp.Path || r.Header.Get("Authorization") != token || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("got %s %v", r.URL, r.Header)
		}
		if len(got) != 1 || len(got[0].GetScopeSpans()) != 1 || got[0].GetScopeSpans()[0].GetSpans()[0].GetName() != "process orders" {
			t.Fatalf("got %v", got)
		}
		for _, want := range []string{"bridge-of-test", "v1", "pod-1"} {
			if who := got[0].GetResource().String(); !strings.Contains(who, want) {
				t.Errorf("the resource is %s, want %s in it", who, want)
			}
		}
	}
}

// A sample is of those that begin here: half of them, by chance.
func TestSample(t *testing.T) {
	e := otlp.New(otlp.Config{Endpoint: "http://127.0.0.1:1", Sample: 0.5, Service: "x"})
	n := 0
	for range 1000 {
		if e.Tracer().Take("", trace.Message{}) != (trace.Span{}) {
			n++
		}
	}
	if n < 400 || n > 600 {
		t.Errorf("%d of 1000 are sampled, want half of them", n)
	}
}

// pipe gives connections to a handler without a network, for virtual time.
func pipe(t *testing.T, handler http.HandlerFunc) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	conns, done := make(chan net.Conn), make(chan struct{})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener{conns, done, sync.OnceFunc(func() { close(done) })})
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case conns <- there:
			return here, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type listener struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.close()
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{} }

// A collector that hangs holds up nobody: what does not fit is dropped at once, all is counted, and the end comes in time.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		registry := prometheus.NewPedanticRegistry()
		e := otlp.New(otlp.Config{
			Endpoint: "http://collector:4318", Sample: 1, Service: "x", Registry: registry, Log: zerolog.New(&log),
			Dial: pipe(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		tracer, began := e.Tracer(), time.Now()
		for range 4_000 {
			tracer.Take("", trace.Message{}).End()
			synctest.Wait()
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("spans waited %s for the collector", d)
		}
		time.Sleep(time.Second)
		began = time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("the end took %s", d)
		}
		if text := log.String(); strings.Count(text, "traces are not taken") != 1 {
			t.Errorf("the log is %s", text)
		}
	})
}

// What became of each span adds up, whatever the collector does.
func TestCounted(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(n int64) int // status of the nth request; 0 hangs up
		result string            // of the first 512
	}{
		"taken":                {func(int64) int { return 200 }, "exported"},
		"busy at first":        {func(n int64) int { return []int{429, 503, 200}[min(n, 2)] }, "exported"},
		"refuses":              {func(int64) int { return 401 }, "failed"},
		"hangs up for a while": {func(n int64) int { return int(min(n/3, 1) * 200) }, "exported"},
		"is busy for ever":     {func(int64) int { return 503 }, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int64
				registry := prometheus.NewPedanticRegistry()
				e := otlp.New(otlp.Config{
					Endpoint: "http://collector:4318/", Sample: 1, Service: "x", Registry: registry,
					Dial: pipe(t, func(rw http.ResponseWriter, _ *http.Request) {
						status := c.answer(n.Add(1) - 1)
						if status == 0 {
							panic(http.ErrAbortHandler)
						}
						rw.WriteHeader(status)
					}),
				})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- e.Run(ctx) }()
				tracer := e.Tracer()
				const all = 4_000
				for range all {
					tracer.Take("", trace.Message{}).End()
				}
				time.Sleep(10 * time.Minute)
				sum := 0.0
				counts := map[string]float64{}
				families, err := registry.Gather()
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range families[0].GetMetric() {
					counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
					sum += m.GetCounter().GetValue()
				}
				if sum != all || counts[c.result] < 512 || counts[c.result]+counts["dropped"] != all {
					t.Errorf("counted %v, want %d together, of which some are %s and the others dropped", counts, all, c.result)
				}
				if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
					t.Errorf("%v %v", problems, err)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Headers that cannot be read are no reason to send without them.
func TestNoHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var calls atomic.Int64
		e := otlp.New(otlp.Config{
			Endpoint: "http://collector:4318", Sample: 1, Service: "x", Log: zerolog.New(&log),
			Headers: func() (map[string]string, error) { return nil, errors.New("the file is gone") },
			Dial:    pipe(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) }),
		})
		ctx, cancel := context.WithCancel(t.Context())
		e.Tracer().Take("", trace.Message{}).End()
		cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
		if calls.Load() != 0 || !strings.Contains(log.String(), "the file is gone") {
			t.Errorf("%d calls, log %s", calls.Load(), log.String())
		}
	})
}
