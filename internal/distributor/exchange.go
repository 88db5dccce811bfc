package distributor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"
)

// exchange is one request and its answer.
type exchange struct {
	*conn
	message  message
	end      time.Time
	watching func() bool      // ends that the connection is closed when the caller's context ends
	whole    bool             // all of the answer has been read
	limited  io.LimitedReader // the answer's body, as far as it may be large

	mu       sync.Mutex // for a document, which is written while the answer is read; guards what follows
	sent     bool       // some of the request is, or may be, handed to the network: the call may have had its effect
	written  bool       // all of it was
	answered bool       // the answer's header has come
}

// begin begins an exchange on a connection. It has to be ended.
func (c *conn) begin(ctx context.Context, m message, end time.Time) *exchange {
	c.left = mostHeader
	c.current = exchange{conn: c, message: m, end: end, watching: context.AfterFunc(ctx, c.shut)}
	return &c.current
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
	x.message, x.watching, x.limited = message{}, nil, io.LimitedReader{} // an idle connection holds nothing of a call
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

// send sends the request, and gives the answer, of which the header has been read. A document is written meanwhile: a server may
// answer before it has read it all.
func (x *exchange) send() (head, error) {
	if x.message.document != nil {
		// It ends when the connection is closed or, while it reads the document, when the call's context ends.
		go func() { _ = x.write() }()
	} else if err := x.write(); err != nil {
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
func (x *exchange) write() error {
	m := x.message // which is not the exchange's any more once the document is written, while it is closed
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
	defer x.mu.Unlock() // from then on x may be another call's
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
	x.limited = io.LimitedReader{R: h.body, N: most + 1}
	n, err := into.ReadFrom(&x.limited)
	x.whole = err == nil && n <= most && !h.close && h.status >= 200 // after a 101 it is another protocol's
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
