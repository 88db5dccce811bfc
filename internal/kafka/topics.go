package kafka

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// TopicInfo is what is known of a topic.
type TopicInfo struct {
	Partitions  int
	Replication int // of partition 0
	// Identity tells the topic from one of the same name that was deleted, or will come: the ID that brokers give each topic, and
	// their cluster's. Empty with brokers before 2.8, which have none.
	Identity string
}

// another says whether two identities are of different topics of one cluster. Of another cluster's nothing is known: a mirror has the
// events of what it mirrors, and may have the group's offsets.
func another(was, is string) bool {
	topic, cluster, known := strings.Cut(was, "@")
	now, here, knownNow := strings.Cut(is, "@")
	return known && knownNow && cluster == here && topic != now
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
	asked := &topicsRequest{names: names, clientID: c.cfg.ClientID}
	if _, err := c.send(ctx, asked); err != nil {
		return nil, nil, err
	}
	return c.given(asked, operation)
}

// visibleTo is visible, as the coordinator of a group sees it: brokers may lag behind each other, and those who ask for a group's
// topics and its offsets have to be told of the same.
func (c *Client) visibleTo(
	ctx context.Context, group string, names []string, operation string,
) (topics map[string]TopicInfo, hidden []error, err error) {
	asked := &groupTopicsRequest{topicsRequest: topicsRequest{names: names, clientID: c.cfg.ClientID}, group: group}
	if _, err := c.send(ctx, asked); err != nil {
		return nil, nil, c.denied(err, onGroup("Describe", group))
	}
	return c.given(&asked.topicsRequest, operation)
}

func (c *Client) given(asked *topicsRequest, operation string) (topics map[string]TopicInfo, hidden []error, err error) {
	topics = make(map[string]TopicInfo)
	for _, t := range asked.answer {
		switch err := codeError(t.code); {
		case err == 0:
			topics[t.name] = t.info
		case err.Is(ErrNoTopic):
		case err.Is(ErrDenied):
			hidden = append(hidden, fmt.Errorf("topic %s: %w", t.name, c.denied(err, onTopic(operation, t.name))))
		default:
			return nil, nil, fmt.Errorf("topic %s: %w", t.name, err)
		}
	}
	return topics, hidden, nil
}

// topicsRequest is a Metadata request by hand: kafka-go answers its own from memory, and knows no version with IDs.
type topicsRequest struct {
	names    []string // none: all
	clientID string
	answer   []givenTopic // set by RawExchange
}

// givenTopic is what an answer says of one topic.
type givenTopic struct {
	code int16
	name string
	info TopicInfo
}

// Versions of Metadata.
const (
	metadataLeast    = 8  // the oldest that is read below: Kafka has it since 2.3
	metadataFlexible = 9  // from here on lengths are of variable length, and there may be tagged fields
	metadataIDs      = 10 // Kafka has it since 2.8
)

// mostMetadata is how large an answer may be, in bytes: that of a cluster with a million partitions is smaller.
const mostMetadata = 128 << 20

// ApiKey is for kafka-go.
func (r *topicsRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required is for kafka-go, which routes the request.
func (r *topicsRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange asks the broker which versions it has first: kafka-go tells only of those that it has itself.
func (r *topicsRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	m, err := protocol.RoundTrip(rw, 0, correlation, r.clientID, &apiversions.Request{})
	if err != nil {
		return nil, err
	}
	keys := m.(*apiversions.Response).ApiKeys
	i := slices.IndexFunc(keys, func(k apiversions.ApiKeyResponse) bool { return protocol.ApiKey(k.ApiKey) == protocol.Metadata })
	if i < 0 || keys[i].MaxVersion < metadataLeast || keys[i].MinVersion > metadataIDs {
		return nil, fmt.Errorf("ask for topics: %w: Metadata %d to %d", codeError(kafkago.UnsupportedVersion), metadataLeast, metadataIDs)
	}
	version := min(keys[i].MaxVersion, metadataIDs)
	if _, err := rw.Write(r.encode(version)); err != nil {
		return nil, err
	}
	body, err := readAnswer(rw, mostMetadata)
	if err != nil {
		return nil, err
	}
	c := cursor{b: body, compact: version >= metadataFlexible}
	r.decode(&c, version)
	return r, c.err
}

func (r *topicsRequest) encode(version int16) []byte {
	b := appendHeader(nil, int16(protocol.Metadata), version, r.clientID)
	compact := version >= metadataFlexible
	if compact {
		b = append(b, 0) // tagged fields of the header
	}
	switch n := len(r.names); {
	case compact && n == 0:
		b = append(b, 0) // null: all
	case compact:
		b = binary.AppendUvarint(b, uint64(n+1))
	case n == 0:
		b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
	default:
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	for _, name := range r.names {
		if version >= metadataIDs {
			b = append(b, make([]byte, topicID)...) // by name
		}
		if !compact {
			b = appendText(b, name)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(name)+1))
		b = append(append(b, name...), 0) // tagged fields
	}
	b = append(b, 0, 0, 0) // make no topic; tell no permissions on the cluster, or on topics
	if compact {
		b = append(b, 0) // tagged fields
	}
	finishRequest(b)
	return b
}

const topicID = 16 // bytes

func (r *topicsRequest) decode(c *cursor, version int16) {
	c.tags() // of the header
	c.int32()
	for range c.count(10) { // brokers
		c.int32()
		c.text()
		c.int32()
		c.text()
		c.tags()
	}
	cluster := c.text()
	c.int32() // controller
	for range c.count(8) {
		t := givenTopic{code: c.int16(), name: c.text()}
		if version >= metadataIDs {
			if id := c.next(topicID); slices.ContainsFunc(id, func(b byte) bool { return b != 0 }) {
				t.info.Identity = base64.RawURLEncoding.EncodeToString(id) + "@" + cluster
			}
		}
		c.next(1) // whether it is internal
		for range c.count(16) {
			t.info.Partitions++
			if number, replicas := c.partition(); number == 0 {
				t.info.Replication = replicas
			}
		}
		c.int32() // what is permitted
		c.tags()
		r.answer = append(r.answer, t)
	}
}

// partition reads what a Metadata answer says of a partition.
func (c *cursor) partition() (number int32, replicas int) {
	c.int16()
	number = c.int32()
	c.next(8) // leader, and its epoch
	replicas = c.count(4)
	c.next(4 * replicas)
	for range 2 { // those in sync, and those that are offline
		c.next(4 * c.count(4))
	}
	c.tags()
	return number, replicas
}

// groupTopicsRequest is a topicsRequest to the coordinator of a group.
type groupTopicsRequest struct {
	topicsRequest
	group string
}

// Group is for kafka-go, which finds the coordinator.
func (r *groupTopicsRequest) Group() string { return r.group }

var (
	_ protocol.RawExchanger = (*topicsRequest)(nil)
	_ protocol.RawExchanger = (*groupTopicsRequest)(nil)
	_ protocol.GroupMessage = (*groupTopicsRequest)(nil)
)
