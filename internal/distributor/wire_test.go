package distributor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// credit is what the raw servers here answer a call with.
var credit = fmt.Sprintf(`{"id":%q,"status":"processing"}`, someID)

func whole(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// rawServer answers call after call on a connection of its own with bytes of its choice; a token in good form.
type rawServer struct {
	net.Listener
	answer func(conn net.Conn, call int) (goOn bool) // call counts those on all connections, from 1 on
	conns  atomic.Int32
	calls  atomic.Int32
	served sync.WaitGroup
}

func newRawServer(t *testing.T, answer func(conn net.Conn, call int) bool) *rawServer {
	t.Helper()
	return newRawServerOn(listenAnywhere(t), answer)
}

func listenAnywhere(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func newRawServerOn(ln net.Listener, answer func(conn net.Conn, call int) bool) *rawServer {
	s := &rawServer{Listener: ln, answer: answer}
	s.served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.served.Go(func() { s.serve(conn) })
		}
	})
	return s
}

// client gives a client of the server, which ends after it.
func (s *rawServer) client(t *testing.T, changes ...func(*distributor.Config)) *distributor.Client {
	t.Cleanup(func() {
		_ = s.Close()
		s.served.Wait()
	})
	return newClient(t, "http://"+s.Addr().String(), changes...)
}

func (s *rawServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for first := true; ; first = false {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if strings.HasSuffix(r.URL.Path, "/oauth/token") {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(conn, whole(`{"access_token":"x"}`))
			continue
		}
		if first {
			s.conns.Add(1)
		}
		if r.ContentLength < 64<<10 {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if !s.answer(conn, int(s.calls.Add(1))) {
			return
		}
	}
}

func makeCredit(c *distributor.Client) error {
	_, err := c.CreateCredit(context.Background(), newKey(), someID)
	return err
}

// TestConnectionIsUsedAgain after any answer that ends where it says, and after no other: what is left of one must not be taken for
// the next call's.
func TestConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(credit, someID, otherID)
	for name, test := range map[string]struct {
		answer string
		close  bool // by the server, after it
		conns  int32
	}{
		"whole":                  {whole(credit), false, 1},
		"chunks":                 {fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(credit), credit), false, 1},
		"interim answers":        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + whole(credit), false, 1},
		"the server says close":  {strings.Replace(whole(credit), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), false, 3},
		"HTTP/1.0":               {strings.Replace(whole(credit), "HTTP/1.1", "HTTP/1.0", 1), false, 3},
		"up to the end":          {"HTTP/1.1 200 OK\r\n\r\n" + credit, true, 3},
		"the server just closes": {whole(credit), true, 3},
		"another protocol":       {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", false, 3},
		"two answers":            {whole(credit) + whole(other), false, 3},
		"more than it says":      {whole(credit) + "x", false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRawServer(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, test.answer)
				return !test.close
			})
			c := s.client(t)
			for range 3 {
				task, err := c.CreateCredit(t.Context(), newKey(), someID)
				if (err != nil || task.ID != someID) && name != "another protocol" {
					t.Errorf("%+v, %v", task, err)
				}
				// What the server does after its answer has to arrive before the next call.
				time.Sleep(50 * time.Millisecond)
			}
			if n := s.conns.Load(); n != test.conns {
				t.Errorf("%d connections, want %d", n, test.conns)
			}
		})
	}
}

// TestIdleLongerThanAnAnswerMayTake: the limits of the last call do not end its connection.
func TestIdleLongerThanAnAnswerMayTake(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, whole(credit))
		return true
	})
	c := s.client(t, func(cfg *distributor.Config) {
		cfg.Timeouts.FirstByte, cfg.Timeouts.Call = 500*time.Millisecond, time.Second
	})
	for range 3 {
		if err := makeCredit(c); err != nil {
			t.Error(err)
		}
		time.Sleep(1100 * time.Millisecond)
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestEndedContextSendsNothing, although a connection is free.
func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, whole(credit))
		return true
	})
	c := s.client(t)
	if err := makeCredit(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		_, err := c.CreateCredit(ctx, newKey(), someID)
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cause: %v", err)
		}
	}
	if err := makeCredit(c); err != nil {
		t.Error(err)
	}
	if calls, conns := s.calls.Load(), s.conns.Load(); calls != 2 || conns != 1 {
		t.Errorf("%d calls on %d connections", calls, conns)
	}
}

// brokenConn takes nothing more once it is broken.
type brokenConn struct {
	*net.TCPConn
	broken *atomic.Bool
}

func (c brokenConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, syscall.EPIPE
	}
	return c.TCPConn.Write(b)
}

// TestConnectionForgetsItsLastCall: that one was sent says nothing of the next.
func TestConnectionForgetsItsLastCall(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		_, _ = io.WriteString(conn, whole(credit))
		return true
	})
	var broken atomic.Bool
	c := s.client(t, func(cfg *distributor.Config) {
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return brokenConn{conn.(*net.TCPConn), &broken}, nil
		}
	})
	if err := makeCredit(c); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	wantVerdict(t, makeCredit(c), outcome.Retrying, outcome.ClassNotSent, false)
	broken.Store(false)
	if err := makeCredit(c); err != nil {
		t.Error(err)
	}
	if calls, conns := s.calls.Load(), s.conns.Load(); calls != 2 || conns != 2 {
		t.Errorf("%d calls on %d connections", calls, conns)
	}
}

// TestLateWordIsNoAnswer: what a server says on an idle connection is not taken for the answer to the next call.
func TestLateWordIsNoAnswer(t *testing.T) {
	t.Parallel()
	said := make(chan struct{})
	s := newRawServer(t, func(conn net.Conn, call int) bool {
		_, _ = io.WriteString(conn, whole(credit))
		if call == 1 {
			time.Sleep(50 * time.Millisecond) // the connection is idle by now
			_, _ = io.WriteString(conn, whole(strings.ReplaceAll(credit, someID, otherID)))
			close(said)
		}
		return true
	})
	c := s.client(t)
	if err := makeCredit(c); err != nil {
		t.Fatal(err)
	}
	<-said
	time.Sleep(50 * time.Millisecond) // it has arrived
	task, err := c.CreateCredit(t.Context(), newKey(), someID)
	if err != nil || task.ID != someID {
		t.Errorf("%+v, %v", task, err)
	}
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestInterimAnswersWithoutEnd are not waited out.
func TestInterimAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		for range 10_000 {
			_, _ = io.WriteString(conn, "HTTP/1.1 102 Processing\r\n\r\n")
		}
		_, _ = io.WriteString(conn, whole(credit))
		return true
	})
	wantVerdict(t, makeCredit(s.client(t)), outcome.Retrying, outcome.ClassNoAnswer, true)
}

// TestIdleConnectionsEnd after their time, and with the client; until then they are used again, the last one first.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		a := listen(t, network, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says(http.StatusOK, credit)(w, r)
		})
		var open atomic.Int32
		c := a.client(func(cfg *distributor.Config) {
			cfg.Timeouts.Idle = 10 * time.Second
			cfg.Dial = func(ctx context.Context, n, addr string) (net.Conn, error) {
				conn, err := network.dial(ctx, n, addr)
				open.Add(1)
				return &counted{Conn: conn, open: &open}, err
			}
		})
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				if err := makeCredit(c); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		for range 4 {
			time.Sleep(4 * time.Second)
			if err := makeCredit(c); err != nil {
				t.Error(err)
			}
		}
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections are open, and one was used", n)
		}
		c.Close()
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open after the client's end", n)
		}
	})
}

// counted is a connection that is counted while it is open.
type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// TestCallEndsAfterClient: a call that is under way when the client is closed goes on, and leaves no connection.
func TestCallEndsAfterClient(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := newRawServer(t, func(conn net.Conn, _ int) bool {
		close(entered)
		<-leave
		_, _ = io.WriteString(conn, whole(credit))
		return true
	})
	c := s.client(t)
	called := make(chan error)
	go func() { called <- makeCredit(c) }()
	<-entered
	c.Close()
	close(leave)
	if err := <-called; err != nil {
		t.Error(err)
	}
	_ = s.Close()
	s.served.Wait() // a connection that was left open would keep it waiting
}

// TestContextEndsWhileConnecting: nothing was sent, and the cause is told.
func TestContextEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		a := listen(t, network, says(http.StatusOK, credit))
		var hang atomic.Bool
		c := a.client(func(cfg *distributor.Config) {
			cfg.Timeouts.Idle = time.Nanosecond
			cfg.Dial = func(ctx context.Context, n, addr string) (net.Conn, error) {
				if hang.Load() {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return network.dial(ctx, n, addr)
			}
		})
		if err := makeCredit(c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		hang.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.CreateCredit(ctx, newKey(), someID)
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
