package kafka_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
)

// network is what lies between a client and its brokers, and can go wrong. Faults come in pairs: a request that never
// arrives, and one whose answer is lost.
type network struct {
	mu          sync.Mutex // guards the rest
	loseRequest float64    // how likely a write is lost, with its connection
	loseAnswer  float64    // how likely a read is lost, with its connection
	down        bool       // nothing works
	conns       map[*shaky]struct{}
	lost        int // requests and answers so far
}

var errNetwork = errors.New("network fault of the test")

func newNetwork() *network { return &network{conns: make(map[*shaky]struct{})} }

func (n *network) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	n.mu.Lock()
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, errNetwork
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, proto, address)
	if err != nil {
		return nil, err
	}
	c := &shaky{Conn: nc, n: n}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	return c, nil
}

// lose sets how likely requests and answers are lost.
func (n *network) lose(request, answer float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loseRequest, n.loseAnswer = request, answer
}

// cut closes all connections; with down, none can be opened.
func (n *network) cut(down bool) {
	n.mu.Lock()
	n.down = down
	conns := n.conns
	n.conns = make(map[*shaky]struct{})
	n.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

func (n *network) losses() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost
}

func (n *network) fails(p float64) bool {
	if p > 0 && rand.Float64() < p {
		n.lost++
		return true
	}
	return false
}

type shaky struct {
	net.Conn
	n *network
}

func (c *shaky) Write(b []byte) (int, error) {
	c.n.mu.Lock()
	fail := c.n.fails(c.n.loseRequest)
	c.n.mu.Unlock()
	if fail {
		_ = c.Conn.Close()
		return 0, errNetwork
	}
	return c.Conn.Write(b)
}

func (c *shaky) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	c.n.mu.Lock()
	fail := err == nil && c.n.fails(c.n.loseAnswer)
	c.n.mu.Unlock()
	if fail {
		_ = c.Conn.Close()
		return 0, errNetwork
	}
	return k, err
}

func (c *shaky) Close() error {
	c.n.mu.Lock()
	delete(c.n.conns, c)
	c.n.mu.Unlock()
	return c.Conn.Close()
}
