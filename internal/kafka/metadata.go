package kafka

import (
	"context"
	"fmt"

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
		topics, err = c.topics(ctx, names)
		return err
	})
	return topics, err
}

func (c *Client) topics(ctx context.Context, names []string) (map[string]TopicInfo, error) {
	// An exchange, since kafka-go answers its own type from memory.
	m, err := c.send(ctx, &exchange{request: &metadata.Request{TopicNames: names}, clientID: c.cfg.ClientID})
	if err != nil {
		return nil, err
	}
	topics := make(map[string]TopicInfo)
	for _, t := range m.(*metadata.Response).Topics {
		switch err := codeError(t.ErrorCode); {
		case err == 0:
		case err.Is(ErrNoTopic):
			continue
		default:
			return nil, fmt.Errorf("topic %s: %w", t.Name, err)
		}
		info := TopicInfo{Partitions: len(t.Partitions)}
		for _, p := range t.Partitions {
			if p.PartitionIndex == 0 {
				info.Replication = len(p.ReplicaNodes)
			}
		}
		topics[t.Name] = info
	}
	return topics, nil
}

// leaders gives each partition's leader by kafka-go's own copy of the metadata, the one it routes by.
func (c *Client) leaders(ctx context.Context, topics []string) (map[TopicPartition]int32, error) {
	m, err := c.send(ctx, &metadata.Request{TopicNames: topics})
	if err != nil {
		return nil, err
	}
	leaders := make(map[TopicPartition]int32)
	for _, t := range m.(*metadata.Response).Topics {
		for _, p := range t.Partitions {
			if p.LeaderID >= 0 {
				leaders[TopicPartition{t.Name, int(p.PartitionIndex)}] = p.LeaderID
			}
		}
	}
	return leaders, nil
}
