package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// prober asks a member for its health and numbers, as Kubernetes and Prometheus do: each time on a new connection.
type prober struct {
	t      testing.TB
	door   *pipeListener
	client *http.Client
}

func newProber(t testing.TB) *prober {
	p := &prober{t: t, door: newPipeListener()}
	p.client = &http.Client{Transport: &http.Transport{DialContext: p.door.dial, DisableKeepAlives: true}}
	return p
}

// serves makes a member answer the prober.
func (p *prober) serves(cfg *bridge.Config) {
	cfg.Ops.Listen = "127.0.0.1:9090"
	cfg.OpsListen = func(context.Context, string, string) (net.Listener, error) { return p.door, nil }
}

// get gives an answer; status 0 if nobody listens.
func (p *prober) get(path string) (status int, body string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://bridge"+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := p.client.Do(r)
	if errors.Is(err, net.ErrClosed) {
		return 0, ""
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return a.StatusCode, string(raw)
}

// missing gives what /readyz says is missing, nothing if the member is ready. The member has to be alive.
func (p *prober) missing() string {
	p.t.Helper()
	if status, body := p.get("/livez"); status != http.StatusOK || body != `{"alive":true}`+"\n" {
		p.t.Errorf("/livez answers %d %s", status, body)
	}
	status, body := p.get("/readyz")
	var answer struct {
		Ready   bool
		Missing []string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		p.t.Fatalf("%v: %s", err, body)
	}
	if answer.Ready != (status == http.StatusOK) || answer.Ready != (len(answer.Missing) == 0) || !answer.Ready && status != 503 {
		p.t.Errorf("/readyz answers %d %s", status, body)
	}
	return strings.Join(answer.Missing, "; ")
}

// stays asks each second for a while, and wants the same of each answer.
func (p *prober) stays(want string, during time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Second) {
		if got := p.missing(); got != want {
			p.t.Fatalf("missing is %q, want %q", got, want)
		}
	}
}

// A member that starts says what it has not got yet, one after the other, and is alive all the while.
func TestReadinessAtStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		var down, refused atomic.Bool
		down.Store(true)
		refused.Store(true)
		w.intercept(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if refused.Load() && strings.HasSuffix(r.URL.Path, "/oauth/token") {
					says(http.StatusUnauthorized)(rw, r)
					return
				}
				next.ServeHTTP(rw, r)
			})
		})
		unreadable := w.broker.Cluster().Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.InitProducerID}, Count: -1, Err: kerr.CoordinatorNotAvailable,
			When: func(r kmsg.Request) bool { return r.(*kmsg.InitProducerIDRequest).TransactionalID != nil },
		})
		dial, late := w.cfg.Dial, w.upstream+".late"
		notThere := "intake: the group for " + late + " is not joined yet: at least one of them has to be there, and to be readable"
		m := w.start(p.serves, func(cfg *bridge.Config) {
			cfg.Topics.Upstream = []string{late}
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if down.Load() {
					return nil, errors.New("connection refused")
				}
				return dial(ctx, network, address)
			}
		})
		p.stays("brokers: they have not answered yet", 2*time.Minute)
		if _, body := p.get("/metrics"); !strings.Contains(body, "distributor_bridge_build_info{") {
			t.Error("no metrics while the brokers are waited for")
		}
		down.Store(false)
		time.Sleep(time.Minute)
		p.stays(notThere+"; state: 0 of 2 partitions are taken over; token: none has been got yet (unauthorized)", time.Minute)
		unreadable.Remove()
		time.Sleep(2 * time.Minute)
		p.stays(notThere+"; token: none has been got yet (unauthorized)", time.Minute)
		refused.Store(false)
		time.Sleep(time.Minute)
		p.stays(notThere, time.Minute)
		const said = `"message":"ready: `
		if strings.Contains(w.log.String(), said) {
			t.Error("it says that it is ready")
		}
		if _, err := w.kafka.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: late, Partitions: 1, Replication: 1}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.stays("", time.Minute)
		if n := strings.Count(w.log.String(), said); n != 1 {
			t.Errorf("it says %d times that it is ready", n)
		}
		m.stop()
		if status, _ := p.get("/livez"); status != 0 {
			t.Errorf("after its end it answers %d", status)
		}
		if n := strings.Count(w.log.String(), "there is no token"); n != 1 {
			t.Errorf("the refusal was told %d times", n)
		}
	})
}

// Once ready, a member stays so through outages of the API and of the brokers, and through rebalances: none of these would be
// mended by taking it out, and rollouts and webhooks would suffer.
func TestReadinessStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{TokenLifetime: 10 * time.Minute}), newProber(t)
		quietly(w)
		o := &outage{refuse: true}
		w.cfg.APIDial = o.dial(w.cfg.APIDial)
		w.intercept(o.handler)
		var network deafness
		m := w.start(p.serves, func(cfg *bridge.Config) { cfg.Dial = network.dials(w.cfg.Dial) })
		time.Sleep(time.Minute)
		p.stays("", 10*time.Second)

		o.on.Store(true)
		for i := range 20 {
			customer := fmt.Sprint("customer-", i)
			w.emit(event("in-outage-"+customer, schemas.TypeCustomerVerified, emitted, verified(customer)))
		}
		p.stays("", time.Hour) // its token ends in it, too
		o.on.Store(false)
		w.await("in-outage-customer-0 wallet.created", "in-outage-customer-19 wallet.created")

		network.Store(true)
		p.stays("", 10*time.Minute)
		network.Store(false)
		time.Sleep(5 * time.Minute)
		w.emit(event("after", schemas.TypeCustomerVerified, emitted, verified("after")))
		w.await("after wallet.created")

		// A second member, and a third one for which there is no partition: both are ready, and the first stays so.
		second, third := newProber(t), newProber(t)
		others := []*member{w.start(second.serves)}
		p.stays("", time.Minute)
		others = append(others, w.start(third.serves))
		p.stays("", 3*time.Minute)
		second.stays("", 10*time.Second)
		third.stays("", 10*time.Second)
		idle := 0
		for _, each := range []*prober{p, second, third} {
			_, body := each.get("/metrics")
			if strings.Contains(body, "\ndistributor_bridge_partitions_assigned 0\n") {
				idle++
			}
		}
		if idle != 1 {
			t.Errorf("%d of three members have none of the two partitions", idle)
		}
		for _, other := range others {
			other.stop()
		}
		p.stays("", time.Minute)
		m.stop()
	})
}

// While a member drains it is not ready, and alive; its numbers can be had until its end.
func TestDrainIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		o := &outage{answer: hangs, only: "/investors/"}
		w.intercept(o.handler)
		m := w.start(p.serves)
		time.Sleep(30 * time.Second)
		p.stays("", time.Second)
		o.on.Store(true)
		w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
		time.Sleep(5 * time.Second)
		m.cancel()
		synctest.Wait()
		p.stays("stopping", 5*time.Second)
		_, body := p.get("/metrics")
		for _, line := range []string{"distributor_bridge_attempts_in_flight 1", "distributor_bridge_api_calls_in_flight 1"} {
			if !strings.Contains(body, "\n"+line+"\n") {
				t.Errorf("%s is not told while it drains", line)
			}
		}
		m.stop()
		if status, _ := p.get("/metrics"); status != 0 {
			t.Errorf("after its end it answers %d", status)
		}
	})
}

// A listener that cannot be opened at the start is told with its key; one that fails later is made anew.
func TestOpsListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		inUse := func(context.Context, string, string) (net.Listener, error) {
			return nil, errors.New("address already in use")
		}
		m := w.start(func(cfg *bridge.Config) { cfg.Ops.Listen, cfg.OpsListen = ":9090", inUse })
		<-m.done
		if m.err == nil || !strings.Contains(m.err.Error(), "ops.listen: address already in use") {
			t.Errorf("ended with %v", m.err)
		}

		p := newProber(t)
		first := &failing{newPipeListener(), make(chan struct{})}
		listeners := []net.Listener{first, p.door}
		m = w.start(func(cfg *bridge.Config) {
			cfg.Ops.Listen = ":9090"
			cfg.OpsListen = func(context.Context, string, string) (net.Listener, error) {
				next := listeners[0]
				listeners = listeners[1:]
				return next, nil
			}
		})
		time.Sleep(time.Minute)
		close(first.fail)
		time.Sleep(2 * time.Second)
		p.stays("", time.Second)
		m.stop()
		if !strings.Contains(w.log.String(), "the descriptor is gone") {
			t.Error("the log does not say why it listened anew")
		}
	})
}

// Profiles are served only if they are allowed, and an address that strangers may reach is warned of.
func TestPprof(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, p := newPipes(t, sandbox.Config{}), newProber(t)
			m := w.start(p.serves, func(cfg *bridge.Config) { cfg.Ops.Pprof, cfg.Ops.Listen = allowed, ":9090" })
			time.Sleep(10 * time.Second)
			want := map[bool]int{false: http.StatusNotFound, true: http.StatusOK}[allowed]
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
				if status, _ := p.get(path); status != want {
					t.Errorf("pprof %v: %s answers %d", allowed, path, status)
				}
			}
			m.stop()
			if warned := strings.Contains(w.log.String(), `"level":"warn"`) && strings.Contains(w.log.String(), `"pprof":true`); warned != allowed {
				t.Errorf("pprof %v: warned %v", allowed, warned)
			}
		})
	}
}

// What is asked in another way than it is answered costs nothing: other methods, other paths, more than there are places for.
func TestOpsLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		m := w.start(p.serves)
		time.Sleep(30 * time.Second)
		for _, path := range []string{"/", "/livez/x", "/debug/pprof/", "/metrics/"} {
			if status, _ := p.get(path); status != http.StatusNotFound {
				t.Errorf("%s answers %d", path, status)
			}
		}
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://bridge/readyz", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST is answered with %d", a.StatusCode)
		}
		// Strangers who say nothing hold all connections: those who ask are answered once their time is over.
		var silent []net.Conn
		for range 64 {
			conn, err := p.door.dial(context.Background(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			silent = append(silent, conn)
		}
		began := time.Now()
		p.stays("", time.Second)
		if took := time.Since(began); took < 3*time.Second || took > 10*time.Second {
			t.Errorf("answered after %s", took)
		}
		for _, conn := range silent {
			conn.Close()
		}
		m.stop()
	})
}

// A wrong address is told with its key.
func TestOpsConfig(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"": "", ":9090": "", "127.0.0.1:0": "", "9090": `"9090" is not host:port`, ":8443": "is also webhooks.listen",
	} {
		c := valid()
		c.Ops.Listen, c.Webhooks.Listen, c.Webhooks.Token = listen, ":8443", hintToken
		told := ""
		if err := c.Validate(); err != nil {
			told = err.Error()
		}
		if want != "" {
			want = "ops.listen: " + want
		}
		if told != want {
			t.Errorf("%q: told %q, want %q", listen, told, want)
		}
	}
}

// A member that is stopped while it waits for the brokers begins nothing any more: it does not open the webhooks' port for its end.
func TestStopBeforeBrokers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		m := w.start(p.serves, func(cfg *bridge.Config) {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
			cfg.Webhooks.Listen, cfg.Webhooks.Token = "127.0.0.1:8443", hintToken
			cfg.WebhookListen = func(ctx context.Context, _, _ string) (net.Listener, error) {
				t.Error("webhooks are listened for")
				return nil, ctx.Err()
			}
		})
		p.stays("brokers: they have not answered yet", 20*time.Second)
		m.stop()
	})
}
