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
}

// Help is the rest of the command's help.
func (UpCmd) Help() string {
	return `An in-process Kafka broker and the API's sandbox on 127.0.0.1, until SIGINT or SIGTERM. It makes the topics,
upstream's (customers, orders, payments) and the bridge's own, and writes DIR/bridge.yaml, with which the bridge runs
against both. A bridge.yaml that you have changed is left as it is.

The broker keeps its data in DIR/kafka from one start to the next. The API keeps nothing: after a restart, customers
whom the bridge remembers do not exist there any more. Start with --fresh to begin anew on both sides.`
}

// Run serves until ctx ends.
func (c *UpCmd) Run(ctx context.Context, t terminal) (err error) {
	if err := os.MkdirAll(c.Data, 0o750); err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Data)
	if err != nil {
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
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", c.APIPort))
	if err != nil {
		return fmt.Errorf("API: %w (--api-port chooses another one)", err)
	}
	defer ln.Close() // closed twice where the API has served: no matter
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
		StatusDelay: delays,
		Tasks:       map[string]sandbox.TaskRule{"create_credit": task, "create_redemption": task, "create_transfer": task},
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

// upConfig is the configuration of a bridge for broker and API.
func upConfig(brokers []string, api, secretFile string) bridge.Config {
	cfg := bridge.Default()
	cfg.Kafka.Brokers = brokers
	cfg.Topics.Upstream = upstreamTopics
	cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 1, 1
	cfg.API.BaseURL, cfg.API.ClientID, cfg.API.ClientSecretFile = api, upClient, secretFile
	cfg.Offerings = map[string]bridge.Offering{offering: {Campaign: upCampaign, Product: upProduct}}
	cfg.Rules.PollInterval = 200 * time.Millisecond
	return cfg
}

func makeTopics(ctx context.Context, cfg bridge.Config) error {
	client, err := kafka.New(kafka.Config{Brokers: cfg.Kafka.Brokers, ClientID: "distributor-sandbox"})
	if err != nil {
		return err
	}
	defer client.Close()
	return createTopics(ctx, client, cfg)
}

// writeConfig writes the configuration, unless there is one that is another: own says that it is this one now.
func writeConfig(file string, cfg bridge.Config) (own bool, err error) {
	text := configText(cfg)
	have, err := os.ReadFile(file)
	switch {
	case err == nil:
		return string(have) == text, nil
	case !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	return true, os.WriteFile(file, []byte(text), 0o600)
}

func configText(cfg bridge.Config) string {
	return fmt.Sprintf(`# A bridge for the broker and the API of "distributor-sandbox up".
# Delete this file to have it written anew; what it does not name has its default.

kafka:
  brokers: [%q]

topics:
  upstream: [%s]
  replication: %d          # there is one broker
  min_insync_replicas: %d

api:
  base_url: %q
  client_id: %q
  client_secret_file: %q

offerings:
  %s:
    campaign: %q
    product: %q

rules:
  poll_interval: %s   # the sandbox is quick
`, strings.Join(cfg.Kafka.Brokers, `", "`), strings.Join(cfg.Topics.Upstream, ", "),
		cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas,
		cfg.API.BaseURL, cfg.API.ClientID, cfg.API.ClientSecretFile,
		offering, cfg.Offerings[offering].Campaign, cfg.Offerings[offering].Product, cfg.Rules.PollInterval)
}

func (c *UpCmd) tell(t terminal, dir string, cfg bridge.Config, own bool) error {
	s := styleFor(t.stdout, t)
	here := dir
	if cwd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(cwd, dir); err == nil && !strings.HasPrefix(rel, "..") {
			here = rel
		}
	}
	file := filepath.Join(here, "bridge.yaml")
	origin := strings.TrimSuffix(cfg.API.BaseURL, sandbox.Base)
	brokers := strings.Join(cfg.Kafka.Brokers, ",")
	if !own {
		file += "   (yours: it is not the one that would be written)"
	}
	to := ""
	if c.KafkaPort != 9092 {
		to = " --brokers " + brokers
	}
	lines := []string{
		s.bold("Broker and API are running, on this machine only. Ctrl-C ends them."),
		"",
		"  broker   " + brokers + "   keeps its data in " + filepath.Join(here, "kafka"),
		"  API      " + cfg.API.BaseURL + "   forgets all when it ends",
		"  topics   " + strings.Join(cfg.Topics.Upstream, ", ") + "; " + cfg.Topics.Prefix + "* are the bridge's",
		"  config   " + file,
		"",
		s.bold("The bridge, in another terminal"),
		"  go run ./cmd/distributor-bridge run --config " + filepath.Join(here, "bridge.yaml"),
		"",
		s.bold("Events"),
		"  go run ./cmd/distributor-sandbox emit" + to,
		"  go run ./cmd/distributor-sandbox emit" + to + " --stream --rate 20 --duration 1m",
		"",
		s.bold("What the API did, and how it fails on demand"),
		"  curl " + origin + "/sandbox/ledger",
		"  curl " + origin + `/sandbox/faults -d '{"operation": "create_credit", "kind": "cut", "applied": true}'`,
		"",
	}
	_, err := io.WriteString(t.stdout, strings.Join(lines, "\n"))
	return err
}
