package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/segmentio/kafka-go/protocol/metadata"
)

// TopicInfo is what is known of a topic.
type TopicInfo struct {
	Partitions  int
	Replication int // of partition 0
}

// Topics asks the brokers about topics, all of them if none is named. Missing ones are absent. ErrDenied names the first
// that may not be seen.
func (c *Client) Topics(ctx context.Context, names ...string) (map[string]TopicInfo, error) {
	var topics map[string]TopicInfo
	err := c.ask(ctx, "ask for topics", func(ctx context.Context) (err error) {
		topics, err = c.topics(ctx, names, "Read") // who asks wants to read, as a rule; it holds Describe
		return err
	})
	return topics, err
}

// topics asks once. A topic that may not be seen is an error, which names the operation that it is needed for.
func (c *Client) topics(ctx context.Context, names []string, operation string) (map[string]TopicInfo, error) {
	topics, hidden, err := c.visible(ctx, names, operation)
	return topics, errors.Join(append(hidden, err)...)
}

// visible is topics without those that may not be seen, of which hidden tells.
func (c *Client) visible(
	ctx context.Context, names []string, operation string,
) (topics map[string]TopicInfo, hidden []error, err error) {
	// An exchange, since kafka-go answers its own type from memory.
	m, err := c.send(ctx, &exchange{request: &metadata.Request{TopicNames: names}, clientID: c.cfg.ClientID})
	if err != nil {
		return nil, nil, err
	}
	topics = make(map[string]TopicInfo)
	for _, t := range m.(*metadata.Response).Topics {
		switch err := codeError(t.ErrorCode); {
		case err == 0:
		case err.Is(ErrNoTopic):
			continue
		case err.Is(ErrDenied):
			hidden = append(hidden, fmt.Errorf("topic %s: %w", t.Name, c.denied(err, onTopic(operation, t.Name))))
			continue
		default:
			return nil, nil, fmt.Errorf("topic %s: %w", t.Name, err)
		}
		info := TopicInfo{Partitions: len(t.Partitions)}
		for _, p := range t.Partitions {
			if p.PartitionIndex == 0 {
				info.Replication = len(p.ReplicaNodes)
			}
		}
		topics[t.Name] = info
	}
	return topics, hidden, nil
}

// leadership is who leads what, by one copy of the metadata.
type leadership struct {
	topics []metadata.ResponseTopic // that copy
	of     map[TopicPartition]int32 // node IDs; without an entry if there is no leader
	hidden map[string]codeError     // topics that may not be seen
	at     time.Time
}

// leaders gives each partition's leader by kafka-go's own copy of the metadata, the one it routes by. Not to be changed.
func (c *Client) leaders(ctx context.Context) (map[TopicPartition]int32, error) {
	m, err := c.send(ctx, &metadata.Request{})
	if err != nil {
		return nil, err
	}
	// kafka-go gives the same list until it has asked the brokers again. We keep the one seen, so its place in memory is
	// not another's.
	topics := m.(*metadata.Response).Topics
	if k := c.known.Load(); k != nil && len(topics) > 0 && len(topics) == len(k.topics) && &topics[0] == &k.topics[0] {
		c.known.Store(&leadership{topics: topics, of: k.of, hidden: k.hidden, at: time.Now()})
		return k.of, nil
	}
	leaders := make(map[TopicPartition]int32)
	hidden := make(map[string]codeError)
	for _, t := range topics {
		if err := codeError(t.ErrorCode); err.Is(ErrDenied) {
			hidden[t.Name] = err
		}
		for _, p := range t.Partitions {
			if p.LeaderID >= 0 {
				leaders[TopicPartition{t.Name, int(p.PartitionIndex)}] = p.LeaderID
			}
		}
	}
	c.known.Store(&leadership{topics: topics, of: leaders, hidden: hidden, at: time.Now()})
	return leaders, nil
}

// noLeader says why nobody is known to lead a partition, to one who wants to read it.
func (c *Client) noLeader(tp TopicPartition) error {
	if k := c.known.Load(); k != nil {
		if err, hidden := k.hidden[tp.Topic]; hidden {
			return c.denied(err, onTopic("Read", tp.Topic))
		}
	}
	return errNoLeader
}

// leadershipTTL is for how long even kafka-go is not asked. A batch that went to the wrong broker for it is sent again by
// kafka-go's routing, a fetch is repeated.
const leadershipTTL = 50 * time.Millisecond

// leadersOf gives what is known of leaders, with an entry for each of tps unless it has none. Once any request was answered
// it does not wait for brokers: kafka-go has its metadata then.
func (c *Client) leadersOf(ctx context.Context, tps iter.Seq[TopicPartition]) (map[TopicPartition]int32, error) {
	k := c.known.Load()
	if k == nil || time.Since(k.at) > leadershipTTL {
		return c.leaders(ctx)
	}
	for tp := range tps {
		if _, ok := k.of[tp]; !ok {
			return c.leaders(ctx)
		}
	}
	return k.of, nil
}

// leader gives a partition's leader; false if it is not known.
func (c *Client) leader(tp TopicPartition) (int32, bool) {
	leaders, err := c.leadersOf(context.Background(), func(yield func(TopicPartition) bool) { yield(tp) })
	leader, ok := leaders[tp]
	return leader, ok && err == nil
}
