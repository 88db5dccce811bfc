package distributor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"distributor-bridge/internal/outcome"
)

// newTransport makes a pool of connections. It speaks HTTP/1.1 only: with one request at a time on a connection it is
// known whether a request got onto the wire, and an end of the connection is the end of one call, not of 64.
func newTransport(cfg Config, conns int) *http.Transport {
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Dial)
			defer cancel()
			return dial(ctx, network, addr)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    cfg.Timeouts.TLS,
		ResponseHeaderTimeout:  cfg.Timeouts.FirstByte,
		IdleConnTimeout:        cfg.Timeouts.Idle,
		MaxConnsPerHost:        conns,
		MaxIdleConns:           conns,
		MaxIdleConnsPerHost:    conns,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // so that the limit of an answer's size is one of what it becomes
	}
}

// gate stands between a request and the wire. net/http tells it each connection that the request gets, before a byte is
// written there, and when the request's header has been written whole: before that, no server can have acted on it.
//
// It closes the connection, and so keeps the request from it, in two cases: when it is later than SendBefore allows; and
// when the request has been written before, which is net/http repeating, by itself, a request with an idempotency key
// whose reused connection broke. Such a repeat would be harmless to the API, but hide that the call was in doubt.
type gate struct {
	before time.Time // zero: no limit
	cancel context.CancelFunc
	trace  httptrace.ClientTrace

	mu      sync.Mutex // the header is written by a goroutine of net/http
	written bool       // the header was written whole, so the call may have had its effect
	late    bool
}

func newGate(ctx context.Context, cancel context.CancelFunc) *gate {
	before, _ := ctx.Value(sendBeforeKey{}).(time.Time)
	g := &gate{before: before, cancel: cancel}
	g.trace.GotConn, g.trace.WroteHeaders = g.gotConn, g.wroteHeaders
	return g
}

func (g *gate) gotConn(info httptrace.GotConnInfo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = !g.before.IsZero() && !time.Now().Before(g.before)
	if g.late || g.written {
		_ = info.Conn.Close()
		g.cancel() // else net/http tries, and closes, one connection after the other
	}
}

// wroteHeaders is called when the header is complete in the connection's buffer, thus before it can be on the wire.
func (g *gate) wroteHeaders() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written = g.written || !g.late
}

var errLate = errors.New("too late to send")

// verdict classifies that there was no answer.
func (g *gate) verdict(ctx context.Context, err error) *outcome.Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.written {
		return outcome.Retry(outcome.ClassNoAnswer, true, ended(ctx, err))
	}
	if g.late {
		return outcome.Retry(outcome.ClassNotSent, false, errLate)
	}
	return outcome.Retry(outcome.ClassNotSent, false, ended(ctx, err))
}

// ended gives the cause of a call without an answer: the end of its context, if that is what ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return outcome.Cause(err)
}
