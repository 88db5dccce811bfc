package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Operation is what brokers may permit, by Kafka's own number.
type Operation int

// The operations that are of use here.
const (
	OpRead            Operation = 3
	OpWrite           Operation = 4
	OpDescribe        Operation = 8
	OpDescribeConfigs Operation = 10
)

// Operations is a set of them.
type Operations int32

// Has says whether it is known that op is permitted.
func (o Operations) Has(op Operation) bool { return o.Known() && o>>op&1 == 1 }

// Known says whether the broker has told the set at all.
func (o Operations) Known() bool { return o != 0 && o != -1<<31 }

// TopicState is how a topic stands.
type TopicState struct {
	Partitions  int
	Replication int // of the partition that has the fewest replicas
	InSync      int // of the partition that has the fewest of them in sync
	Leaderless  int // how many partitions have no leader
	May         Operations
	// Err is ErrNoTopic for one that does not exist, ErrDenied for one that may not be seen, whether it exists or not.
	Err error
}

// DescribeTopics tells how topics stand, and what this client may do with them. Each one asked for is in the answer.
func (c *Client) DescribeTopics(ctx context.Context, names ...string) (map[string]TopicState, error) {
	topics := make(map[string]TopicState, len(names))
	err := c.ask(ctx, "ask for topics", func(ctx context.Context) error {
		m, err := c.send(ctx, &exchange{
			request:  &metadata.Request{TopicNames: names, IncludeTopicAuthorizedOperations: true},
			clientID: c.cfg.ClientID,
		})
		if err != nil {
			return err
		}
		for _, t := range m.(*metadata.Response).Topics {
			s := TopicState{Partitions: len(t.Partitions), May: Operations(t.TopicAuthorizedOperations)}
			switch e := codeError(t.ErrorCode); {
			case e == 0:
			case e.Is(ErrNoTopic), e.Is(ErrDenied):
				s.Err = e
			default:
				return fmt.Errorf("topic %s: %w", t.Name, e)
			}
			for i, p := range t.Partitions {
				if i == 0 || len(p.ReplicaNodes) < s.Replication {
					s.Replication = len(p.ReplicaNodes)
				}
				if i == 0 || len(p.IsrNodes) < s.InSync {
					s.InSync = len(p.IsrNodes)
				}
				if p.LeaderID < 0 {
					s.Leaderless++
				}
			}
			topics[t.Name] = s
		}
		return nil
	})
	return topics, err
}

// Kafka's numbers of what has settings.
const (
	topicResource  = 2
	brokerResource = 4
)

// TopicSettings gives the settings of topics that exist, defaults included. One whose settings may not be read is left out.
func (c *Client) TopicSettings(ctx context.Context, names ...string) (map[string]map[string]string, error) {
	req := &describeconfigs.Request{}
	for _, name := range names {
		req.Resources = append(req.Resources, describeconfigs.RequestResource{ResourceType: topicResource, ResourceName: name})
	}
	return c.settings(ctx, "settings of topics", req)
}

// BrokerSettings gives settings of one of the brokers; none if they may not be read.
func (c *Client) BrokerSettings(ctx context.Context, names ...string) (map[string]string, error) {
	var id string
	err := c.ask(ctx, "ask for brokers", func(ctx context.Context) error {
		m, err := c.send(ctx, &exchange{request: &metadata.Request{TopicNames: []string{}}, clientID: c.cfg.ClientID})
		if err != nil {
			return err
		}
		brokers := m.(*metadata.Response).Brokers
		if len(brokers) == 0 {
			return errStale
		}
		id = strconv.Itoa(int(brokers[0].NodeID))
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, err := c.settings(ctx, "settings of broker "+id, &describeconfigs.Request{Resources: []describeconfigs.RequestResource{{
		ResourceType: brokerResource, ResourceName: id, ConfigNames: names,
	}}})
	return all[id], err
}

func (c *Client) settings(ctx context.Context, what string, req *describeconfigs.Request) (map[string]map[string]string, error) {
	all := make(map[string]map[string]string)
	if len(req.Resources) == 0 {
		return all, nil
	}
	err := c.ask(ctx, what, func(ctx context.Context) error {
		m, err := c.send(ctx, req)
		if err != nil {
			return err
		}
		for _, r := range m.(*describeconfigs.Response).Resources {
			switch e := codeError(r.ErrorCode); {
			case e.Is(ErrDenied), e.Is(ErrNoTopic):
				continue
			case e != 0:
				return fmt.Errorf("%s: %w", r.ResourceName, e)
			}
			values := make(map[string]string, len(r.ConfigEntries))
			for _, entry := range r.ConfigEntries {
				values[entry.ConfigName] = entry.ConfigValue
			}
			all[r.ResourceName] = values
		}
		return nil
	})
	return all, err
}

// MayGroup tells what this client may do with a consumer group, without joining it, be there such a group or not. ErrDenied if it may
// not be seen.
func (c *Client) MayGroup(ctx context.Context, group string) (may Operations, err error) {
	err = c.ask(ctx, "describe group "+group, func(ctx context.Context) error {
		m, err := c.send(ctx, &describegroups.Request{Groups: []string{group}, IncludeAuthorizedOperations: true})
		if err != nil {
			return err
		}
		res := m.(*describegroups.Response)
		if len(res.Groups) != 1 {
			return errEmpty
		}
		may = Operations(res.Groups[0].AuthorizedOperations)
		if e := codeError(res.Groups[0].ErrorCode); e != 0 && !e.is(kafkago.GroupIdNotFound) {
			return e
		}
		return nil
	})
	return may, err
}

// MayUse says whether this client may write with a transactional ID: nil, or ErrDenied. It takes nothing: whoever has the ID keeps
// it, and one that nobody has does not come into being.
//
// Brokers look at the permission first. What they are asked for then cannot be given, for two reasons: a transaction's timeout of
// nothing, which is refused before the ID is looked at, and the producer ID of nobody.
func (c *Client) MayUse(ctx context.Context, transactionalID string) error {
	return c.ask(ctx, "ask for transactional ID "+transactionalID, func(ctx context.Context) error {
		m, err := c.send(ctx, &initproducerid.Request{
			TransactionalID: transactionalID, TransactionTimeoutMs: 0, ProducerID: 1<<63 - 1, ProducerEpoch: 0,
		})
		if err != nil {
			return err
		}
		switch e := codeError(m.(*initproducerid.Response).ErrorCode); {
		case e.is(kafkago.InvalidTransactionTimeout, kafkago.InvalidProducerIDMapping),
			e.is(kafkago.InvalidProducerEpoch, kafkago.ProducerFenced):
			return nil // permitted, and refused as it should be
		case e == 0:
			return final{errors.New("the broker gave what it had to refuse")}
		default:
			return e
		}
	})
}

// String gives the operation as access rules name it.
func (o Operation) String() string {
	switch o {
	case OpRead:
		return "READ"
	case OpWrite:
		return "WRITE"
	case OpDescribe:
		return "DESCRIBE"
	case OpDescribeConfigs:
		return "DESCRIBE_CONFIGS"
	}
	return fmt.Sprintf("operation %d", int(o))
}
