package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// TopicSpec is a topic to create.
type TopicSpec struct {
	Name        string
	Partitions  int               // 0: the broker's default
	Replication int               // 0: the broker's default
	Config      map[string]string // e.g. cleanup.policy; what is not named is the broker's default
}

// CreateTopics creates topics, and tells of each by name whether it was made; false if it exists already, however it is
// set up. On an error some may have been made. With Config.Topics it creates only those.
func (c *Client) CreateTopics(ctx context.Context, specs []TopicSpec) (created map[string]bool, err error) {
	created = make(map[string]bool)
	for _, spec := range specs {
		if len(c.cfg.Topics) > 0 && !slices.Contains(c.cfg.Topics, spec.Name) {
			// kafka-go would wait for ever for it to appear in its metadata.
			return created, fmt.Errorf("create topic %s: it is not among the client's topics", spec.Name)
		}
		err := c.ask(ctx, "create topic "+spec.Name, func(ctx context.Context) error {
			err := c.createTopic(ctx, spec)
			created[spec.Name] = err == nil
			if e, ok := err.(codeError); ok && e.is(kafkago.TopicAlreadyExists) {
				return nil
			}
			return err
		})
		if err != nil {
			return created, err
		}
	}
	return created, nil
}

func (c *Client) createTopic(ctx context.Context, spec TopicSpec) error {
	topic := createtopics.RequestTopic{
		Name:              spec.Name,
		NumPartitions:     int32(cmp.Or(spec.Partitions, -1)),
		ReplicationFactor: int16(cmp.Or(spec.Replication, -1)),
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Config)) {
		topic.Configs = append(topic.Configs, createtopics.RequestConfig{Name: name, Value: spec.Config[name]})
	}
	m, err := c.send(ctx, &createtopics.Request{
		Topics:    []createtopics.RequestTopic{topic},
		TimeoutMs: int32(c.cfg.Timeout.Milliseconds()),
	})
	if err != nil {
		return err
	}
	for _, t := range m.(*createtopics.Response).Topics {
		switch err := code(t.ErrorCode).(type) {
		case nil:
		case codeError:
			if err.Is(ErrDenied) {
				return c.denied(err, onTopic("Create", spec.Name))
			}
			if err.is(kafkago.TopicAlreadyExists) || t.ErrorMessage == "" {
				return err
			}
			return fmt.Errorf("%w: %s", err, t.ErrorMessage) // e.g. which setting is wrong
		}
	}
	return nil
}

// StartOffset gives the first offset of each partition. ErrNoTopic if there is no such topic.
func (c *Client) StartOffset(ctx context.Context, topic string) (map[int]int64, error) {
	return c.listOffsets(ctx, topic, kafkago.FirstOffset)
}

// EndOffset gives the offset after the last record of each partition. ErrNoTopic if there is no such topic.
func (c *Client) EndOffset(ctx context.Context, topic string) (map[int]int64, error) {
	return c.listOffsets(ctx, topic, kafkago.LastOffset)
}

// OffsetAt gives of each partition the offset of its first record at or after t, by the records' times; that after the last
// record if there is none. ErrNoTopic if there is no such topic.
func (c *Client) OffsetAt(ctx context.Context, topic string, t time.Time) (map[int]int64, error) {
	ends, err := c.EndOffset(ctx, topic) // first: what comes meanwhile is younger than any offset found
	if err != nil {
		return nil, err
	}
	offsets, err := c.listOffsets(ctx, topic, max(0, t.UnixMilli())) // below 0 are words, not times
	if err != nil {
		return nil, err
	}
	for partition, offset := range offsets {
		if offset < 0 {
			offsets[partition] = ends[partition]
		}
	}
	return offsets, nil
}

func (c *Client) listOffsets(ctx context.Context, topic string, which int64) (map[int]int64, error) {
	info, err := c.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	if info[topic].Partitions == 0 {
		return nil, fmt.Errorf("offsets of %s: %w", topic, ErrNoTopic)
	}
	partitions := make([]listoffsets.RequestPartition, info[topic].Partitions)
	for i := range partitions {
		partitions[i] = listoffsets.RequestPartition{Partition: int32(i), CurrentLeaderEpoch: -1, Timestamp: which}
	}
	offsets := make(map[int]int64)
	err = c.ask(ctx, "offsets of "+topic, func(ctx context.Context) error {
		m, err := c.send(ctx, &listoffsets.Request{
			ReplicaID: -1,
			Topics:    []listoffsets.RequestTopic{{Topic: topic, Partitions: partitions}},
		})
		if err != nil {
			return err
		}
		for _, t := range m.(*listoffsets.Response).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return fmt.Errorf("partition %d: %w", p.Partition, c.denied(code(p.ErrorCode), onTopic("Read", topic)))
				}
				offsets[int(p.Partition)] = p.Offset
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

// GroupOffsets gives a group's committed offset of each partition of topic that has one.
func (c *Client) GroupOffsets(ctx context.Context, group, topic string) (map[int]int64, error) {
	info, err := c.Topics(ctx, topic)
	if err != nil {
		return nil, err
	}
	partitions := make([]int, info[topic].Partitions)
	for i := range partitions {
		partitions[i] = i
	}
	all, err := c.committed(ctx, group, topic, partitions)
	if errors.Is(err, kafkago.GroupIdNotFound) { // newer brokers than 4.2 may say so; others give no offsets
		return map[int]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	offsets := make(map[int]int64, len(all))
	for number, at := range all {
		if at.offset >= 0 && !another(at.identity, info[topic].Identity) {
			offsets[number] = at.offset
		}
	}
	return offsets, nil
}

// committedAt is where a group is in a partition.
type committedAt struct {
	offset   int64  // negative: nowhere
	identity string // of the topic in which it is; empty if that is not known
}

// ofTopic is how a group's offset tells of which topic it is, for all who look at its metadata.
func ofTopic(identity string) string {
	if identity == "" {
		return ""
	}
	return ofTopicPrefix + identity
}

const ofTopicPrefix = "topic:"

// committed asks a group's coordinator where it is in each of the partitions.
func (c *Client) committed(ctx context.Context, group, topic string, partitions []int) (map[int]committedAt, error) {
	asked := offsetfetch.RequestTopic{Name: topic}
	for _, number := range partitions {
		asked.PartitionIndexes = append(asked.PartitionIndexes, int32(number))
	}
	offsets := make(map[int]committedAt, len(partitions))
	err := c.ask(ctx, "offsets of group "+group, func(ctx context.Context) error {
		m, err := c.send(ctx, &offsetfetch.Request{GroupID: group, Topics: []offsetfetch.RequestTopic{asked}})
		if err != nil {
			return c.denied(err, onGroup("Describe", group))
		}
		res := m.(*offsetfetch.Response)
		if err := codeError(res.ErrorCode); err != 0 {
			return c.denied(err, onGroup("Describe", group))
		}
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return fmt.Errorf("%s/%d: %w", topic, p.PartitionIndex, c.denied(code(p.ErrorCode), onTopic("Describe", topic)))
				}
				at := committedAt{offset: p.CommittedOffset}
				if identity, ours := strings.CutPrefix(p.Metadata, ofTopicPrefix); ours {
					at.identity = identity
				}
				offsets[int(p.PartitionIndex)] = at
			}
		}
		if len(offsets) < len(partitions) {
			return errEmpty
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

// needed are the versions that kafka-go's ConsumerGroup speaks and cannot negotiate, and the least that our own
// requests need: idempotent writes, renewal of an epoch, fetching with aborted transactions.
var needed = map[protocol.ApiKey]int16{
	protocol.Metadata:        metadataLeast,
	protocol.OffsetCommit:    2,
	protocol.OffsetFetch:     1,
	protocol.FindCoordinator: 0,
	protocol.SyncGroup:       0,
	protocol.Heartbeat:       0,
	protocol.LeaveGroup:      0,
	protocol.Produce:         8,
	protocol.Fetch:           11,
	protocol.InitProducerId:  3,
}

// CheckGroupLimits tells whether the brokers accept the session timeout (outside their limits every join would be
// refused for ever), and whether they speak what this package needs. Limits that may not be read are not checked.
func (c *Client) CheckGroupLimits(ctx context.Context, session time.Duration) error {
	if err := c.CheckVersions(ctx); err != nil {
		return err
	}
	return c.ask(ctx, "check the session timeout", func(ctx context.Context) error {
		return c.checkSession(ctx, session)
	})
}

func (c *Client) checkVersions(ctx context.Context) error {
	m, err := c.send(ctx, &apiversions.Request{})
	if err != nil {
		return err
	}
	res := m.(*apiversions.Response)
	if res.ErrorCode != 0 {
		return code(res.ErrorCode)
	}
	spoken := make(map[protocol.ApiKey]apiversions.ApiKeyResponse)
	for _, k := range res.ApiKeys {
		spoken[protocol.ApiKey(k.ApiKey)] = k
	}
	for _, key := range slices.Sorted(maps.Keys(needed)) {
		k, ok := spoken[key]
		if v := needed[key]; !ok || v < k.MinVersion || v > k.MaxVersion {
			return fmt.Errorf("%w: %s version %d; the broker has %d to %d (Apache Kafka 2.5 to 4.x are fit)",
				codeError(kafkago.UnsupportedVersion), key, v, k.MinVersion, k.MaxVersion)
		}
	}
	return nil
}

// CheckVersions tells whether the brokers speak what this package needs.
func (c *Client) CheckVersions(ctx context.Context) error {
	return c.ask(ctx, "check the brokers' version", c.checkVersions)
}

// The broker's limits of a session timeout.
const (
	LeastSession = "group.min.session.timeout.ms"
	MostSession  = "group.max.session.timeout.ms"
)

func (c *Client) checkSession(ctx context.Context, session time.Duration) error {
	limits, err := c.BrokerSettings(ctx, LeastSession, MostSession)
	if err != nil {
		return err
	}
	if limits == nil {
		c.log.Info().Msg("kafka: the broker's limits of the session timeout may not be read")
	}
	for _, name := range []string{LeastSession, MostSession} {
		ms, err := strconv.ParseInt(limits[name], 10, 64)
		if err != nil {
			continue
		}
		limit := time.Duration(ms) * time.Millisecond
		if name == LeastSession && session < limit || name == MostSession && session > limit {
			return fmt.Errorf("%w: it is %s, the broker's %s is %s",
				codeError(kafkago.InvalidSessionTimeout), session, name, limit)
		}
	}
	return nil
}
