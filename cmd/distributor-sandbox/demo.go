package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// DemoCmd is "distributor-sandbox demo".
type DemoCmd struct {
	JSON    bool          `name:"json" help:"One line of JSON per event, call, result and dead letter, and a summary at the end."`
	Log     string        `enum:"none,error,warn,info,debug" default:"error" help:"What the bridge logs goes to standard error, from this level on: none, error, warn, info or debug."`
	Timeout time.Duration `default:"20s" help:"How long to wait for what a sample is to bring."`
}

// Help is the rest of the command's help.
func (DemoCmd) Help() string {
	return `Needs nothing but this program: an in-process Kafka broker, the API's sandbox, the bridge and sample events, on free
ports of 127.0.0.1. Takes a few seconds and leaves nothing behind.

Each sample is sent to a topic of upstream's. What is shown for it are the calls that the API saw, and the results and
dead letters that the bridge published, read back from their topics: what upstream would see. A GET is shown once per
event, and counted each time. No personal data is shown.

At the end the demo audits the API's ledger: each effect belongs to one event and one step, and none happened twice.
It exits 1, and says why, if anything is not as expected.

With --json, every line has "kind" and "at" (RFC 3339):
  event        n, title, event_id, source, type, customer_id, topic
  call         event_id, step, operation, method, path, status, key,
               applied, replayed, took_ms
  result       event_id (its cause), id, type, customer_id,
               detail (the status, kind or reason that it tells)
  dead_letter  event_id, source, type, reason, class, step, status,
               fields (where and which rule, never a value)
  summary      ok, events (n, event_id, type, outcome, calls, results),
               effects, doubled, problems, took_ms`
}

// Run plays the demo. An error means that it is not as expected.
func (c *DemoCmd) Run(ctx context.Context, t terminal) error {
	var show display = &people{out: t.stdout, style: styleFor(t.stdout, t), began: time.Now()}
	if c.JSON {
		show = newLines(t.stdout)
	}
	s, err := openStage(ctx, c.logger(t.stderr))
	if err != nil {
		return err
	}
	defer s.close()
	show.opening(s)
	d, err := newDemo(s, show, c.Timeout)
	if err != nil {
		return err
	}
	began := time.Now()
	broken := d.play(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return d.finish(broken, began)
}

func (c *DemoCmd) logger(stderr io.Writer) zerolog.Logger {
	if c.Log == "none" {
		return zerolog.Nop()
	}
	level, err := zerolog.ParseLevel(c.Log)
	if err != nil {
		level = zerolog.ErrorLevel
	}
	return zerolog.New(zerolog.SyncWriter(stderr)).Level(level).With().Timestamp().Logger()
}

// Times of the demo's API: short, but long enough for the bridge to see each status.
const (
	demoDelay = 120 * time.Millisecond
	demoPoll  = 60 * time.Millisecond
)

// stage is what the demo plays on: broker, API and bridge, all in this process.
type stage struct {
	broker   *broker.Broker
	server   *sandbox.Server
	api      string // where it listens
	cfg      bridge.Config
	client   *kafka.Client
	upstream *upstream

	endBridge, endAPI context.CancelFunc
	bridging, serving sync.WaitGroup // of the goroutines that they end
	bridge            chan error     // what the bridge ended with; one send, closed after it

	mu       sync.Mutex      // guards repeated
	repeated map[string]bool // IDs of events that the bridge has met again
}

// openStage starts everything. Its close ends what was started, and so does an error.
func openStage(ctx context.Context, log zerolog.Logger) (_ *stage, err error) {
	s := &stage{bridge: make(chan error, 1), repeated: map[string]bool{}}
	lasting := context.WithoutCancel(ctx) // the play ends first, then bridge and API
	var forAPI, forBridge context.Context
	forAPI, s.endAPI = context.WithCancel(lasting)
	forBridge, s.endBridge = context.WithCancel(lasting)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.broker, err = broker.Start(broker.Config{}); err != nil {
		return nil, err
	}
	if err := s.openAPI(forAPI); err != nil {
		return nil, err
	}
	s.configure(log)
	if s.client, err = kafka.New(kafka.Config{Brokers: s.broker.Addrs(), ClientID: "demo"}); err != nil {
		return nil, err
	}
	if err := createTopics(ctx, s.client, s.cfg); err != nil {
		return nil, err
	}
	if s.upstream, err = newUpstream(ctx, s.client, upstreamTopics, false); err != nil {
		return nil, err
	}
	b, err := bridge.New(s.cfg)
	if err != nil {
		return nil, err
	}
	s.bridging.Go(func() {
		defer close(s.bridge)
		s.bridge <- b.Run(forBridge)
	})
	return s, nil
}

func (s *stage) openAPI(ctx context.Context) (err error) {
	task := sandbox.TaskRule{Delay: demoDelay}
	s.server, err = sandbox.New(sandbox.Config{
		KYC: sandbox.KYC{Delay: demoDelay},
		StatusDelay: map[string]time.Duration{
			sandbox.StatusWaiting: demoDelay, sandbox.StatusAccepted: demoDelay, sandbox.StatusPaid: demoDelay,
		},
		Tasks: map[string]sandbox.TaskRule{"create_credit": task, "create_redemption": task, "create_transfer": task},
	})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.api = "http://" + ln.Addr().String()
	s.serving.Go(func() { _ = s.server.Serve(ctx, ln) }) // what does not serve, fails the calls, and with them the demo
	return nil
}

func (s *stage) configure(log zerolog.Logger) {
	id, secret := s.server.Credentials()
	campaign := s.server.Campaigns()[0]
	cfg := bridge.Default()
	cfg.Kafka.Brokers = s.broker.Addrs()
	cfg.Topics.Upstream = upstreamTopics
	cfg.Ops.Listen = ""
	cfg.Topics.Partitions, cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 3, 1, 1
	cfg.API.BaseURL = s.api + sandbox.Base
	cfg.API.ClientID, cfg.API.ClientSecret = id, config.Secret(secret)
	cfg.Offerings = map[string]bridge.Offering{offering: {Campaign: campaign.CampaignID, Product: campaign.ProductID}}
	cfg.Rules.PollInterval = demoPoll
	cfg.Log = log
	cfg.Report = s.report
	s.cfg = cfg
}

// report notes which events the bridge has known already: of these it publishes nothing.
func (s *stage) report(r consumer.Report) {
	if r.Repeated {
		s.mu.Lock()
		s.repeated[r.Event.ID] = true
		s.mu.Unlock()
	}
}

func (s *stage) wasRepeated(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repeated[id]
}

// stopBridge lets the bridge bring to its end what it has in hand; after it nothing is called or published any more.
func (s *stage) stopBridge() error {
	s.endBridge()
	return <-s.bridge
}

func (s *stage) close() {
	s.endBridge()
	s.bridging.Wait()
	s.endAPI()
	s.serving.Wait()
	if s.upstream != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.upstream.producer.Close(ctx) // what it had under way nobody waits for
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
}

// createTopics makes upstream's topics and the bridge's own, where they do not exist.
func createTopics(ctx context.Context, client *kafka.Client, cfg bridge.Config) error {
	specs := bridge.TopicSpecs(cfg)
	for _, topic := range cfg.Topics.Upstream {
		specs = append(specs, kafka.TopicSpec{Name: topic, Partitions: 3, Replication: 1})
	}
	if _, err := client.CreateTopics(ctx, specs); err != nil {
		return fmt.Errorf("make the topics: %w", err)
	}
	return nil
}

// newContract gives the contract of the default types.
func newContract() (*schemas.Contract, error) { return schemas.New(schemas.DefaultPrefix) }
