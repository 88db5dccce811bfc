package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Admin looks at consumer groups, and says who may do what, with a client that is not the bridge's.
type Admin struct{ client *kgo.Client }

// NewAdmin connects to nothing yet.
func NewAdmin(brokers []string, options ...kgo.Opt) (*Admin, error) {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(brokers...))...)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	return &Admin{client}, nil
}

// Close drops the connections.
func (a *Admin) Close() { a.client.Close() }

// CreateTopic makes a topic, kept once.
func (a *Admin) CreateTopic(ctx context.Context, name string, partitions int) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	for _, t := range res.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
	}
	return nil
}

// Member is a member of a consumer group, as the group's coordinator sees it.
type Member struct {
	ID, ClientID string
	Partitions   map[string][]int // what it has, by topic
}

// Members gives the members of a group; stable is false while it rebalances, or has none.
func (a *Admin) Members(ctx context.Context, group string) (members []Member, stable bool, err error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return nil, false, fmt.Errorf("describe group %s: %w", group, err)
	}
	if len(res.Groups) != 1 {
		return nil, false, fmt.Errorf("describe group %s: %d answers", group, len(res.Groups))
	}
	g := res.Groups[0]
	if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
		return nil, false, fmt.Errorf("describe group %s: %w", group, err)
	}
	for _, m := range g.Members {
		var has kmsg.ConsumerMemberAssignment
		partitions := map[string][]int{}
		if len(m.MemberAssignment) > 0 { // it has none while the group rebalances
			if err := has.ReadFrom(m.MemberAssignment); err != nil {
				return nil, false, fmt.Errorf("describe group %s: %w", group, err)
			}
		}
		for _, t := range has.Topics {
			for _, p := range t.Partitions {
				partitions[t.Topic] = append(partitions[t.Topic], int(p))
			}
		}
		members = append(members, Member{ID: m.MemberID, ClientID: m.ClientID, Partitions: partitions})
	}
	return members, g.State == "Stable", nil
}

// Forget deletes a group, if there is one, and what it has committed. It must have no members.
func (a *Admin) Forget(ctx context.Context, group string) error {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	res, err := req.RequestWith(ctx, a.client)
	if err != nil {
		return fmt.Errorf("delete group %s: %w", group, err)
	}
	for _, g := range res.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("delete group %s: %w", group, err)
		}
	}
	return nil
}
