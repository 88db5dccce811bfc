package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// fastServer serves a Fast: HTTP/1.1, one request after the other on a connection, each answer in one write. net/http's
// server, which has a second goroutine read while the first one works, takes twice as much of the processor.
type fastServer struct {
	fast    *Fast
	working sync.WaitGroup // one for each connection

	mu    sync.Mutex // guards the rest
	conns map[net.Conn]bool
	ended bool
}

// Serve serves on ln until ctx ends, lets calls in flight end for 5 s, and closes ln. The error is nil when ctx ended it. It
// trusts its clients, as only a benchmark does: there are no limits of time, and none of a header's size.
func (f *Fast) Serve(ctx context.Context, ln net.Listener) error {
	s := &fastServer{fast: f, conns: map[net.Conn]bool{}}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var err error
	for {
		var conn net.Conn
		if conn, err = ln.Accept(); err != nil {
			break
		}
		s.working.Go(func() { s.talk(conn) }) // ends with the connection, or by end
	}
	_ = ln.Close()
	s.end()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve the sandbox: %w", err)
}

// end lets no further call in, and cuts what is still open after a while.
func (s *fastServer) end() {
	s.mu.Lock()
	s.ended = true
	for conn := range s.conns {
		_ = conn.SetReadDeadline(time.Now())
	}
	s.mu.Unlock()
	late := time.AfterFunc(shutdown, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for conn := range s.conns {
			_ = conn.Close()
		}
	})
	defer late.Stop()
	s.working.Wait()
}

// open notes a connection, and says whether it may be used.
func (s *fastServer) open(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = true
	return !s.ended
}

func (s *fastServer) close(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	_ = conn.Close()
}

// talk answers until the client goes, or talks nonsense.
func (s *fastServer) talk(conn net.Conn) {
	defer s.close(conn)
	if !s.open(conn) {
		return
	}
	in, body, out := bufio.NewReader(conn), new(bytes.Buffer), new(bytes.Buffer)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body.Reset()
		if _, err := io.Copy(body, r.Body); err != nil {
			return
		}
		status, text := s.fast.answer(r, body.Bytes())
		out.Reset()
		out.WriteString("HTTP/1.1 ")
		out.WriteString(strconv.Itoa(status))
		out.WriteString(" ")
		out.WriteString(http.StatusText(status))
		out.WriteString("\r\nContent-Type: application/json\r\nContent-Length: ")
		out.WriteString(strconv.Itoa(len(text)))
		out.WriteString("\r\n\r\n")
		out.WriteString(text)
		if _, err := conn.Write(out.Bytes()); err != nil || r.Close {
			return
		}
	}
}

// fastClock lets calls sleep, with one timer for all that end in the same millisecond: to be woken one by one is what costs
// a server most that otherwise does little. The zero value is ready.
type fastClock struct {
	mu   sync.Mutex              // guards ends
	ends map[int64]chan struct{} // by the millisecond at which it is closed
}

// precise is below how much a sleep is not rounded.
const precise = 5 * time.Millisecond

func (c *fastClock) sleep(d time.Duration) {
	if d < precise {
		time.Sleep(d)
		return
	}
	<-c.end(time.Now().Add(d).Round(time.Millisecond))
}

// end gives what is closed at that time.
func (c *fastClock) end(at time.Time) <-chan struct{} {
	key := at.UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	if end, ok := c.ends[key]; ok {
		return end
	}
	if c.ends == nil {
		c.ends = map[int64]chan struct{}{}
	}
	end := make(chan struct{})
	c.ends[key] = end
	time.AfterFunc(time.Until(at), func() {
		c.mu.Lock()
		delete(c.ends, key)
		c.mu.Unlock()
		close(end)
	})
	return end
}
