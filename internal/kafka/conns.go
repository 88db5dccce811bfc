package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
)

// conns opens connections and remembers those that are open, so that they can be closed when kafka-go would wait: a
// fetch given up is read to its end, and a JoinGroup is answered only when the other members have drained.
type conns struct {
	dialer func(ctx context.Context, network, address string) (net.Conn, error)
	tls    func() *tls.Config // nil: plain text

	mu     sync.Mutex // guards the rest
	open   map[*conn]struct{}
	closed bool
}

func newConns(dial func(context.Context, string, string) (net.Conn, error), encrypt func() *tls.Config) *conns {
	return &conns{dialer: dial, tls: encrypt, open: make(map[*conn]struct{})}
}

// dial connects, and encrypts: kafka-go would take one tls.Config for as long as it lives.
func (cs *conns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := cs.connect(ctx, network, address)
	if err != nil || cs.tls == nil {
		return c, err
	}
	cfg := cs.tls()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	encrypted := tls.Client(c, cfg)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return encrypted, nil
}

func (cs *conns) connect(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := cs.dialer(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, of: cs}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		_ = nc.Close()
		return nil, ErrClosed
	}
	cs.open[c] = struct{}{}
	return c, nil
}

// close closes all connections, and every later dial is refused.
func (cs *conns) close() {
	cs.mu.Lock()
	cs.closed = true
	open := cs.open
	cs.open = make(map[*conn]struct{})
	cs.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

type conn struct {
	net.Conn
	of *conns
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
