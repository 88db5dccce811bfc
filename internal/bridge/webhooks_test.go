package bridge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// hintToken is the bearer token of tests.
const hintToken = "s3cret-agreed-upon-token"

// hintWorld is a world with orders whose investments are paid, credited by hand, and polled once an hour.
type hintWorld struct {
	*world
	door   *pipeListener // where hints are taken
	client *http.Client  // of the provider
}

// hinted runs a test in virtual time.
func hinted(t *testing.T, test func(t *testing.T, w *hintWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &hintWorld{world: newPipes(t, sandbox.Config{}), door: newPipeListener()}
		w.cfg.Rules.PollInterval, w.cfg.Rules.CreditByHand = time.Hour, true
		// A connection unused for long is not used again: virtual time would meet, to the tick, the minute after which the
		// bridge closes it.
		w.client = &http.Client{Transport: &http.Transport{DialContext: w.door.dial, IdleConnTimeout: 20 * time.Second}}
		t.Cleanup(w.client.CloseIdleConnections)
		test(t, w)
	})
}

// listens makes a member one that takes hints.
func (w *hintWorld) listens(cfg *bridge.Config) {
	cfg.Webhooks.Listen, cfg.Webhooks.Token = "hints.example.org:80", hintToken
	cfg.WebhookListen = func(context.Context, string, string) (net.Listener, error) { return w.door, nil }
}

// invest brings a customer's order so far that its investment is followed, and gives the investment's ID.
func (w *hintWorld) invest(customer string) string {
	w.t.Helper()
	w.emit(
		event("person-"+customer, schemas.TypeCustomerVerified, emitted, verified(customer)),
		event("order-"+customer, schemas.TypeOrderPaid, emitted, order(customer, "o-"+customer, 10)),
	)
	w.await("order-" + customer + " investment.created")
	time.Sleep(10 * time.Second) // the first look
	for _, e := range w.results() {
		if e.CausationID != "order-"+customer || e.Name != schemas.TypeInvestmentCreated {
			continue
		}
		created, err := schemas.Data[schemas.InvestmentCreated](e)
		if err != nil {
			w.t.Fatal(err)
		}
		return created.InvestmentID
	}
	return ""
}

// hint sends a webhook, and gives the answer's status.
func (w *hintWorld) hint(token, investment, status string) int {
	w.t.Helper()
	return w.hintAt("http://hints.example.org", token, investment, status)
}

func (w *hintWorld) hintAt(origin, token, investment, status string) int {
	w.t.Helper()
	return w.post(origin+"/webhooks/investments", token,
		fmt.Sprintf(`{"investment_id":%q,"status":%q,"changed_at":"2026-11-21T10:00:00Z"}`, investment, status))
}

func (w *hintWorld) post(address, token, body string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode
}

// told says whether a customer's order has been told to be delivered.
func (w *hintWorld) told(customer string) bool {
	for _, e := range w.results() {
		changed, err := schemas.Data[schemas.InvestmentStatusChanged](e)
		if e.Name == schemas.TypeInvestmentStatusChanged && err == nil && changed.OrderID == "o-"+customer && changed.Status == "DELIVERED" {
			return true
		}
	}
	return false
}

// looks counts the calls that look at an investment.
func (w *hintWorld) looks() (n int) {
	for _, c := range w.api.Calls() {
		if c.Operation == "get_investment" {
			n++
		}
	}
	return n
}

func (w *hintWorld) deliver(investment string) {
	w.t.Helper()
	if err := w.api.SetStatus(investment, "DELIVERED"); err != nil {
		w.t.Fatal(err)
	}
}

// An investment that is polled once an hour is delivered: its webhook makes the result come at once, whichever member takes it.
func TestWebhook(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		one, other := w.start(w.listens), w.start()
		time.Sleep(time.Minute) // they share the partitions
		owners := map[int]bool{}
		for _, customer := range []string{"a", "b", "c", "d"} {
			investment := w.invest(customer)
			owners[partitionOf(w.world, customer)] = true
			w.deliver(investment)
			time.Sleep(time.Minute)
			if w.told(customer) {
				t.Fatal("it is told before anybody could know")
			}
			if status := w.hint(hintToken, investment, "DELIVERED"); status != http.StatusNoContent {
				t.Fatalf("answer %d", status)
			}
			time.Sleep(2 * time.Second)
			if !w.told(customer) {
				t.Errorf("customer %s: nothing is told 2 s after the webhook", customer)
			}
		}
		if len(owners) < 2 {
			t.Error("all customers are one member's: choose others")
		}
		one.stop()
		other.stop()
	})
}

// The sandbox's own webhooks, sent three times each, late and in any order, make each status a result within two seconds.
func TestWebhooksOfTheSandbox(t *testing.T) {
	t.Parallel()
	statuses := []string{sandbox.StatusReview, sandbox.StatusWaiting, sandbox.StatusAccepted, sandbox.StatusPaid}
	const secret, apart = "s3cret of the provider", 2 * time.Minute
	for name, hooks := range map[string]sandbox.Webhooks{
		"token":  {Token: hintToken},
		"client": {TokenURL: "http://hints.example.org/webhooks/token", ClientID: "provider", ClientSecret: secret},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				door := newPipeListener()
				hooks.URL, hooks.Dial, hooks.Duplicates, hooks.Shuffle = "http://hints.example.org/webhooks/investments", door.dial, 2, true
				cfg := sandbox.Config{Webhooks: hooks, StatusDelay: map[string]time.Duration{}}
				for _, status := range statuses {
					cfg.StatusDelay[status] = apart
				}
				w := &hintWorld{world: newPipes(t, cfg), door: door}
				w.cfg.Rules.PollInterval, w.cfg.Rules.CreditByHand = 3*time.Hour, true
				m := w.start(w.listens, func(cfg *bridge.Config) {
					cfg.Webhooks.ClientID, cfg.Webhooks.ClientSecret = "provider", secret
				})
				ctx, end := context.WithCancel(context.Background())
				var sender sync.WaitGroup
				sender.Go(func() { w.api.SendWebhooks(ctx) })
				w.invest("a")
				time.Sleep(apart * time.Duration(len(statuses)+1))
				end()
				sender.Wait()
				m.stop()
				var told []string
				for _, e := range w.results() {
					changed, err := schemas.Data[schemas.InvestmentStatusChanged](e)
					if e.Name != schemas.TypeInvestmentStatusChanged || err != nil {
						continue
					}
					told = append(told, changed.Status)
					for _, d := range w.api.Deliveries() {
						if late := e.Time.Sub(d.ChangedAt); d.Status == changed.Status && late > 2500*time.Millisecond {
							t.Errorf("%s is told %s after it was so", changed.Status, late)
						}
					}
				}
				if !slices.Equal(told, statuses) {
					t.Errorf("told %q, want %q", told, statuses)
				}
				if n := len(w.api.Deliveries()); n != 3*len(statuses) {
					t.Errorf("%d webhooks were sent", n)
				}
			})
		})
	}
}

// partitionOf gives the partition of a customer, as the state's keys tell.
func partitionOf(w *world, customer string) int {
	for _, r := range w.read(w.cfg.Topics.Names().State) {
		if strings.HasPrefix(string(r.Key), customer+"/") {
			return r.Partition
		}
	}
	return -1
}

// Who lies learns nothing and changes nothing: a hint is a look, and nothing of it is believed.
func TestFalseWebhooks(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		m := w.start(w.listens)
		investment := w.invest("a")
		before, results := w.looks(), len(w.results())
		for range 50 { // a second apart each would be a look
			if status := w.hint("s3cret-wrong-token-of-somebody", investment, "DELIVERED"); status != http.StatusUnauthorized {
				t.Fatalf("forged: answer %d", status)
			}
		}
		for body, want := range map[string]int{
			"": 400, "{": 400, `{"investment_id":"x"}`: 400, `{"investment_id":"` + strings.Repeat("x", 5000) + `"}`: 400,
		} {
			if status := w.post("http://hints.example.org/webhooks/investments", hintToken, body); status != want {
				t.Errorf("body of %d bytes: answer %d, want %d", len(body), status, want)
			}
		}
		if status := w.hint(hintToken, uuid.NewString(), "DELIVERED"); status != http.StatusNoContent {
			t.Errorf("nobody's investment: answer %d", status)
		}
		time.Sleep(10 * time.Second)
		if n := w.looks() - before; n != 0 {
			t.Errorf("%d looks for forged, malformed and foreign hints", n)
		}
		if status := w.hint(hintToken, investment, "DELIVERED"); status != http.StatusNoContent { // which is a lie
			t.Errorf("answer %d", status)
		}
		time.Sleep(10 * time.Second)
		if n := w.looks() - before; n != 1 {
			t.Errorf("%d looks, want 1", n)
		}
		begin := time.Now()
		taken, refused := 0, 0
		for time.Since(begin) < 10*time.Second { // a flood, of one that has the token
			switch status := w.hint(hintToken, investment, "DELIVERED"); status {
			case http.StatusNoContent:
				taken++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Fatalf("answer %d", status)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := w.looks() - before; taken < 500 || taken > 700 || refused == 0 || n > 13 {
			t.Errorf("of a flood of 10 s %d were taken, %d refused, %d looks made", taken, refused, n)
		}
		if n := len(w.results()); n != results {
			t.Errorf("%d results for lies", n-results)
		}
		m.stop()
	})
}

// A hint that the broker does not make durable is not taken, be it written or not, and its repeat is.
func TestWebhookWithoutBroker(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"failed and not applied": false, "failed but applied": true} {
		t.Run(name, func(t *testing.T) {
			hinted(t, func(t *testing.T, w *hintWorld) {
				var network deafness
				m := w.start(w.listens, func(cfg *bridge.Config) { cfg.Dial = network.dials(w.cfg.Dial) })
				investment := w.invest("a")
				w.deliver(investment)
				fault := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.cfg.Topics.Names().Hints, Count: -1, Err: kerr.NotLeaderForPartition}
				if after {
					fault.Observe = true
					fault.When = func(kmsg.Request) bool { network.Store(true); return true }
				}
				h := w.broker.Cluster().Fault(fault)
				if status := w.hint(hintToken, investment, "DELIVERED"); status != http.StatusServiceUnavailable {
					t.Errorf("answer %d, want 503", status)
				}
				h.Remove()
				network.Store(false)
				time.Sleep(time.Minute)
				if status := w.hint(hintToken, investment, "DELIVERED"); status != http.StatusNoContent {
					t.Errorf("repeated: answer %d", status)
				}
				time.Sleep(2 * time.Second)
				if !w.told("a") {
					t.Error("nothing is told 2 s after the repeat")
				}
				m.stop()
			})
		})
	}
}

// deafness is a network in which what was sent arrives, and no answer comes back.
type deafness struct{ atomic.Bool }

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func (d *deafness) dials(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &deafConn{conn, d}, err
	}
}

type deafConn struct {
	net.Conn
	deaf *deafness
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// Hundreds who hold connections and send a byte a second hold up neither events nor, for long, the provider.
func TestSlowWebhooks(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		m := w.start(w.listens)
		investment := w.invest("a")
		w.deliver(investment)
		ctx, cancel := context.WithCancel(context.Background())
		var strangers sync.WaitGroup
		for i := range 600 {
			strangers.Go(func() { dribble(ctx, w.door, []string{"POST /webhooks/investments HTTP/1.1\r\nX-", hintHead(5)}[i%2]) })
		}
		time.Sleep(time.Second)
		began := time.Now()
		w.emit(event("person-b", schemas.TypeCustomerVerified, emitted, verified("b")))
		w.await("person-b customer.registered")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("an event took %s", took)
		}
		if status := w.hint(hintToken, investment, "DELIVERED"); status != http.StatusNoContent {
			t.Errorf("answer %d", status)
		}
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("the provider waited %s", took)
		}
		time.Sleep(2 * time.Second)
		if !w.told("a") {
			t.Error("nothing is told 2 s after the webhook")
		}
		cancel()
		strangers.Wait()
		m.stop()
	})
}

// hintHead is the head of a request whose body never comes whole.
func hintHead(length int) string {
	return fmt.Sprintf("POST /webhooks/investments HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", hintToken, length)
}

// dribble opens a connection, sends the begin, then a byte a second, until it is cut.
func dribble(ctx context.Context, door *pipeListener, begin string) {
	conn, err := door.dial(ctx, "tcp", "")
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for _, err = conn.Write([]byte(begin)); err == nil; _, err = conn.Write([]byte("x")) {
		time.Sleep(time.Second)
	}
}

// Tokens are changed in their file while the bridge runs.
func TestWebhookTokenChanges(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		file := filepath.Join(t.TempDir(), "token")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		const older, newer = "s3cret-token-before", "s3cret-token-after-it"
		write(older + "\n")
		m := w.start(w.listens, func(cfg *bridge.Config) { cfg.Webhooks.Token, cfg.Webhooks.TokenFile = older, file })
		want := func(when string, statuses map[string]int) {
			t.Helper()
			for token, want := range statuses {
				if status := w.hint(token, uuid.NewString(), "PAID"); status != want {
					t.Errorf("%s: answer %d to %s, want %d", when, status, token, want)
				}
			}
		}
		time.Sleep(time.Minute)
		want("at first", map[string]int{older: 204, newer: 401})
		write(older + "\n" + newer + "\n")
		want("meanwhile", map[string]int{older: 204, newer: 204})
		write(newer)
		want("then", map[string]int{older: 401, newer: 204})
		write("")
		want("unreadable", map[string]int{older: 401, newer: 204, "": 401})
		m.stop()
	})
}

// The provider may authenticate with OAuth client credentials instead.
func TestWebhookClient(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		const secret = "s3cret-of-the-provider"
		m := w.start(w.listens, func(cfg *bridge.Config) {
			cfg.Webhooks.Token, cfg.Webhooks.ClientID, cfg.Webhooks.ClientSecret = "", "provider", secret
		})
		time.Sleep(time.Minute)
		for given, want := range map[string]int{secret: 200, "s3cret-of-a-stranger": 401} {
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"provider"}, "client_secret": {given}}
			a, err := w.client.PostForm("http://hints.example.org/webhooks/token", form)
			if err != nil {
				t.Fatal(err)
			}
			_ = a.Body.Close()
			if a.StatusCode != want {
				t.Errorf("answer %d, want %d", a.StatusCode, want)
			}
		}
		if status := w.hint(hintToken, uuid.NewString(), "PAID"); status != http.StatusUnauthorized {
			t.Errorf("a token that was never agreed on: answer %d", status)
		}
		m.stop()
	})
}

// Without the hints' topic a member that takes none does its work, and says it once; one that is to take hints does not start.
func TestNoHintsTopic(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		none := func(cfg *bridge.Config) { cfg.Topics.Hints = "nosuch" }
		m := w.start(none)
		w.invest("a")
		time.Sleep(10 * time.Minute)
		m.stop()
		if n := strings.Count(w.log.String(), "hints cannot be read"); n != 1 {
			t.Errorf("told %d times in 10 minutes", n)
		}
		m = w.start(none, w.listens)
		<-m.done
		if m.err == nil || !strings.Contains(m.err.Error(), "nosuch does not exist: run distributor-bridge topics create") {
			t.Errorf("it ended with %v", m.err)
		}
	})
}
