package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
)

// topics looks at the bridge's own topics, and at upstream's.
func (k *checkup) topics(ctx context.Context, f *findings, client *kafka.Client) {
	all := k.cfg.Topics.all()
	states, err := client.DescribeTopics(ctx, all...)
	if err != nil {
		k.failed(f, "topics", "could not be looked at", err)
		return
	}
	var there []string
	for _, topic := range all {
		if states[topic].Err == nil {
			there = append(there, topic)
		}
	}
	settings, err := client.TopicSettings(ctx, there...)
	if err != nil {
		k.failed(f, "topics", "settings could not be read", err)
	} else if unread := k.unread(there, settings); unread != "" {
		f.leftOut("topics", "settings of %s may not be read: allow DESCRIBE_CONFIGS, at least for this check", unread)
	}
	specs := TopicSpecs(*k.cfg)
	like := k.alike(f, specs, states)
	for _, spec := range specs {
		t := topicCheck{f, spec.Name, k.without(spec.Name), states[spec.Name], settings[spec.Name]}
		if t.exists("run distributor-bridge topics create") {
			k.own(t, spec, like)
		}
	}
	for _, topic := range k.cfg.Topics.Upstream {
		t := topicCheck{f, topic, Wrong, states[topic], settings[topic]}
		if t.exists("have it created, or take it out of topics.upstream") {
			k.upstreams(t)
		}
	}
}

// unread names those of the bridge's own topics whose settings may not be read. Upstream's are others' to show.
func (k *checkup) unread(there []string, settings map[string]map[string]string) string {
	var names []string
	for _, topic := range there {
		if settings[topic] == nil && !slices.Contains(k.cfg.Topics.Upstream, topic) {
			names = append(names, topic)
		}
	}
	return strings.Join(names, ", ")
}

// topicCheck is what is known of a topic, and where to say what is wrong with it.
type topicCheck struct {
	*findings
	topic    string
	without  Level // what it is to have none
	state    kafka.TopicState
	settings map[string]string // nil if they may not be read
}

// without says what it is to be without a topic: without hints a member that takes none only polls more.
func (k *checkup) without(topic string) Level {
	if topic == k.cfg.Topics.Names().Hints && k.cfg.Webhooks.Listen == "" {
		return Warning
	}
	return Wrong
}

// consequence is what to say of a topic without which the bridge works.
var consequence = map[Level]string{Warning: ": the provider's webhooks reach nobody, and investments are polled"}

// exists says whether there is anything to look at.
func (t topicCheck) exists(mend string) bool {
	switch {
	case errors.Is(t.state.Err, kafka.ErrDenied):
		t.leftOut(t.topic, "not looked at: it may not be seen, which is said below")
	case t.state.Err != nil:
		t.add(t.without, t.topic, mend, "does not exist%s", consequence[t.without])
	case t.state.Leaderless > 0:
		t.wrong(t.topic, "bring back the brokers that hold them",
			"%d of %d partitions have no leader: they can be neither read nor written", t.state.Leaderless, t.state.Partitions)
	default:
		return true
	}
	return false
}

// shape is what all of the bridge's own topics have to have alike.
type shape struct{ partitions, replication int }

// alike gives the shape that each of the bridge's own topics is to have. Where all of them differ from the configuration in the same way
// that is said once, of the key, and they are compared with each other then. State is who knows the number of partitions.
func (k *checkup) alike(f *findings, specs []kafka.TopicSpec, states map[string]kafka.TopicState) shape {
	want := shape{k.cfg.Topics.Partitions, k.cfg.Topics.Replication}
	if state := states[k.cfg.Topics.Names().State]; state.Err == nil && state.Partitions != want.partitions {
		f.wrong("topics.partitions", fmt.Sprintf("set it to %d", state.Partitions),
			"is %d, but state was made with %d partitions: the number is fixed for ever", want.partitions, state.Partitions)
		want.partitions = state.Partitions
	}
	has := map[int]bool{}
	for _, spec := range specs {
		if state := states[spec.Name]; state.Err == nil {
			has[state.Replication] = true
		}
	}
	for replication := range has {
		if len(has) == 1 && replication < want.replication {
			f.wrong("topics.replication", fmt.Sprintf("reassign the topics to %d brokers (kafka-reassign-partitions), or set it to %d",
				want.replication, replication),
				"is %d, but each of the bridge's topics is kept by %s", want.replication, counted(replication, "broker", "brokers"))
			want.replication = replication
		}
	}
	return want
}

// own looks at one of the bridge's own topics: whether it is as topics create would make it, as far as that matters.
func (k *checkup) own(t topicCheck, spec kafka.TopicSpec, like shape) {
	before := len(t.list)
	if t.state.Partitions != like.partitions && spec.Name != k.cfg.Topics.Names().Hints {
		t.wrong(t.topic, "give it as many: empty and made anew, or by other names of topics",
			"has %s, and %d are wanted", counted(t.state.Partitions, "partition", "partitions"), like.partitions)
	}
	if t.state.Replication < like.replication {
		t.wrong(t.topic, fmt.Sprintf("reassign it to %d brokers (kafka-reassign-partitions)", like.replication),
			"is kept by %s, topics.replication says %d", counted(t.state.Replication, "broker", "brokers"), like.replication)
	}
	if t.settings != nil {
		k.cleanup(t, spec)
		k.sync(t)
		want, _ := strconv.Atoi(spec.Config["max.message.bytes"])
		if takes := bytesOf(t.settings); takes > 0 && takes < want {
			t.wrong(t.topic, set("max.message.bytes", want),
				"takes records of %d bytes, %d are wanted (topics.max_message_bytes)", takes, want)
		}
	}
	if len(t.list) == before {
		t.good(t.topic, "%s", strings.TrimSuffix(strings.Join([]string{counted(t.state.Partitions, "partition", "partitions"),
			counted(t.state.Replication, "replica", "replicas"), kept(t.settings)}, ", "), ", "))
	}
}

// set says how a topic's setting is changed.
func set(name string, value any) string {
	return fmt.Sprintf("set %s=%v on the topic (kafka-configs --alter)", name, value)
}

// cleanup looks at what becomes of old records.
func (k *checkup) cleanup(t topicCheck, spec kafka.TopicSpec) {
	names := k.cfg.Topics.Names()
	policy, want := t.settings["cleanup.policy"], spec.Config["cleanup.policy"]
	if policy != want {
		why := "records that are still needed would be dropped"
		if spec.Name == names.State {
			why = "what is known of customers would be deleted"
			if policy == "" {
				why = "all that was ever written would be read at each start"
			}
		}
		t.wrong(t.topic, set("cleanup.policy", want), "has cleanup.policy=%s: %s", policy, why)
		return
	}
	if want == "compact" {
		return
	}
	keep, known := retention(t.settings)
	wanted, _ := retention(spec.Config)
	switch least := 2 * k.cfg.Rules.MaxWait; {
	case !known:
	case spec.Name == names.Inbox && keep >= 0 && keep < least:
		t.wrong(t.topic, set("retention.ms", least.Milliseconds()),
			"keeps records for %s, less than twice rules.max_wait (%s): what waits would lose its payload",
			config.FormatDuration(keep), config.FormatDuration(k.cfg.Rules.MaxWait))
	case keep >= 0 && keep < wanted:
		t.warn(t.topic, set("retention.ms", wanted.Milliseconds()), "keeps records for %s, topics.retention says %s",
			config.FormatDuration(keep), config.FormatDuration(wanted))
	}
	if size, err := strconv.ParseInt(t.settings["retention.bytes"], 10, 64); err == nil && size >= 0 {
		const text = "deletes records past %d bytes a partition, however new they are"
		if spec.Name == names.Inbox {
			t.wrong(t.topic, set("retention.bytes", -1), text, size)
		} else {
			t.warn(t.topic, set("retention.bytes", -1), text, size)
		}
	}
}

// sync looks at how many brokers have a record before it is acknowledged.
func (k *checkup) sync(t topicCheck) {
	least, err := strconv.Atoi(t.settings["min.insync.replicas"])
	if err != nil {
		return
	}
	want := k.cfg.Topics.MinInsyncReplicas
	switch {
	case least > t.state.Replication:
		t.wrong(t.topic, set("min.insync.replicas", min(want, t.state.Replication)),
			"nothing can be written: min.insync.replicas=%d, but %s", least,
			counted(t.state.Replication, "broker keeps it", "brokers keep it"))
	case t.state.InSync < least:
		t.wrong(t.topic, "bring back the brokers that are missing",
			"nothing can be written just now: %d replicas are in sync, min.insync.replicas=%d", t.state.InSync, least)
	case least < want:
		t.wrong(t.topic, set("min.insync.replicas", want),
			"has min.insync.replicas=%d, topics.min_insync_replicas says %d: a broker that dies may take acknowledged records with it",
			least, want)
	}
	if t.settings["unclean.leader.election.enable"] == "true" {
		t.warn(t.topic, set("unclean.leader.election.enable", "false"),
			"lets a broker that was behind become a leader: acknowledged records would be forgotten")
	}
}

// upstreams looks at one of upstream's topics, which is only read.
func (k *checkup) upstreams(t topicCheck) {
	takes, inboxTakes := bytesOf(t.settings), k.cfg.Topics.MaxMessageBytes
	if takes > inboxTakes {
		t.warn(t.topic, fmt.Sprintf("set topics.max_message_bytes and the inbox's max.message.bytes to %d or more", takes+roomForHeaders),
			"takes records of %d bytes, the inbox of %d: larger events go to the dead letters without their payload", takes, inboxTakes)
		return
	}
	if strings.Contains(t.settings["cleanup.policy"], "compact") {
		t.warn(t.topic, "set cleanup.policy=delete, if upstream agrees",
			"is compacted: an event is lost if another with its key comes before it is read")
		return
	}
	unknown := ""
	if t.settings == nil {
		unknown = "; its settings may not be read, so that its largest event is not known"
	}
	t.good(t.topic, "upstream's, %s%s", counted(t.state.Partitions, "partition", "partitions"), unknown)
}

func bytesOf(settings map[string]string) int {
	n, _ := strconv.Atoi(settings["max.message.bytes"])
	return n
}

// retention gives for how long records are kept; below 0 is for ever.
func retention(settings map[string]string) (keep time.Duration, known bool) {
	ms, err := strconv.ParseInt(settings["retention.ms"], 10, 64)
	if err != nil {
		return 0, false
	}
	if ms > int64(1<<63-1)/int64(time.Millisecond) {
		return -1, true
	}
	return time.Duration(ms) * time.Millisecond, true
}

// kept says for how long a topic keeps what; nothing if that may not be read.
func kept(settings map[string]string) string {
	keep, known := retention(settings)
	switch policy := settings["cleanup.policy"]; {
	case policy == "compact":
		return "compacted"
	case !known:
		return ""
	case keep < 0:
		return "kept for ever"
	case policy != "delete":
		return "compacted, kept for " + config.FormatDuration(keep)
	default:
		return "kept for " + config.FormatDuration(keep)
	}
}
