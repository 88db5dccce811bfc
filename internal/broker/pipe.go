package broker

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// pipes is a network of its own, of net.Pipes: listeners by address, and dialing them.
type pipes struct {
	mu        sync.Mutex // guards the rest
	listeners map[string]*pipeListener
	next      int // the next port handed out
}

func newPipes() *pipes {
	return &pipes{listeners: make(map[string]*pipeListener), next: 9092}
}

// listen is for kfake.ListenFn. The port asked for is ignored: each listener has its own.
func (p *pipes) listen(string, string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &pipeListener{
		addr:  &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.next},
		conns: make(chan net.Conn),
		done:  make(chan struct{}),
	}
	p.next++
	p.listeners[l.addr.String()] = l
	return l, nil
}

func (p *pipes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[address]
	p.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s %s: nobody listens", network, address)
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, fmt.Errorf("dial %s %s: %w", network, address, net.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeListener hands dialed pipes to Accept. conns has no buffer: a dialed connection has been accepted.
type pipeListener struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{} // closed by Close
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.addr }
