package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// UpCmd is "distributor-sandbox up".
type UpCmd struct {
	Data      string        `required:"" placeholder:"DIR" help:"Folder for what the broker keeps, for bridge.yaml and for the API's secret. Made if it does not exist."`
	KafkaPort int           `default:"9092" help:"Port of the broker; 0 is a free one."`
	APIPort   int           `name:"api-port" default:"8080" help:"Port of the API; 0 is a free one."`
	Delay     time.Duration `default:"200ms" help:"How long each KYC, status and task takes at the API."`
	Fresh     bool          `help:"Forget what the broker has kept (DIR/kafka) before it starts."`

	webhookFlags `embed:""`
}

// Help is the rest of the command's help.
func (UpCmd) Help() string {
	return `An in-process Kafka broker and the API's sandbox on 127.0.0.1, until SIGINT or SIGTERM. It makes the topics,
upstream's (customers, orders, payments) and the bridge's own, and writes DIR/bridge.yaml, with which the bridge runs
against both. A bridge.yaml that you have changed is left as it is. With --webhook-url on this machine the bridge takes the
API's webhooks there; their token is in DIR/webhook-token.

The broker keeps its data in DIR/kafka from one start to the next. The API keeps nothing: after a restart, customers
whom the bridge remembers do not exist there any more. Start with --fresh to begin anew on both sides.`
}

// Run serves until ctx ends. What keeps it from serving is found before anything is written, or forgotten.
func (c *UpCmd) Run(ctx context.Context, t terminal) (err error) {
	ln, err := listen(ctx, c.APIPort)
	if err != nil {
		return fmt.Errorf("API: %w (--api-port chooses another one)", err)
	}
	defer ln.Close() // closed twice where the API has served: no matter
	probe, err := listen(ctx, c.KafkaPort)
	if err != nil {
		return fmt.Errorf("broker: %w (--kafka-port chooses another one)", err)
	}
	_ = probe.Close() // the broker takes its place
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	kept := filepath.Join(dir, "kafka")
	if c.Fresh {
		if err := os.RemoveAll(kept); err != nil {
			return fmt.Errorf("--fresh: %w", err)
		}
	}
	secretFile := filepath.Join(dir, "client-secret")
	secret, err := secretIn(secretFile)
	if err != nil {
		return err
	}
	var tokenFile string
	if c.webhookFlags, tokenFile, err = c.kept(dir); err != nil {
		return err
	}
	server, err := sandbox.New(c.api(string(secret)))
	if err != nil {
		return err
	}
	b, err := broker.Start(broker.Config{Ports: []int{c.KafkaPort}, DataDir: kept})
	if err != nil {
		return fmt.Errorf("%w (--kafka-port chooses another one)", err)
	}
	defer b.Close()

	cfg := upConfig(b.Addrs(), "http://"+ln.Addr().String()+sandbox.Base, secretFile)
	c.takes(&cfg, tokenFile)
	if err := makeTopics(ctx, cfg); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	own, err := writeConfig(filepath.Join(dir, "bridge.yaml"), cfg)
	if err != nil {
		return err
	}
	if err := c.tell(t, dir, cfg, own); err != nil {
		return fmt.Errorf("print what is running: %w", err)
	}
	return server.Serve(ctx, ln)
}

// listen takes a port of this machine; 0 is a free one.
func listen(ctx context.Context, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// What the API knows the client and what is for sale by: the same from one start to the next, as bridge.yaml names them.
const upClient = "bridge"

var (
	upCampaign = uuid.NewSHA1(uuid.NameSpaceURL, []byte("distributor-sandbox/campaign/"+offering)).String()
	upProduct  = uuid.NewSHA1(uuid.NameSpaceURL, []byte("distributor-sandbox/product/"+offering)).String()
)

func (c *UpCmd) api(secret string) sandbox.Config {
	task := sandbox.TaskRule{Delay: c.Delay}
	delays := map[string]time.Duration{}
	for _, status := range sandbox.DelayableStatuses() {
		delays[status] = c.Delay
	}
	return sandbox.Config{
		ClientID: upClient, ClientSecret: secret,
		Campaigns:   []sandbox.Campaign{{CampaignID: upCampaign, ProductID: upProduct}},
		KYC:         sandbox.KYC{Delay: c.Delay},
		StatusDelay: delays, Webhooks: c.webhookFlags.config(),
		Tasks: map[string]sandbox.TaskRule{"create_credit": task, "create_redemption": task, "create_transfer": task},
	}
}

// secretIn gives the secret in the file; where there is none, it makes one that only this user can read.
func secretIn(file string) (config.Secret, error) {
	secret, err := config.ReadSecret(file)
	if !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	secret = config.Secret(rand.Text())
	return secret, os.WriteFile(file, []byte(string(secret)+"\n"), 0o600)
}

func makeTopics(ctx context.Context, cfg bridge.Config) error {
	client, err := kafka.New(kafka.Config{Brokers: cfg.Kafka.Brokers, ClientID: "distributor-sandbox"})
	if err != nil {
		return err
	}
	defer client.Close()
	return createTopics(ctx, client, cfg)
}

func (c *UpCmd) tell(t terminal, dir string, cfg bridge.Config, own bool) error {
	s := styleFor(t.stdout, t)
	here := nearby(dir)
	file := filepath.Join(here, "bridge.yaml")
	origin := strings.TrimSuffix(cfg.API.BaseURL, sandbox.Base)
	var to []string
	if c.KafkaPort != 9092 {
		to = cfg.Kafka.Brokers
	}
	emit := program + " emit"
	if len(to) > 0 {
		emit += " --brokers " + strings.Join(to, ",")
	}
	whose := "made for them, with short times: for development only"
	if !own {
		whose = "yours: it is not the one that would be written"
	}
	lines := []string{
		s.bold("Broker and API are running, on this machine only. Ctrl-C ends them."),
		"",
		"  broker   " + strings.Join(cfg.Kafka.Brokers, ","),
		"           keeps its data in " + filepath.Join(here, "kafka"),
		"  API      " + cfg.API.BaseURL,
		"           forgets all when it ends",
		"  topics   " + strings.Join(cfg.Topics.Upstream, ", ") + "; " + cfg.Topics.Prefix + "* are the bridge's",
		"  config   " + file,
		"           " + whose,
		"",
		s.bold("The bridge, in another terminal"),
		fold("  ", "go run ./cmd/distributor-bridge run", "--config "+file),
		"  curl http://" + cfg.Ops.Listen + "/readyz     # and /livez, /metrics",
		"",
		s.bold("Events, and what becomes of them"),
		"  " + emit,
		fold("  ", emit, "--stream --rate 20 --duration 1m"),
		reading(to),
		"",
		s.bold("What the API did, what it did twice, and how it fails on demand"),
		"  curl " + origin + "/sandbox/ledger",
		"  curl " + origin + "/sandbox/doubles",
		"    [] is good. Else each group holds effects that look alike (same operation,",
		"    investor and body) under different keys: one thing done twice, unless",
		"    upstream meant it twice, as two redemptions of as many units.",
		"  curl " + origin + "/sandbox/faults \\",
		`    -d '{"operation": "create_credit", "kind": "cut", "applied": true}'`,
		"",
	}
	_, err := io.WriteString(t.stdout, strings.Join(lines, "\n"))
	return err
}

// nearby gives a folder as seen from the working folder, if it is below that.
func nearby(dir string) string {
	cwd, err := os.Getwd()
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(cwd, dir)
	if err != nil || strings.HasPrefix(rel, "..") {
		return dir
	}
	return rel
}
