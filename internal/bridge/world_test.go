package bridge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// world is what a bridge lives in: brokers, the API, upstream's topic, and somebody who reads what is published. It
// outlives bridges.
type world struct {
	t        testing.TB
	cfg      bridge.Config
	upstream string
	kafka    *kafka.Client
	producer *kafka.Producer
	contract *schemas.Contract
	api      *sandbox.Server
	handler  http.Handler   // of api
	broker   *broker.Broker // of newPipes
	tester   kafka.Config   // how those who emit and read connect, beyond brokers and Dial
	log      *lockedBuffer

	mu   sync.Mutex
	wrap func(http.Handler) http.Handler // around the API; nil for none
}

// newPipes makes a world without sockets, for a synctest bubble: everything in it is in virtual time.
func newPipes(t testing.TB, cfg sandbox.Config) *world {
	t.Helper()
	w := newPipesOn(t, cfg, broker.Config{})
	w.open()
	return w
}

// newPipesOn is newPipes with brokers of another kind; it has to be opened.
func newPipesOn(t testing.TB, cfg sandbox.Config, brokers broker.Config) *world {
	t.Helper()
	b, err := broker.Pipe(brokers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ln := newPipeListener()
	w := newWorld(t, cfg, b.Addrs(), ln)
	w.broker, w.cfg.Dial, w.cfg.APIDial = b, b.Dial, ln.dial
	w.cfg.API.BaseURL = "http://127.0.0.1:80/api/external"
	return w
}

// newSockets makes a world with sockets on 127.0.0.1, on the brokers of KAFKA_BROKERS if there are any.
func newSockets(t testing.TB, cfg sandbox.Config) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, cfg, broker.ForTest(t), ln)
	w.cfg.API.BaseURL = "http://" + ln.Addr().String() + "/api/external"
	w.open()
	return w
}

func newWorld(t testing.TB, cfg sandbox.Config, brokers []string, ln net.Listener) *world {
	t.Helper()
	cfg.ClientID, cfg.ClientSecret = "bridge", "s3cret"
	api, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, upstream: broker.Name(t, "upstream"), contract: contract, api: api, handler: api.Handler(), log: &lockedBuffer{}}
	w.cfg = w.config(brokers)
	server := &http.Server{Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return w
}

// personal are values that must be seen nowhere but in upstream's topic, the inbox, the dead letters and at the API.
var personal = []string{
	mark, "DE89370400440532013000", "COBADEFF", "+49 69", "+49 30", "1980-02-29", "1970-12-31", "s3cret",
	base64.StdEncoding.EncodeToString([]byte("%PDF-1.7")),
}

// discreet fails the test if personal data or a secret is in the log, in state, in a result, or in a dead letter's headers.
func (w *world) discreet() {
	w.t.Helper()
	look := func(where, text string) {
		w.t.Helper()
		for _, value := range personal {
			if i := strings.Index(text, value); i >= 0 {
				w.t.Errorf("%s holds %q: …%s…", where, value, text[max(0, i-300):min(len(text), i+100)])
			}
		}
	}
	look("the log", w.log.String())
	names := w.cfg.Topics.Names()
	for _, topic := range []string{names.State, names.Results} {
		for _, r := range w.read(topic) {
			look(topic, fmt.Sprintf("%s %s %s", r.Key, r.Headers, r.Value))
		}
	}
	for _, r := range w.read(names.DeadLetters) {
		for _, h := range r.Headers {
			if strings.HasPrefix(h.Key, "dlq_") {
				look("a dead letter's header", h.Key+" "+string(h.Value))
			}
		}
	}
}

func (w *world) config(brokers []string) bridge.Config {
	cfg := bridge.Default()
	cfg.Kafka.Brokers = brokers
	cfg.Group.Name = broker.Name(w.t, "group")
	cfg.Topics.Upstream = []string{w.upstream}
	cfg.Topics.Prefix = broker.Name(w.t, "")
	cfg.Topics.Partitions, cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 2, 1, 1
	cfg.API.BaseURL = "http://127.0.0.1:1/api/external"
	cfg.API.ClientID, cfg.API.ClientSecret = "bridge", config.Secret("s3cret")
	campaign := w.api.Campaigns()[0]
	cfg.Offerings = map[string]bridge.Offering{"solar-2026": {Campaign: campaign.CampaignID, Product: campaign.ProductID}}
	cfg.Rules.PollInterval = 100 * time.Millisecond
	cfg.Rules.Retry.Initial = 50 * time.Millisecond
	cfg.Log = zerolog.New(w.log).Level(zerolog.DebugLevel)
	cfg.Ops.Listen = "" // tests of it have their own
	return cfg
}

// open connects those who emit and read, and makes the topics.
func (w *world) open() {
	w.t.Helper()
	connection := w.tester
	connection.Brokers, connection.Dial, connection.MetadataAge = w.cfg.Kafka.Brokers, w.cfg.Dial, time.Hour
	client, err := kafka.New(connection)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kafka, w.producer = client, client.Producer(kafka.ProducerConfig{})
	w.t.Cleanup(func() {
		w.discreet()
		if err := w.producer.Close(context.Background()); err != nil {
			w.t.Error(err)
		}
		client.Close()
	})
	specs := append(bridge.TopicSpecs(w.cfg), kafka.TopicSpec{Name: w.upstream, Partitions: 3, Replication: 1})
	if _, err := client.CreateTopics(context.Background(), specs); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	wrap := w.wrap
	w.mu.Unlock()
	if wrap != nil {
		wrap(w.handler).ServeHTTP(rw, r)
		return
	}
	w.handler.ServeHTTP(rw, r)
}

func (w *world) intercept(wrap func(http.Handler) http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrap = wrap
}

// member is a bridge that runs.
type member struct {
	w      *world
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // of its end
}

// start runs a bridge, with changes to the world's configuration.
func (w *world) start(changes ...func(*bridge.Config)) *member {
	w.t.Helper()
	cfg := w.cfg
	for _, change := range changes {
		change(&cfg)
	}
	b, err := bridge.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{w: w, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		m.err = b.Run(ctx)
	}()
	return m
}

// stop ends the bridge as an operator does.
func (m *member) stop() {
	m.w.t.Helper()
	m.cancel()
	<-m.done
	if m.err != nil {
		m.w.t.Errorf("the bridge ended with: %v", m.err)
	}
}

// emit writes events to upstream's topic, all into one partition: in this order.
func (w *world) emit(events ...schemas.Event) {
	w.t.Helper()
	for _, e := range events {
		value, headers := e.Binary()
		w.write(value, headers)
	}
}

func (w *world) write(value []byte, headers []schemas.Header) {
	w.t.Helper()
	r := kafka.Record{Topic: w.upstream, Partition: 1, Key: []byte("upstream's own"), Value: value, Headers: headers}
	if _, err := w.producer.Produce(context.Background(), r); err != nil {
		w.t.Fatal(err)
	}
}

// read gives all records of a topic, partition by partition.
func (w *world) read(topic string) []kafka.Record {
	w.t.Helper()
	ends, err := w.kafka.EndOffset(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	starts, err := w.kafka.StartOffset(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	var records []kafka.Record
	for partition := range len(ends) {
		err := w.kafka.Read(context.Background(), topic, partition, starts[partition], ends[partition], func(r kafka.Record) error {
			records = append(records, r)
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return records
}

// results gives what has been published, each result once, in the order of its customer. Results with one ID that
// differ fail the test.
func (w *world) results() []schemas.Event {
	w.t.Helper()
	var results []schemas.Event
	seen := map[string]kafka.Record{}
	for _, r := range w.read(w.cfg.Topics.Names().Results) {
		e := w.decode(r)
		if first, ok := seen[e.ID]; ok {
			if !bytes.Equal(first.Value, r.Value) || fmt.Sprint(first.Headers) != fmt.Sprint(r.Headers) {
				w.t.Errorf("result %s %s was published again with other bytes", e.Name, e.ID)
			}
			continue
		}
		seen[e.ID] = r
		if err := w.contract.ValidateResult(e); err != nil {
			w.t.Errorf("result %s: %v", e.Name, err)
		}
		results = append(results, e)
	}
	return results
}

func (w *world) decode(r kafka.Record) schemas.Event {
	w.t.Helper()
	e, err := w.contract.Decode(r.Value, r.Headers)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// await waits until results of these kinds ("order.paid-1 investment.created": cause and type) have been published.
func (w *world) await(want ...string) {
	w.t.Helper()
	var missing []string
	for deadline := time.Now().Add(w.patience()); time.Now().Before(deadline); time.Sleep(w.glance()) {
		have := map[string]bool{}
		for _, e := range w.results() {
			have[e.CausationID+" "+e.Name] = true
		}
		missing = missing[:0]
		for _, k := range want {
			if !have[k] {
				missing = append(missing, k)
			}
		}
		if len(missing) == 0 {
			return
		}
	}
	w.t.Fatalf("never published: %s\nlog:\n%s", strings.Join(missing, ", "), w.log.tail())
}

// patience is how long await waits: in virtual time it costs nothing.
func (w *world) patience() time.Duration {
	if w.cfg.Dial != nil {
		return 12 * time.Hour
	}
	return 30 * time.Second
}

// glance is the time between two looks of await: in virtual time only looks cost.
func (w *world) glance() time.Duration {
	if w.cfg.Dial != nil {
		return 2 * time.Second
	}
	return 50 * time.Millisecond
}

// effects counts the ledger's effects by operation.
func (w *world) effects() map[string]int {
	count := map[string]int{}
	for _, e := range w.api.Ledger() {
		count[e.Operation]++
	}
	return count
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) tail() string {
	s := l.String()
	return s[max(0, len(s)-8000):]
}

// pipeListener is the API's listener in a world without sockets.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// event makes an event of upstream's; data is one of schemas' types.
func event(id, name, at string, data any) schemas.Event {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	return schemas.Event{
		ID: id, Source: "/upstream/test", Type: schemas.DefaultPrefix + name, Name: name, Time: when,
		DataContentType: "application/json", Data: raw,
	}
}

// document makes a document that comes inline.
func document(name string) schemas.Document {
	content := []byte("%PDF-1.7 " + name + " MarkedDocument")
	sum := sha256.Sum256(content)
	return schemas.Document{
		Name: name, ContentType: "application/pdf", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Content: base64.StdEncoding.EncodeToString(content),
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
