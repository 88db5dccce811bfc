package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"distributor-bridge/internal/kafka"
)

// TopicNames are the full names of the bridge's own topics.
type TopicNames struct{ Inbox, Results, DeadLetters, State, Hints string }

// Names gives the full names: each with the prefix.
func (t Topics) Names() TopicNames {
	return TopicNames{
		Inbox:       t.Prefix + t.Inbox,
		Results:     t.Prefix + t.Results,
		DeadLetters: t.Prefix + t.DeadLetters,
		State:       t.Prefix + t.State,
		Hints:       t.Prefix + t.Hints,
	}
}

// all gives the bridge's own topics and upstream's.
func (t Topics) all() []string {
	n := t.Names()
	return append([]string{n.Inbox, n.Results, n.DeadLetters, n.State, n.Hints}, t.Upstream...)
}

// keyedTopic is a topic and the key of the configuration that names it.
type keyedTopic struct{ key, topic string }

func (n TopicNames) keyed() []keyedTopic {
	return []keyedTopic{
		{"topics.inbox", n.Inbox}, {"topics.results", n.Results}, {"topics.dead_letters", n.DeadLetters},
		{"topics.state", n.State}, {"topics.hints", n.Hints},
	}
}

func upstreamKeys(topics []string) []keyedTopic {
	keyed := make([]keyedTopic, len(topics))
	for i, t := range topics {
		keyed[i] = keyedTopic{fmt.Sprintf("topics.upstream[%d]", i), t}
	}
	return keyed
}

// roomForHeaders is what a dead letter may have more than the inbox record it was made of.
const roomForHeaders = 64 << 10

// TopicSpecs gives the bridge's own topics as they are to be made. Upstream's are not among them: they are others' to make.
func TopicSpecs(c Config) []kafka.TopicSpec {
	t, names := c.Topics, c.Topics.Names()
	timed := func(keep time.Duration, maxBytes int) map[string]string {
		return map[string]string{
			"cleanup.policy":      "delete",
			"retention.ms":        strconv.FormatInt(keep.Milliseconds(), 10),
			"retention.bytes":     "-1", // else a broker's default for all topics could delete by size what is still needed
			"max.message.bytes":   strconv.Itoa(maxBytes),
			"compression.type":    strings.Replace(t.Compression, "none", "uncompressed", 1),
			"min.insync.replicas": strconv.Itoa(t.MinInsyncReplicas),
			// A broker that was behind must not become a leader: it would forget acknowledged records.
			"unclean.leader.election.enable": "false",
		}
	}
	state := timed(0, t.MaxMessageBytes)
	maps.Copy(state, map[string]string{
		"cleanup.policy":   "compact",
		"retention.ms":     "-1", // compaction does not look at it, but somebody may add delete to the policy
		"compression.type": "producer",
		// All of it is read whenever a partition is taken: keep little more than the last record of each object.
		"min.cleanable.dirty.ratio": "0.1",
		"segment.bytes":             strconv.Itoa(64 << 20),
		"segment.ms":                strconv.FormatInt(day.Milliseconds(), 10),
	})
	return []kafka.TopicSpec{
		{Name: names.Inbox, Partitions: t.Partitions, Replication: t.Replication,
			Config: timed(t.Retention.Inbox, t.MaxMessageBytes)},
		{Name: names.Results, Partitions: t.Partitions, Replication: t.Replication,
			Config: timed(t.Retention.Results, t.MaxMessageBytes)},
		{Name: names.DeadLetters, Partitions: t.Partitions, Replication: t.Replication,
			Config: timed(t.Retention.DeadLetters, t.MaxMessageBytes+roomForHeaders)},
		{Name: names.State, Partitions: t.Partitions, Replication: t.Replication, Config: state},
		{Name: names.Hints, Partitions: 1, Replication: t.Replication, Config: timed(t.Retention.Hints, t.MaxMessageBytes)},
	}
}

// TopicPlan is what CreateTopics would do.
type TopicPlan struct {
	Create []kafka.TopicSpec
	Exist  []string
	// Differ says of topics that exist already in what they are not as configured, in a way that cannot be mended later.
	Differ []string
	// UpstreamMissing are topics of upstream's that do not exist; the bridge runs without them, and looks for them again.
	UpstreamMissing []string
}

// PlanTopics looks at what exists. It changes nothing.
func PlanTopics(ctx context.Context, c Config) (TopicPlan, error) {
	client, err := c.adminClient()
	if err != nil {
		return TopicPlan{}, err
	}
	defer client.Close()
	have, err := client.Topics(ctx)
	if err != nil {
		return TopicPlan{}, fmt.Errorf("look at topics: %w", err)
	}
	var plan TopicPlan
	for _, spec := range TopicSpecs(c) {
		info, exists := have[spec.Name]
		if !exists {
			plan.Create = append(plan.Create, spec)
			continue
		}
		plan.Exist = append(plan.Exist, spec.Name)
		if info.Partitions != spec.Partitions {
			plan.Differ = append(plan.Differ,
				fmt.Sprintf("%s has %d partitions, want %d", spec.Name, info.Partitions, spec.Partitions))
		}
	}
	for _, t := range c.Topics.Upstream {
		if _, exists := have[t]; !exists {
			plan.UpstreamMissing = append(plan.UpstreamMissing, t)
		}
	}
	return plan, nil
}

// Write shows the plan to people.
func (p TopicPlan) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range p.Exist {
		fmt.Fprintf(w, "exists\t%s\n", t)
	}
	for _, d := range p.Differ {
		fmt.Fprintf(w, "differs\t%s\n", d)
	}
	for _, s := range p.Create {
		fmt.Fprintf(w, "create\t%s\t%s\n", s.Name, sizes(s))
		for _, key := range slices.Sorted(maps.Keys(s.Config)) {
			fmt.Fprintf(w, "          %s=%s\n", key, s.Config[key])
		}
	}
	for _, t := range p.UpstreamMissing {
		fmt.Fprintf(w, "missing\t%s\tupstream's: never created from here\n", t)
	}
	return w.Flush()
}

func sizes(s kafka.TopicSpec) string {
	if s.Replication == 0 {
		return fmt.Sprintf("partitions=%d replication=brokers' default", s.Partitions)
	}
	return fmt.Sprintf("partitions=%d replication=%d", s.Partitions, s.Replication)
}

// CreateTopics makes those of the bridge's own topics that do not exist, and tells out of each. On an error some may have
// been made; it can be called again. Topics that exist are left as they are.
func CreateTopics(ctx context.Context, c Config, out io.Writer) error {
	client, err := c.adminClient()
	if err != nil {
		return err
	}
	defer client.Close()
	specs := TopicSpecs(c)
	created, err := client.CreateTopics(ctx, specs)
	for _, spec := range specs {
		switch made, known := created[spec.Name]; {
		case made:
			fmt.Fprintf(out, "created  %s\n", spec.Name)
		case known && err == nil:
			fmt.Fprintf(out, "exists   %s\n", spec.Name)
		}
	}
	return err
}

// adminClient is a client that knows all topics of the cluster, not only those of the bridge: missing ones are to be found.
func (c *Config) adminClient() (*kafka.Client, error) {
	cfg, err := c.kafkaConfig()
	if err != nil {
		return nil, err
	}
	client, err := kafka.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	return client, nil
}

// own says what is wrong with topics of the bridge's own, and what of the work on them is not permitted: that is better known now
// than when an effect has been had and cannot be remembered or told.
func (c *Config) own(ctx context.Context, client *kafka.Client, topics ...string) error {
	have, err := client.DescribeTopics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("look at the topics: %w", err)
	}
	var wrong []error
	for _, topic := range topics {
		switch info := have[topic]; {
		case errors.Is(info.Err, kafka.ErrDenied): // nobody tells us whether it exists
		case info.Err != nil:
			wrong = append(wrong, fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic))
		case info.Partitions != c.Topics.Partitions && topic != c.Topics.Names().Hints:
			wrong = append(wrong, fmt.Errorf("topic %s has %d partitions, topics.partitions says %d: the number is fixed for ever",
				topic, info.Partitions, c.Topics.Partitions))
		}
		wrong = append(wrong, c.forbidden(topic, have[topic])...)
	}
	return errors.Join(wrong...)
}
