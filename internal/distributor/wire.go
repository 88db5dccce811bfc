package distributor

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"
)

// wire is the connections to the API. It speaks HTTP/1.1 only: with one request at a time on a connection it is known whether a
// request got onto the wire, and an end of the connection is the end of one call, not of 64. Of calls there are no more at once than
// places, so neither are there of connections; but one for a probe.
//
// It reads the heads of plain answers itself, and of others with net/http (ReadResponse): see head. It does without net/http's
// Transport: whoever makes a call writes the request and reads the answer. So it is known whether a byte of the request was handed to
// the network, nothing is repeated behind the caller's back, and no goroutine hands a request on to the next, which takes a third of a
// call's processor time.
type wire struct {
	addr  string // host and port
	tls   *tls.Config
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	limit Timeouts

	mu     sync.Mutex // guards what follows
	idle   []*conn    // the one used last is the last
	sweep  *time.Timer
	closed bool // what comes back is closed
}

// newWire makes no connection yet.
func newWire(cfg Config, base *url.URL) *wire {
	w := &wire{dial: cfg.dialer(), limit: cfg.Timeouts}
	port := base.Port()
	if base.Scheme == "https" {
		w.tls = cfg.tls()
		w.tls.ServerName = base.Hostname()
	}
	switch {
	case port != "":
	case w.tls != nil:
		port = "443"
	default:
		port = "80"
	}
	w.addr = net.JoinHostPort(base.Hostname(), port)
	w.sweep = time.AfterFunc(time.Hour, w.tidy)
	w.sweep.Stop()
	return w
}

// conn gives a connection that is free, or a new one, for an exchange until end.
func (w *wire) conn(ctx context.Context, end time.Time) (*conn, error) {
	now := time.Now()
	if !now.Before(end) {
		return nil, context.DeadlineExceeded
	}
	for c := w.take(); c != nil; c = w.take() {
		if now.Sub(c.since) < w.limit.Idle && c.alive() {
			_ = c.SetDeadline(end)
			return c, nil
		}
		_ = c.Close()
	}
	c, err := w.connect(ctx, end)
	if err == nil {
		_ = c.SetDeadline(end)
	}
	return c, err
}

func (w *wire) take() *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.idle) - 1
	if n < 0 {
		return nil
	}
	c := w.idle[n]
	w.idle[n] = nil
	w.idle = w.idle[:n]
	return c
}

func (w *wire) connect(ctx context.Context, end time.Time) (*conn, error) {
	limited, cancel := context.WithDeadline(ctx, earlier(end, time.Now().Add(w.limit.Dial)))
	defer cancel()
	raw, err := w.dial(limited, "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, raw: raw, wire: w}
	if s, ok := raw.(syscall.Conn); ok {
		if c.socket, err = s.SyscallConn(); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	if w.tls != nil {
		shaking, done := context.WithDeadline(ctx, earlier(end, time.Now().Add(w.limit.TLS)))
		defer done()
		secure := tls.Client(raw, w.tls)
		if err := secure.HandshakeContext(shaking); err != nil {
			_ = raw.Close()
			return nil, err
		}
		c.Conn = secure
	}
	c.in = bufio.NewReader(c)
	c.look = func(fd uintptr) { c.quiet = quiet(fd) }
	c.shut = func() { _ = c.Close() }
	return c, nil
}

// keep takes a connection back that can be used again.
func (w *wire) keep(c *conn) {
	c.since = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = c.Close()
		return
	}
	w.idle = append(w.idle, c)
	if len(w.idle) == 1 {
		w.sweep.Reset(w.limit.Idle)
	}
}

// tidy closes the connections that were idle for too long.
func (w *wire) tidy() {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := slices.IndexFunc(w.idle, func(c *conn) bool { return time.Since(c.since) < w.limit.Idle })
	if old < 0 {
		old = len(w.idle)
	}
	for _, c := range w.idle[:old] {
		_ = c.Close()
	}
	if w.idle = slices.Delete(w.idle, 0, old); len(w.idle) > 0 {
		w.sweep.Reset(time.Until(w.idle[0].since.Add(w.limit.Idle)))
	}
}

// close closes the connections that are idle, and each other one when its exchange has ended.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.sweep.Stop()
	for _, c := range w.idle {
		_ = c.Close()
	}
	w.idle = nil
}

// conn is one connection. It belongs to one exchange at a time. What is made once for it is not made for each call.
type conn struct {
	net.Conn
	raw     net.Conn        // below TLS
	socket  syscall.RawConn // raw's; nil: it has none, as Config.Dial may give for tests
	wire    *wire
	in      *bufio.Reader
	left    int64    // how much more may be read
	body    sized    // of the last plain answer
	current exchange // the one that it belongs to

	since time.Time        // when it became idle
	quiet bool             // then nothing had come on the socket, as look saw
	look  func(fd uintptr) // for socket
	shut  func()           // Close
}

// alive says whether an idle connection can be used: the server has neither ended it nor said anything on it. One without a socket
// counts as alive.
func (c *conn) alive() bool { return c.socket == nil || c.socket.Control(c.look) == nil && c.quiet }

const (
	// mostHeader limits an answer's header, together with those of interim answers before it (100 Continue and the like).
	mostHeader = 64 << 10
	// grace is how long the answer is waited for of a server that takes no more of a request: it may have answered before.
	grace = time.Second
)

// unfit is how an answer breaks the protocol. It quotes nothing.
type unfit string

func (u unfit) Error() string { return string(u) }

const errHeader unfit = "the answer's header is too large"

// Close closes the connection at once: TLS would say good-bye first, and wait 5 s for a server that takes nothing more.
func (c *conn) Close() error { return c.raw.Close() }

// Read is for in.
func (c *conn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeader
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}
