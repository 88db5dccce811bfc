package distributor_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"distributor-bridge/internal/distributor"
)

// TestTLSConnectionIsUsedAgain: what TLS itself says after the handshake is no word of the server's.
func TestTLSConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"x","id":%q,"status":"processing"}`, someID)
		}))
		s.TLS = &tls.Config{MaxVersion: version}
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.StartTLS()
		t.Cleanup(s.Close)
		pool := x509.NewCertPool()
		pool.AddCert(s.Certificate())
		c := newClient(t, s.URL, func(cfg *distributor.Config) { cfg.RootCAs = pool })
		for range 5 {
			if err := makeCredit(c); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := conns.Load(); n != 2 {
			t.Errorf("TLS %x: %d connections, one of them for the token", version, n)
		}
	}
}

// TestTLSReadsAhead: what a server says behind its answer is not the next call's, although TLS has it in memory already, where
// neither the socket nor the reader of answers shows it.
func TestTLSReadsAhead(t *testing.T) {
	t.Parallel()
	cert := httptest.NewTLSServer(nil)
	defer cert.Close()
	pool := x509.NewCertPool()
	pool.AddCert(cert.Certificate())
	for name, behind := range map[string]func(*tls.Conn){
		"another answer": func(c *tls.Conn) { _, _ = io.WriteString(c, whole(strings.ReplaceAll(credit, someID, otherID))) },
		"good-bye":       func(c *tls.Conn) { _ = c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln := tls.NewListener(holding{listenAnywhere(t)}, &tls.Config{Certificates: cert.TLS.Certificates, MinVersion: tls.VersionTLS12})
			s := newRawServerOn(ln, func(conn net.Conn, _ int) bool {
				c := conn.(*tls.Conn)
				held := c.NetConn().(*held)
				held.hold()
				_, _ = io.WriteString(c, whole(credit))
				behind(c)
				held.send()
				return true
			})
			c := s.client(t, func(cfg *distributor.Config) { cfg.RootCAs, cfg.BaseURL = pool, "https://"+s.Addr().String() })
			for range 3 {
				task, err := c.CreateCredit(t.Context(), newKey(), someID)
				if err != nil || task.ID != someID {
					t.Errorf("%+v, %v", task, err)
				}
			}
			if n := s.conns.Load(); n != 3 {
				t.Errorf("%d connections for 3 calls", n)
			}
		})
	}
}

// holding gives connections that can hold what is written, to send it in one piece.
type holding struct{ net.Listener }

func (l holding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &held{Conn: c}, nil
}

type held struct {
	net.Conn
	mu      sync.Mutex
	holds   bool
	written []byte
}

func (h *held) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds = true
}

func (h *held) send() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.Conn.SetWriteDeadline(time.Time{}) // which a good-bye has let pass
	_, _ = h.Conn.Write(h.written)
	h.holds, h.written = false, nil
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.holds {
		return h.Conn.Write(b)
	}
	h.written = append(h.written, b...)
	return len(b), nil
}
