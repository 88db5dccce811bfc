package bridge

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/kafka"
)

// ListedTopic is how one of the bridge's own topics, or of upstream's, stands.
type ListedTopic struct {
	Name string
	Role string // inbox, results, dead_letters, state, hints or upstream
	// Missing is one that does not exist, Denied one that may not be seen: nothing else is known of them.
	Missing, Denied bool
	Replication     int
	InSync          int
	Settings        map[string]string // nil if they may not be read
	Group           string            // whose Lag it is: the consumer group that reads it; empty if none does
	Partitions      []ListedPartition
}

// ListedPartition is one partition of it.
type ListedPartition struct {
	Number     int
	Start, End int64
	Committed  int64 // -1: the group has committed nothing, and begins at the start
}

// Records is how many offsets there are, which is more than records where a topic was compacted or has transactions.
func (p ListedPartition) Records() int64 { return p.End - p.Start }

// Lag is how many of them the group has still to do.
func (p ListedPartition) Lag() int64 { return max(0, p.End-max(p.Start, p.Committed)) }

// Records is how many offsets there are in all partitions.
func (t *ListedTopic) Records() (sum int64) {
	for _, p := range t.Partitions {
		sum += p.Records()
	}
	return sum
}

// Lag is how many of them the group has still to do.
func (t *ListedTopic) Lag() (sum int64) {
	for _, p := range t.Partitions {
		sum += p.Lag()
	}
	return sum
}

// Kept says in words for how long a topic keeps what; nothing if that may not be read.
func (t *ListedTopic) Kept() string { return kept(t.Settings) }

// ListTopics looks at the bridge's own topics, then upstream's, and at how far both consumer groups are. It changes nothing.
func ListTopics(ctx context.Context, c Config) ([]ListedTopic, error) {
	cfg, err := c.kafkaConfig()
	if err != nil {
		return nil, err
	}
	cfg.Topics = c.Topics.all()
	client, err := kafka.New(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	list := c.listed()
	states, err := client.DescribeTopics(ctx, cfg.Topics...)
	if err != nil {
		return nil, err
	}
	var there []string
	for i := range list {
		t := &list[i]
		state := states[t.Name]
		t.Missing, t.Denied = errors.Is(state.Err, kafka.ErrNoTopic), errors.Is(state.Err, kafka.ErrDenied)
		t.Replication, t.InSync = state.Replication, state.InSync
		if state.Err == nil {
			there = append(there, t.Name)
		}
	}
	settings, err := client.TopicSettings(ctx, there...)
	if err != nil {
		return nil, err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(8)
	for i := range list {
		t := &list[i]
		t.Settings = settings[t.Name]
		if slices.Contains(there, t.Name) {
			all.Go(func() error { return t.offsets(ctx, client) })
		}
	}
	return list, all.Wait()
}

// listed gives the topics that there should be.
func (c *Config) listed() []ListedTopic {
	n := c.Topics.Names()
	list := []ListedTopic{
		{Name: n.Inbox, Role: "inbox", Group: c.Group.Name}, {Name: n.Results, Role: "results"},
		{Name: n.DeadLetters, Role: "dead_letters"}, {Name: n.State, Role: "state"}, {Name: n.Hints, Role: "hints"},
	}
	for _, topic := range c.Topics.Upstream {
		list = append(list, ListedTopic{Name: topic, Role: "upstream", Group: c.Group.Name + consumer.IntakeSuffix})
	}
	return list
}

// offsets asks for a topic's bounds, and for what its group has committed: before the ends, so that no lag is too small.
func (t *ListedTopic) offsets(ctx context.Context, client *kafka.Client) error {
	committed := map[int]int64{}
	var err error
	if t.Group != "" {
		if committed, err = client.GroupOffsets(ctx, t.Group, t.Name); err != nil {
			return err
		}
	}
	starts, err := client.StartOffset(ctx, t.Name)
	if err != nil {
		return err
	}
	ends, err := client.EndOffset(ctx, t.Name)
	if err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(ends)) {
		p := ListedPartition{Number: number, Start: starts[number], End: ends[number], Committed: -1}
		if offset, known := committed[number]; known {
			p.Committed = offset
		}
		t.Partitions = append(t.Partitions, p)
	}
	return nil
}
