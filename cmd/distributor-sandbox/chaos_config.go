package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/kafka"
)

// memberConfig is the members' configuration: short times, so that what is lost is soon noticed, in the order that the
// defaults have (call < drain < rebalance; lease < session).
func (r *trial) memberConfig(secretFile string) bridge.Config {
	c := r.run.cmd
	cfg := bridge.Default()
	cfg.Kafka.Brokers = r.run.brokers
	cfg.Group.Name = r.prefix + "bridge"
	cfg.Group.Session, cfg.Group.Heartbeat, cfg.Group.Rebalance = c.Session, min(time.Second, c.Session/5), 15*time.Second
	cfg.Topics.Prefix, cfg.Topics.Partitions = r.prefix, c.Partitions
	cfg.Topics.Upstream = []string{r.prefix + "customers", r.prefix + "payments"}
	cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 1, 1
	cfg.API.ClientID, cfg.API.ClientSecretFile = upClient, secretFile
	cfg.API.Timeouts.Call, cfg.API.Timeouts.FirstByte, cfg.API.Timeouts.Token = 8*time.Second, 6*time.Second, 6*time.Second
	cfg.Offerings = map[string]bridge.Offering{offering: {Campaign: upCampaign, Product: upProduct}}
	cfg.Rules.Lease, cfg.Rules.Drain = c.Session/2, 10*time.Second
	cfg.Rules.PollInterval, cfg.Rules.MaxInFlight = 500*time.Millisecond, c.InFlight
	cfg.Ops.Listen = "" // members share a machine
	return cfg
}

// writeMemberConfig writes it as the file that members are run with.
func writeMemberConfig(file string, cfg bridge.Config) error {
	text := fmt.Sprintf(`kafka:
  brokers: ["%s"]
group: {name: %q, session: %s, heartbeat: %s, rebalance: %s}
topics:
  upstream: ["%s"]
  prefix: %q
  partitions: %d
  replication: %d
  min_insync_replicas: %d
api:
  base_url: %q
  client_id: %q
  client_secret_file: %q
  timeouts: {call: %s, first_byte: %s, token: %s}
offerings:
  %s: {campaign: %q, product: %q}
rules: {lease: %s, drain: %s, poll_interval: %s, max_in_flight: %d}
ops: {listen: %q}
log: {level: info, format: json}
`, strings.Join(cfg.Kafka.Brokers, `", "`), cfg.Group.Name, cfg.Group.Session, cfg.Group.Heartbeat, cfg.Group.Rebalance,
		strings.Join(cfg.Topics.Upstream, `", "`), cfg.Topics.Prefix, cfg.Topics.Partitions, cfg.Topics.Replication,
		cfg.Topics.MinInsyncReplicas, cfg.API.BaseURL, cfg.API.ClientID, cfg.API.ClientSecretFile, cfg.API.Timeouts.Call,
		cfg.API.Timeouts.FirstByte, cfg.API.Timeouts.Token, offering, cfg.Offerings[offering].Campaign,
		cfg.Offerings[offering].Product, cfg.Rules.Lease, cfg.Rules.Drain, cfg.Rules.PollInterval, cfg.Rules.MaxInFlight, cfg.Ops.Listen)
	return os.WriteFile(file, []byte(text), 0o600)
}

// makeTopics makes the bridge's own topics and upstream's; for trial scale the bridge's by its own command.
func (r *trial) makeTopics(ctx context.Context) error {
	specs := r.chaosTopics()
	if r.name == "scale" {
		specs = specs[len(specs)-len(r.cfg.Topics.Upstream):]
	}
	if _, err := r.client.CreateTopics(ctx, specs); err != nil {
		return err
	}
	if r.name == "scale" {
		return r.newMember("topics").do(ctx, "topics", "create", "--yes")
	}
	return nil
}

// chaosTopics are the bridge's own topics and upstream's. For freezes the state topic is compacted as often as brokers can:
// all the time, of segments that end after a second. (Else as operators have it: after its kill, a broker reads every segment
// again that is not long ago.)
func (r *trial) chaosTopics() []kafka.TopicSpec {
	cfg := r.cfg
	specs := bridge.TopicSpecs(cfg)
	for i := range specs {
		if r.name == "freeze" && specs[i].Name == cfg.Topics.Names().State {
			specs[i].Config = maps.Clone(specs[i].Config)
			specs[i].Config["min.cleanable.dirty.ratio"], specs[i].Config["segment.ms"] = "0.01", "1000"
			specs[i].Config["segment.bytes"] = fmt.Sprint(1 << 20) // the least that Apache Kafka takes
		}
	}
	for _, topic := range cfg.Topics.Upstream {
		specs = append(specs, kafka.TopicSpec{Name: topic, Partitions: cfg.Topics.Partitions, Replication: 1})
	}
	return specs
}
