package kafka

import (
	"context"
	"iter"
	"time"

	"github.com/segmentio/kafka-go/protocol/metadata"
)

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
