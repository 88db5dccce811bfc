package distributor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
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
	if !time.Now().Before(end) {
		return nil, context.DeadlineExceeded
	}
	for c := w.take(); c != nil; c = w.take() {
		_ = c.SetDeadline(end) // first: nothing is seen of a connection whose last deadline is over
		if time.Since(c.since) < w.limit.Idle && alive(c.raw) {
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

// conn is one connection. It belongs to one exchange at a time.
type conn struct {
	net.Conn
	raw  net.Conn // below TLS
	wire *wire
	in   *bufio.Reader
	left int64 // how much more may be read
	body sized // of the last plain answer

	since time.Time // when it became idle
}

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

// exchange is one request and its answer.
type exchange struct {
	*conn
	end      time.Time
	watching func() bool // ends that the connection is closed when the caller's context ends
	whole    bool        // all of the answer has been read

	mu       sync.Mutex // for a document, which is written while the answer is read; guards what follows
	sent     bool       // some of the request is, or may be, handed to the network: the call may have had its effect
	written  bool       // all of it was
	answered bool       // the answer's header has come
}

// begin begins an exchange on a connection. It has to be ended.
func (c *conn) begin(ctx context.Context, end time.Time) *exchange {
	c.left = mostHeader
	x := &exchange{conn: c, end: end}
	x.watching = context.AfterFunc(ctx, func() { _ = c.Close() })
	return x
}

// Write is for write. While it is under way nobody knows, so that it counts as sent. With n = 0 nothing was: TLS counts whole records,
// and a server cannot read a part of one.
func (x *exchange) Write(b []byte) (int, error) {
	x.mu.Lock()
	before := x.sent
	x.sent = true
	x.mu.Unlock()
	n, err := x.Conn.Write(b)
	if n == 0 && err != nil && !before {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.sent = false
	}
	return n, err
}

// finish gives the connection back, if nothing of the exchange is left on it, else closes it.
func (x *exchange) finish() {
	x.mu.Lock()
	written := x.written
	x.mu.Unlock()
	if !x.watching() || !written || !x.whole || !x.silent() {
		_ = x.Close()
		return
	}
	x.wire.keep(x.conn)
}

// silent says whether nothing was read beyond the answer, be it by TLS, which reads ahead and hands out one record after the other:
// what it has would be taken for the next call's answer. What comes later, alive sees; but half a record of TLS that came with the
// answer, nobody does (nor would net/http's Transport).
func (x *exchange) silent() bool {
	if x.wire.tls == nil {
		return x.in.Buffered() == 0
	}
	_ = x.SetReadDeadline(time.Unix(1, 0)) // so that nothing more is read
	_, err := x.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// isSent says whether the call may have had its effect.
func (x *exchange) isSent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent
}

// send sends a request, and gives the answer, of which the header has been read. A document is written meanwhile: a server may
// answer before it has read it all.
func (x *exchange) send(m message) (head, error) {
	if m.document != nil {
		// It ends when the connection is closed or, while it reads the document, when the call's context ends. It has an m of its
		// own, so that the one of other requests stays on the stack.
		go func(m message) { _ = x.write(m) }(m)
	} else if err := x.write(m); err != nil {
		return head{}, err
	}
	h, err := x.header()
	if err != nil {
		_ = x.Close() // before it is asked what was sent: nothing more can be
		return head{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.answered, x.left = true, math.MaxInt64
	if h.length < 0 || h.length > int64(x.in.Buffered()) {
		_ = x.SetReadDeadline(x.end)
	}
	return h, nil
}

// header reads the header of the answer that counts.
func (x *exchange) header() (head, error) {
	for {
		h, err := x.nextHead()
		if err != nil || h.status < 100 || h.status >= 200 || h.status == http.StatusSwitchingProtocols {
			return h, err
		}
	}
}

// writers are buffers that requests are written from. A request has one while it is written only: so the next one finds it in the
// processor's cache, and connections that are idle or wait for an answer hold none.
var writers = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}

// keepWriter gives a buffer back, without the exchange that it wrote to and its error.
func keepWriter(w *bufio.Writer) {
	w.Reset(nil)
	writers.Put(w)
}

// write writes the request, and then limits how long the answer may take to begin.
func (x *exchange) write(m message) error {
	defer m.body.close()
	out := writers.Get().(*bufio.Writer)
	out.Reset(x)
	defer keepWriter(out)
	_, err := out.Write(m.appendHead(out.AvailableBuffer()))
	if m.document != nil && err == nil {
		err = out.Flush() // the server may refuse it before it has come
	}
	if err == nil {
		err = m.body.writeTo(out)
	}
	if err == nil {
		err = out.Flush()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.written = err == nil
	switch {
	case x.answered:
	case m.body.failure() != nil: // the server has to see that the request does not go on
		_ = x.Close()
	case err == nil:
		_ = x.SetReadDeadline(earlier(x.end, time.Now().Add(x.wire.limit.FirstByte)))
	default:
		_ = x.SetReadDeadline(earlier(x.end, time.Now().Add(grace)))
	}
	return err
}

// read reads the answer's body into a buffer, up to most bytes and one more. Its error is that of reading.
func (x *exchange) read(h head, into io.ReaderFrom, most int64) error {
	n, err := into.ReadFrom(io.LimitReader(h.body, most+1))
	x.whole = err == nil && n <= most && !h.close && h.status >= 200 // after a 101 it is another protocol's
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
