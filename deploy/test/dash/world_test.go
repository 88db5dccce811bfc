package dash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// world is a bridge with brokers and an API, all in one synctest bubble: hours of it cost seconds.
type world struct {
	t        *testing.T
	api      *sandbox.Server
	hooks    *pipe // where the bridge takes the provider's webhooks
	ops      *pipe // where it serves its metrics
	producer *kafka.Producer
	scrapes  []scrape
	events   int
}

// scrape is what Prometheus is given, and when.
type scrape struct {
	at   time.Time
	body []byte
}

const (
	upstream = "upstream"
	token    = "agreed-on-with-the-provider"
)

// newWorld starts a bridge. It ends with the test.
func newWorld(t *testing.T) *world {
	t.Helper()
	b, err := broker.Pipe(broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	api, err := sandbox.New(sandbox.Config{ClientID: "bridge", ClientSecret: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, api: api, hooks: newPipe(), ops: newPipe()}
	cfg := w.config(b, w.serve())
	client, err := kafka.New(kafka.Config{Brokers: cfg.Kafka.Brokers, Dial: b.Dial, MetadataAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	w.producer = client.Producer(kafka.ProducerConfig{})
	t.Cleanup(func() {
		_ = w.producer.Close(context.Background())
		client.Close()
	})
	specs := append(bridge.TopicSpecs(cfg), kafka.TopicSpec{Name: upstream, Partitions: 3, Replication: 1})
	if _, err := client.CreateTopics(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	w.start(cfg)
	return w
}

func (w *world) config(b *broker.Broker, api *pipe) bridge.Config {
	cfg := bridge.Default()
	cfg.Kafka.Brokers, cfg.Dial, cfg.APIDial = b.Addrs(), b.Dial, api.dial
	cfg.Topics.Upstream = []string{upstream}
	cfg.Topics.Partitions, cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 3, 1, 1
	cfg.API.BaseURL = "http://127.0.0.1:80/api/external"
	cfg.API.ClientID, cfg.API.ClientSecret = "bridge", config.Secret("s3cret")
	campaign := w.api.Campaigns()[0]
	cfg.Offerings = map[string]bridge.Offering{"solar-2026": {Campaign: campaign.CampaignID, Product: campaign.ProductID}}
	cfg.Documents.AllowedHosts = []string{"documents.example.com"}
	// What a member does all the time costs most, and is not what this is about.
	cfg.Group.Heartbeat, cfg.Group.Session, cfg.Rules.Lease = 20*time.Second, 2*time.Minute, time.Minute
	cfg.Webhooks.Listen, cfg.Webhooks.Token = "127.0.0.1:8443", token
	cfg.WebhookListen = func(context.Context, string, string) (net.Listener, error) { return w.hooks, nil }
	cfg.Ops.Listen = "127.0.0.1:9090"
	cfg.OpsListen = func(context.Context, string, string) (net.Listener, error) { return w.ops, nil }
	cfg.Version, cfg.Registry = "v1.2.3", prometheus.NewPedanticRegistry()
	cfg.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) // as run does
	return cfg
}

// serve serves the API on pipes until the test ends.
func (w *world) serve() *pipe {
	ln := newPipe()
	server, served := &http.Server{Handler: w.api.Handler(), ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return ln
}

func (w *world) start(cfg bridge.Config) {
	b, err := bridge.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the bridge ended with: %v", err)
		}
	})
}

// live lets time go by, with a scrape every 15 s, and a customer with an order, or what else is to come, every beat.
func (w *world) live(lasting, beat time.Duration, come func(n int)) {
	w.t.Helper()
	const interval = 15 * time.Second
	next := time.Now()
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(interval) {
		for ; come != nil && !next.After(time.Now()); next = next.Add(beat) {
			w.events++
			come(w.events)
		}
		w.scrape()
	}
}

// scrape asks as Prometheus does.
func (w *world) scrape() {
	w.t.Helper()
	answer := w.ask(w.ops, http.MethodGet, "/metrics", "", nil)
	w.scrapes = append(w.scrapes, scrape{time.Now(), answer})
}

// ask makes a request of one of the bridge's listeners.
func (w *world) ask(of *pipe, method, path, token string, body io.Reader) []byte {
	w.t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: of.dial, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://bridge"+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// customer emits that somebody is verified, and order that it has paid for something.
func (w *world) customer(n int) {
	w.emit("customer.verified/valid-person-least", fmt.Sprintf("verified-%d", n), fmt.Sprintf("customer-%d", n), map[string]any{
		"person": map[string]any{"surname": fmt.Sprintf("Mustermann%d", n)}, // else the API takes them for one
	})
}

func (w *world) order(customer, n int, more map[string]any) {
	data := map[string]any{"order_id": fmt.Sprintf("order-%d", n), "units": 10, "signed_documents": []any{signed}}
	maps.Copy(data, more)
	w.emit("order.paid/valid-least", fmt.Sprintf("paid-%d", n), fmt.Sprintf("customer-%d", customer), data)
}

// hint tells the bridge, as the provider does, that an investment has changed.
func (w *world) hint(token string) {
	w.t.Helper()
	const changed = `{"investment_id": "00000000-0000-4000-8000-000000000001", "status": "PAID", "changed_at": "2026-01-15T09:30:00Z"}`
	w.ask(w.hooks, http.MethodPost, "/webhooks/investments", token, strings.NewReader(changed))
}

// signed is a document that comes inline.
var signed = map[string]any{
	"document": map[string]any{
		"name": "subscription.pdf", "content_type": "application/pdf", "size": 21, "content": "JVBERi0xLjcgc3Vic2NyaXB0aW9u",
		"sha256": "073b98be61b47e90fb04d1e23e4248b021169db7956cc92551e72738e474062f",
	},
	"category": "SUBSCRIPTION", "subject": "Subscription form",
}

// emit writes an example of the contract's, with another identity, customer and time, and with these data.
func (w *world) emit(example, id, customer string, data map[string]any) {
	w.t.Helper()
	raw, err := os.ReadFile("../../../schemas/examples/" + example + ".json")
	if err != nil {
		w.t.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(raw, &event); err != nil {
		w.t.Fatal(err)
	}
	event["id"], event["time"] = id, time.Now().UTC().Format(time.RFC3339)
	of := event["data"].(map[string]any)
	of["customer_id"] = customer
	for name, value := range data {
		if part, ok := value.(map[string]any); ok {
			maps.Copy(of[name].(map[string]any), part)
			continue
		}
		of[name] = value
	}
	value, err := json.Marshal(event)
	if err != nil {
		w.t.Fatal(err)
	}
	record := kafka.Record{
		Topic: upstream, Partition: 1, Value: value,
		Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
	}
	if _, err := w.producer.Produce(w.t.Context(), record); err != nil {
		w.t.Fatal(err)
	}
}

// pipe is a listener without sockets, and what dials it.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
