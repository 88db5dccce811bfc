package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"distributor-bridge/internal/bridge"
)

// upOps is where the bridge serves health and metrics: on this machine only.
const upOps = "127.0.0.1:9090"

// upConfig is the configuration of a bridge for broker and API.
func upConfig(brokers []string, api, secretFile string) bridge.Config {
	cfg := bridge.Default()
	cfg.Kafka.Brokers = brokers
	cfg.Topics.Upstream = upstreamTopics
	cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 1, 1
	cfg.API.BaseURL, cfg.API.ClientID, cfg.API.ClientSecretFile = api, upClient, secretFile
	cfg.Offerings = map[string]bridge.Offering{offering: {Campaign: upCampaign, Product: upProduct}}
	cfg.Ops.Listen = upOps
	hasten(&cfg)
	return cfg
}

// hasten makes times short, so that a developer who kills and restarts the bridge does not wait a minute for the group to
// notice. They hold what the defaults hold: call < drain < rebalance, and lease < session, so that one who is taken for
// dead sends nothing any more.
func hasten(cfg *bridge.Config) {
	cfg.Group.Session, cfg.Group.Heartbeat, cfg.Group.Rebalance = 6*time.Second, time.Second, 12*time.Second
	cfg.API.Timeouts.Call, cfg.API.Timeouts.FirstByte, cfg.API.Timeouts.Token = 8*time.Second, 6*time.Second, 6*time.Second
	cfg.Rules.Drain, cfg.Rules.Lease, cfg.Rules.PollInterval = 10*time.Second, 5*time.Second, 200*time.Millisecond
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
	g, limits, rules := cfg.Group, cfg.API.Timeouts, cfg.Rules
	text := fmt.Sprintf(`# A bridge for the broker and the API of "distributor-sandbox up": for development.
# Delete this file to have it written anew; what it does not name has its default.

kafka:
  brokers: [%q]

group:                    # short, so that kills and restarts do not stall
  session: %s
  heartbeat: %s
  rebalance: %s

topics:
  upstream: [%s]
  replication: %d          # there is one broker
  min_insync_replicas: %d

api:
  base_url: %q
  client_id: %q
  client_secret_file: %q
  timeouts:               # shorter than rules.drain
    call: %s
    first_byte: %s
    token: %s

offerings:
  %s:
    campaign: %q
    product: %q

rules:
  drain: %s              # shorter than group.rebalance
  lease: %s               # shorter than group.session
  poll_interval: %s    # the sandbox is quick

ops:                      # a second bridge needs another one: DISTRIBUTOR_OPS_LISTEN=127.0.0.1:9091
  listen: %q
`, strings.Join(cfg.Kafka.Brokers, `", "`), g.Session, g.Heartbeat, g.Rebalance,
		strings.Join(cfg.Topics.Upstream, ", "), cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas,
		cfg.API.BaseURL, cfg.API.ClientID, cfg.API.ClientSecretFile, limits.Call, limits.FirstByte, limits.Token,
		offering, cfg.Offerings[offering].Campaign, cfg.Offerings[offering].Product,
		rules.Drain, rules.Lease, rules.PollInterval, cfg.Ops.Listen)
	if w := cfg.Webhooks; w.Listen != "" {
		text += fmt.Sprintf("\nwebhooks:                 # of the API; on this machine they need no TLS\n  listen: %q\n  token_file: %q\n",
			w.Listen, w.TokenFile)
	}
	return text
}
