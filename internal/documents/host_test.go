package documents_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
)

// pipes is a listener in memory, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// A host that is down is left alone but for one fetch every 10 s, and found when it is back; other hosts do not notice.
func TestHostDown(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]http.HandlerFunc{
		"503":      says(503, ""),
		"hangs":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"cuts off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "44")
			_, _ = io.WriteString(w, content[:20])
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { hostDown(t, down) })
		})
	}
}

func hostDown(t *testing.T, down http.HandlerFunc) {
	var (
		asked atomic.Int64
		up    atomic.Bool
	)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if up.Load() || strings.HasPrefix(r.Host, "fine") {
			_, _ = io.WriteString(w, content)
			return
		}
		asked.Add(1)
		down(w, r)
	}))
	network := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	_ = s.Listener.Close()
	s.Listener, s.Config.ErrorLog = network, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	var lines bytes.Buffer
	f := newFetcher(t, documents.Config{
		AllowedHosts: []string{"down.example.com", "fine.example.com"}, AllowPrivate: true, RootCAs: pool, Log: zerolog.New(&lines),
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case network.conns <- there:
				return here, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	})
	for range 5 {
		_, err := read(t, f, ref(content, "https://down.example.com/x"))
		wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
	}
	for range 100 {
		_, err := read(t, f, ref(content, "https://down.example.com/x"))
		wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
	}
	if n := asked.Load(); n != 5 || !f.Down()["down.example.com:443"] {
		t.Errorf("asked %d times, want 5; down: %v", n, f.Down())
	}
	began := time.Now()
	for range 600 {
		time.Sleep(100 * time.Millisecond)
		_, err := read(t, f, ref(content, "https://down.example.com/x"))
		wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
		if _, err := read(t, f, ref(content, "https://fine.example.com/x")); err != nil {
			t.Fatalf("another host: %v", err)
		}
	}
	if n, most := asked.Load(), 5+int64(time.Since(began)/(10*time.Second)); n > most || n < 7 {
		t.Errorf("asked %d times in %s", n-5, time.Since(began))
	}
	up.Store(true)
	time.Sleep(11 * time.Second)
	for range 3 {
		if _, err := read(t, f, ref(content, "https://down.example.com/x")); err != nil {
			t.Errorf("once it is back: %v", err)
		}
	}
	if n := strings.Count(lines.String(), "is back"); n != 1 || f.Down()["down.example.com:443"] {
		t.Errorf("log: %s", lines.String())
	}
}

// That documents are gone, or callers give up, is not the host's fault.
func TestHostIsUp(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	base, f := host(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hangs":
			entered <- struct{}{}
			<-r.Context().Done()
		case "/gone":
			w.WriteHeader(http.StatusGone)
		default:
			_, _ = io.WriteString(w, content)
		}
	})
	for range 10 {
		_, err := read(t, f, ref(content, base+"/gone"))
		wantVerdict(t, err, outcome.Rejected, outcome.DocumentGone)
		_, err = read(t, f, ref("another content", base+"/x"))
		wantVerdict(t, err, outcome.Rejected, outcome.DocumentMismatch)
	}
	for range 10 {
		ctx, giveUp := context.WithCancel(t.Context())
		go func() {
			<-entered
			giveUp()
		}()
		if _, err := f.Open(ctx, ref(content, base+"/hangs")); err == nil {
			t.Error("a fetch that was given up has succeeded")
		}
	}
	if _, err := read(t, f, ref(content, base+"/x")); err != nil {
		t.Errorf("it is up: %v", err)
	}
}
