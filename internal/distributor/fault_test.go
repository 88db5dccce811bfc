package distributor_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// cutOff writes raw bytes instead of an answer, and cuts the connection off.
func cutOff(t *testing.T, raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		_, _ = io.WriteString(conn, raw)
		_ = conn.Close()
	}
}

// stall answers nothing for as long as the client waits.
func stall(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client is gone
	<-r.Context().Done()
}

// withToken gives a client that has its token already, so that what happens next happens to a call.
func withToken(t *testing.T, a *api, changes ...func(*distributor.Config)) *distributor.Client {
	t.Helper()
	answer := a.answer
	a.set(func() { a.answer = says(http.StatusOK, `{}`) })
	c := a.client(changes...)
	if err := patch.make(t, c); err != nil {
		t.Fatal(err)
	}
	a.set(func() { a.answer, a.calls = answer, nil })
	return c
}

// TestAppliedButNoAnswer: the API got the call, and nobody can say what it did.
func TestAppliedButNoAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(*testing.T) http.HandlerFunc
		cause  error
	}{
		"no byte":       {func(t *testing.T) http.HandlerFunc { return cutOff(t, "") }, nil},
		"half a header": {func(t *testing.T) http.HandlerFunc { return cutOff(t, "HTTP/1.1 201 Created\r\nContent-Le") }, nil},
		"not HTTP":      {func(t *testing.T) http.HandlerFunc { return cutOff(t, "GEHEIM\r\n\r\n") }, nil},
		"half a body": {func(t *testing.T) http.HandlerFunc {
			return cutOff(t, "HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{\"id\":")
		}, nil},
		"half a chunk": {func(t *testing.T) http.HandlerFunc {
			return cutOff(t, "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")
		}, nil},
		"huge header": {func(t *testing.T) http.HandlerFunc {
			return cutOff(t, "HTTP/1.1 201 Created\r\nX: "+strings.Repeat("G", 100<<10))
		}, nil},
		"no header for so": {func(*testing.T) http.HandlerFunc { return stall }, nil},
		"no body for long": {func(*testing.T) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusCreated)
				_ = http.NewResponseController(w).Flush()
				stall(w, r)
			}
		}, context.DeadlineExceeded},
	} {
		for _, k := range []kind{collection, patch, get} {
			t.Run(name+" "+string(k), func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, test.answer(t))
				c := withToken(t, a, func(cfg *distributor.Config) {
					cfg.Timeouts.FirstByte = time.Second
					cfg.Timeouts.Call = 2 * time.Second
				})
				err := k.make(t, c)
				wantVerdict(t, err, outcome.Retrying, outcome.ClassNoAnswer, k != get)
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Errorf("cause: %v", err)
				}
				if calls := a.seen(); len(calls) != 1 {
					t.Errorf("%d calls", len(calls))
				}
			})
		}
	}
}

func TestContextEndsInTheMidst(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a := newAPI(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	c := withToken(t, a)
	_, err := c.CreateCredit(ctx, newKey(), someID)
	wantVerdict(t, err, outcome.Retrying, outcome.ClassNoAnswer, true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cause: %v", err)
	}
	_, err = c.CreateCredit(ctx, newKey(), someID)
	wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
	if n := len(a.seen()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// TestNotSent: the call surely did not arrive.
func TestNotSent(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	fails := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"refused":    fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED, Source: &net.UnixAddr{Name: "GEHEIM"}}),
		"DNS":        fails(&net.DNSError{Err: "no such host", Name: "GEHEIM.example", IsNotFound: true}),
		"dial hangs": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, says(http.StatusCreated, `{}`))
			var broken atomic.Bool
			c := withToken(t, a, func(cfg *distributor.Config) {
				cfg.Timeouts.Dial = time.Second
				cfg.Timeouts.Idle = time.Nanosecond
				cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if broken.Load() {
						return dial(ctx, network, addr)
					}
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
			})
			broken.Store(true)
			a.CloseClientConnections()
			wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassNotSent, false)
			if n := len(a.seen()); n != 0 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// TestTLS: a server whose certificate is not trusted, or that speaks an old version, gets nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	start := func(version uint16) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"access_token":"x","id":%q}`, someID)
		}))
		s.TLS = &tls.Config{MaxVersion: version}
		s.Config.ErrorLog = quiet
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	trusting := func(s *httptest.Server) func(*distributor.Config) {
		pool := x509.NewCertPool()
		pool.AddCert(s.Certificate())
		return func(cfg *distributor.Config) { cfg.RootCAs = pool }
	}
	modern, old := start(tls.VersionTLS13), start(tls.VersionTLS11)

	wantVerdict(t, collection.make(t, newClient(t, modern.URL)), outcome.Retrying, outcome.ClassNotSent, false)
	wantVerdict(t, collection.make(t, newClient(t, old.URL, trusting(old))), outcome.Retrying, outcome.ClassNotSent, false)
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls", n)
	}
	if err := collection.make(t, newClient(t, modern.URL, trusting(modern))); err != nil {
		t.Errorf("a trusted server: %v", err)
	}
}

func TestTLSHandshakeHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "https://api.example", func(cfg *distributor.Config) {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, server) }()
				return client, nil
			}
		})
		start := time.Now()
		wantVerdict(t, collection.make(t, c), outcome.Retrying, outcome.ClassNotSent, false)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// TestLateCallLosesNoConnection: the one that it would have gone on is another's.
func TestLateCallLosesNoConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		a := listen(t, network, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = fmt.Fprintf(w, `{"id":%q,"status":"processing"}`, someID)
		})
		var dials atomic.Int32
		c := a.client(func(cfg *distributor.Config) {
			cfg.Dial = func(ctx context.Context, n, addr string) (net.Conn, error) {
				dials.Add(1)
				return network.dial(ctx, n, addr)
			}
		})
		side := func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, err := c.CreateCredit(context.Background(), newKey(), someID); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		side()
		before := dials.Load()
		_, err := c.CreateCredit(distributor.SendBefore(t.Context(), time.Now()), newKey(), someID)
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		side()
		if n := dials.Load() - before; n != 0 {
			t.Errorf("%d connections were lost", n)
		}
	})
}

// TestPoolIsFull: a call that gets no connection within its time was not sent.
func TestPoolIsFull(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = fmt.Fprintf(w, `{"id":%q}`, someID)
	})
	c := withToken(t, a, func(cfg *distributor.Config) { cfg.MaxInFlight = 1 })
	first := make(chan error)
	go func() {
		_, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{})
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.CreateInvestor(ctx, newKey(), distributor.Investor{})
	wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := len(a.seen()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestAnswerTooLarge(t *testing.T) {
	t.Parallel()
	large := `{"id":"` + someID + `","status":"PAID","x":"` + strings.Repeat("G", 2000) + `"}`
	for k, want := range map[kind]outcome.Verdict{collection: outcome.Unresolved, get: outcome.Retrying} {
		a := newAPI(t, says(http.StatusOK, large))
		c := a.client(func(cfg *distributor.Config) { cfg.MaxAnswerBytes = 2000 })
		wantVerdict(t, k.make(t, c), want, outcome.ClassContract, false)
		whole := a.client(func(cfg *distributor.Config) { cfg.MaxAnswerBytes = int64(len(large)) })
		if err := k.make(t, whole); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	}
}

func TestRefusalThatIsCutOff(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.answer = cutOff(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n{\"zip\":")
	e := wantVerdict(t, collection.make(t, a.client()), outcome.Rejected, outcome.ClassClient, false)
	if e.Status != http.StatusBadRequest {
		t.Errorf("status %d", e.Status)
	}
}

// TestNoSilentRepeat: a call reaches the API once, and is in doubt, if a reused connection breaks before an answer. net/http's
// Transport would repeat one with X-Idempotency-Key and without a body by itself.
func TestNoSilentRepeat(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *distributor.Client) error{
		"no body": func(ctx context.Context, c *distributor.Client) error {
			_, err := c.CreateCredit(ctx, newKey(), someID)
			return err
		},
		"body": func(ctx context.Context, c *distributor.Client) error {
			_, err := c.CreateManagedWallet(ctx, newKey(), someID, new(true))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newRawServer(t, func(conn net.Conn, call int) bool {
				_, _ = io.WriteString(conn, strings.Repeat(whole(credit), max(0, 2-call))) // the first call is answered, no other
				return call == 1
			})
			c := server.client(t)
			if err := call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			wantVerdict(t, call(t.Context(), c), outcome.Retrying, outcome.ClassNoAnswer, true)
			if n := server.calls.Load(); n != 2 {
				t.Errorf("%d requests for two calls", n)
			}
			if err := call(t.Context(), c); err == nil {
				t.Error("the third call was answered, so the server does not break connections")
			}
		})
	}
}

// TestSendBefore: a call that could only be sent later than it may is not sent, whatever it had to wait for.
func TestSendBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		a := listen(t, network, says(http.StatusCreated, `{"id":"`+someID+`","status":"processing"}`))
		a.token = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			a.grant(w, r, secret, 3600)
		}
		c := a.client(func(cfg *distributor.Config) { cfg.Dial = network.dial })

		ctx := distributor.SendBefore(t.Context(), time.Now().Add(5*time.Second))
		_, err := c.CreateCredit(ctx, newKey(), someID) // waits 5 s for the token
		wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		if n := len(a.seen()); n != 0 {
			t.Fatalf("%d calls", n)
		}
		ctx = distributor.SendBefore(t.Context(), time.Now().Add(time.Second))
		if _, err := c.CreateCredit(ctx, newKey(), someID); err != nil {
			t.Error(err)
		}
		ctx = distributor.SendBefore(t.Context(), time.Now()) // now on connections that are reused
		for range 3 {
			_, err = c.CreateCredit(ctx, newKey(), someID)
			wantVerdict(t, err, outcome.Retrying, outcome.ClassNotSent, false)
		}
		if n := len(a.seen()); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}
