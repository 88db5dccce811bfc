package bridge_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

var everyPoint = flag.Bool("every-point", false, "kill at every point in every mode, not at a sample of them, and let weeks pass")

// TestKilledAnywhere kills a bridge at each of its writes to Kafka and each of its calls of the API in turn, before the
// write or call arrives and after it has had its effect but before its answer is seen, then starts another one. Whatever
// the point: one effect each at the API, every result, and none that contradicts another.
func TestKilledAnywhere(t *testing.T) {
	modes := []struct {
		name string
		mode sandbox.Idempotency
	}{
		{"errors not cached", sandbox.Idempotency{}},
		{"errors cached", sandbox.Idempotency{CacheErrors: true}},
		{"other body answered", sandbox.Idempotency{AnswerMismatch: true}},
		{"errors cached, body answered", sandbox.Idempotency{CacheErrors: true, AnswerMismatch: true}},
	}
	for i, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			kill := func(at int, after bool) (points int) {
				t.Run(fmt.Sprintf("point %d after=%v", at, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						points = tellAndKill(t, newPipes(t, sandbox.Config{Idempotency: m.mode}), at, after)
					})
				})
				return points
			}
			points := kill(0, false)
			if points < 60 {
				t.Fatalf("the story has only %d points to be killed at: the killer does not see them", points)
			}
			from, step := 1, 1
			if !*everyPoint {
				from, step = 1+i, len(modes) // each mode another share: together they come to each point once
			}
			for at := from; at <= points && !t.Failed(); at += step {
				kill(at, false)
				kill(at, true)
			}
		})
	}
}

// TestDownForLong kills a bridge in the midst of an investment, and starts another one long after. As long as the API
// surely knows the key the call is repeated; after that nobody knows, so it is not, and a person is told.
func TestDownForLong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		down   time.Duration
		result string
		calls  int // of POST investments/
	}{
		{"while the key is kept", 19 * time.Hour, "order credit.succeeded", 2},
		{"longer than the key is kept", 30 * time.Hour, "order event.unresolved", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{})
				k := &killer{after: true, dead: make(chan struct{})}
				k.strikes = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/investments/") }
				w.intercept(k.handler)
				first := w.start(k.take)
				w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
				w.await("person wallet.created")
				w.emit(
					event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)),
					event("untried", schemas.TypeOrderPaid, emitted, order("p1", "o2", 5)),
				)
				<-k.dead
				first.cancel()
				<-first.done
				w.intercept(nil)
				time.Sleep(c.down)
				second := w.start()
				w.await(c.result, "untried credit.succeeded") // what was never tried goes on by itself
				second.stop()
				calls := 0
				for _, call := range w.api.Calls() {
					if call.Operation == "create_investment" {
						calls++
					}
				}
				if got := w.effects()["create_investment"]; got != 2 || calls != c.calls+1 {
					t.Errorf("%d investments by %d calls, want 2 by %d", got, calls, c.calls+1)
				}
			})
		})
	}
}

// Connections are refused for 20 hours, and the bridge is killed meanwhile: nothing was sent, so nothing is in doubt, although an
// intent was written down for each event and 20 hours later the API would know the key no more.
func TestKilledInLongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		calm(&w.cfg)
		o := &outage{refuse: true}
		w.cfg.APIDial = o.dial(w.cfg.APIDial)
		o.on.Store(true)
		k := &killer{dead: make(chan struct{})}
		first := w.start(k.take)
		var want []string
		for i := range 12 { // enough for the breaker to open: those that failed last wait for it in memory
			id := fmt.Sprintf("e%d", i)
			v := verified(fmt.Sprintf("customer-%d", i))
			v.Person.Surname += id
			v.Identification.LegitimationProtocol = nil // its upload would come first, and needs no intent
			w.emit(event(id, schemas.TypeCustomerVerified, emitted, v))
			want = append(want, id+" wallet.created")
		}
		time.Sleep(10 * time.Minute)
		if n := strings.Count(w.log.String(), "only probed until"); n == 0 {
			t.Fatalf("the breaker did not open\n%s", w.log.tail())
		}
		k.kill()
		first.cancel()
		<-first.done
		time.Sleep(20 * time.Hour)
		second := w.start()
		time.Sleep(10 * time.Minute)
		if told(t, w, map[string]int{}); t.Failed() {
			second.stop()
			return
		}
		o.on.Store(false)
		w.await(want...)
		second.stop()
		told(t, w, map[string]int{})
		wantLetters(t, w, nil, 0)
		once(t, w, "create_investor", len(want))
	})
}

// TestKilledOnKafka does the same at some points on real brokers, if there are any.
func TestKilledOnKafka(t *testing.T) {
	if os.Getenv(broker.EnvBrokers) == "" {
		t.Skip("needs " + broker.EnvBrokers)
	}
	for i, at := range []int{3, 11, 24, 38, 55, 71, 90} {
		t.Run(fmt.Sprintf("point %d", at), func(t *testing.T) {
			t.Parallel()
			w := newSockets(t, sandbox.Config{})
			w.cfg.Group.Session, w.cfg.Group.Heartbeat = 6*time.Second, time.Second // for the dead member to be put out
			w.cfg.Rules.Lease = 5 * time.Second
			w.cfg.Rules.Drain = 2 * time.Second // in which the dead does nothing
			w.cfg.API.Timeouts = bridge.Timeouts{
				Dial: time.Second, TLS: time.Second, FirstByte: time.Second, Call: time.Second, Token: time.Second, Idle: time.Second,
			}
			tellAndKill(t, w, at, i%2 == 0)
		})
	}
}

// tellAndKill tells the story to a bridge that is killed at a point (0: never), and to the one started after it. It
// gives the number of points that the first came to.
func tellAndKill(t *testing.T, w *world, at int, after bool) (points int) {
	t.Helper()
	k := &killer{at: at, after: after, dead: make(chan struct{})}
	w.intercept(k.handler)
	first := w.start(k.take)
	second := make(chan *member, 1)
	go func() {
		select {
		case <-k.dead:
			first.cancel()
			<-first.done // whatever it says: it is dead
			w.intercept(nil)
			second <- w.start()
		case <-first.done:
		}
	}()
	for _, part := range []func() ([]schemas.Event, []string){story, positions} {
		events, want := part()
		w.emit(events...)
		w.await(want...)
	}
	select {
	case <-k.dead:
	default:
		first.stop() // which may still come to the point
	}
	select {
	case <-k.dead:
		(<-second).stop()
	default:
	}
	audit(t, w)
	return k.count()
}

// audit looks for doubled effects and contradicting results.
func audit(t *testing.T, w *world) {
	t.Helper()
	if got := w.effects(); !maps.Equal(got, effectsOfStory) {
		t.Errorf("effects: %v, want %v\nlog:\n%s", got, effectsOfStory, w.log.tail())
	}
	kinds := map[string]string{}
	for _, e := range w.results() { // which fails for one ID with two contents
		kind := e.CausationID + " " + e.Name + " " + string(e.Data)
		if other, ok := kinds[kind]; ok && other != e.ID && e.Name != "event.waiting" {
			t.Errorf("%s %s was published under two IDs", e.CausationID, e.Name)
		}
		kinds[kind] = e.ID
	}
	if letters := w.read(w.cfg.Topics.Names().DeadLetters); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
}

// killer stands between a bridge and its network, and cuts all of it off at one of its writes or calls: before that one
// arrives, or after it has had its effect and before its answer is seen. What the bridge still does then reaches nobody,
// as if its process had been killed.
type killer struct {
	at    int
	after bool
	dead  chan struct{} // closed at the kill

	strikes func(*http.Request) bool // if set: the call to be killed at, instead of a point

	mu    sync.Mutex
	n     int
	conns []net.Conn
}

var errKilled = errors.New("killed")

// take puts the killer between.
func (k *killer) take(cfg *bridge.Config) {
	dial := cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := k.dial(ctx, dial, network, address)
		if err != nil {
			return nil, err
		}
		return &killedConn{Conn: conn, killer: k}, nil
	}
	apiDial := cfg.APIDial
	if apiDial == nil {
		apiDial = new(net.Dialer).DialContext
	}
	cfg.APIDial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return k.dial(ctx, apiDial, network, address)
	}
}

func (k *killer) dial(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error),
	network, address string) (net.Conn, error) {
	select {
	case <-k.dead:
		return nil, errKilled
	default:
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, conn)
	return conn, nil
}

// point counts a write or call, and says whether it is the one.
func (k *killer) point() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
	return k.n == k.at
}

func (k *killer) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.n
}

func (k *killer) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.dead:
		return
	default:
	}
	close(k.dead)
	for _, c := range k.conns {
		_ = c.Close()
	}
}

// handler counts the calls of the API, and is the killer there.
func (k *killer) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if k.strikes != nil && !k.strikes(r) || k.strikes == nil && !k.point() {
			next.ServeHTTP(rw, r)
			return
		}
		if k.after {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		k.kill()
		panic(http.ErrAbortHandler)
	})
}

// killedConn is a connection to Kafka on which writes are points: requests to produce, to commit offsets, and for a
// producer ID.
type killedConn struct {
	net.Conn
	killer *killer

	mu     sync.Mutex
	left   int // bytes of the present request still to come
	doomed bool
}

const (
	keyProduce        = 0
	keyOffsetCommit   = 8
	keyInitProducerID = 22
)

// Write passes requests on. kafka-go writes a request's head at once, so that each begins with a Write.
func (c *killedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	begins := c.left == 0
	if begins {
		c.left = 4 + int(binary.BigEndian.Uint32(b))
	}
	c.left -= len(b)
	c.mu.Unlock()
	if begins {
		switch binary.BigEndian.Uint16(b[4:]) {
		case keyProduce, keyOffsetCommit, keyInitProducerID:
			if !c.killer.point() {
				break
			}
			if !c.killer.after {
				c.killer.kill()
				return 0, errKilled
			}
			c.mu.Lock()
			c.doomed = true
			c.mu.Unlock()
		}
	}
	return c.Conn.Write(b)
}

// Read gives answers, but not that of the request that is the point.
func (c *killedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	doomed := c.doomed
	c.mu.Unlock()
	if doomed && n > 0 {
		c.killer.kill()
		return 0, errKilled
	}
	return n, err
}
