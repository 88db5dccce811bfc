package bridge

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/kafka"
)

// permissions asks what the brokers let us do, without doing it.
func (k *checkup) permissions(ctx context.Context, f *findings, client *kafka.Client) {
	before := len(f.list)
	k.mayTopics(ctx, f, client)
	for _, group := range []string{k.cfg.Group.Name, k.cfg.Group.Name + consumer.IntakeSuffix} {
		k.mayGroup(ctx, f, client, group)
	}
	k.mayFence(ctx, f, client)
	if len(f.list) == before {
		f.good("permissions", "topics, groups and transactional IDs may be used")
	}
}

// needs are the operations that the bridge's work takes of each topic.
func (c *Config) needs() []topicNeed {
	var needs []topicNeed
	for _, a := range ACLs(*c, RoleRun) {
		if a.Resource != "topic" {
			continue
		}
		at := slices.IndexFunc(needs, func(n topicNeed) bool { return n.topic == a.Name })
		if at < 0 {
			at, needs = len(needs), append(needs, topicNeed{topic: a.Name})
		}
		needs[at].operations = append(needs[at].operations, topicOperations[a.Operation])
	}
	return needs
}

type topicNeed struct {
	topic      string
	operations []kafka.Operation
}

func (k *checkup) mayTopics(ctx context.Context, f *findings, client *kafka.Client) {
	states, err := client.DescribeTopics(ctx, k.cfg.Topics.all()...)
	if err != nil {
		k.failed(f, "topics", "permissions could not be asked for", err)
		return
	}
	for _, need := range k.cfg.needs() {
		state := states[need.topic]
		if errors.Is(state.Err, kafka.ErrNoTopic) || state.Err == nil && !state.May.Known() {
			continue // said among the topics; or a broker older than Kafka 2.3, which does not tell
		}
		var missing []string
		for _, op := range need.operations {
			if state.Err != nil || !state.May.Has(op) {
				missing = append(missing, op.String())
			}
		}
		if len(missing) > 0 {
			list := strings.Join(missing, " and ")
			unseen := ""
			if state.Err != nil {
				unseen = ", nor is it to see whether the topic exists"
			}
			level := k.without(need.topic)
			f.add(level, "topic "+need.topic, "allow "+k.cfg.who()+" "+list+" on topic "+need.topic,
				"%s is not permitted%s%s", list, unseen, consequence[level])
		}
	}
}

func (k *checkup) mayGroup(ctx context.Context, f *findings, client *kafka.Client, group string) {
	may, err := client.MayGroup(ctx, group)
	switch {
	case errors.Is(err, kafka.ErrDenied), err == nil && may.Known() && !may.Has(kafka.OpRead):
		f.wrong("group "+group, "allow "+k.cfg.who()+" READ on group "+group, "READ is not permitted: it cannot be joined")
	case err != nil:
		k.failed(f, "group "+group, "permissions could not be asked for", err)
	}
}

// mayFence asks for each partition's transactional ID, since access rules can name them one by one.
func (k *checkup) mayFence(ctx context.Context, f *findings, client *kafka.Client) {
	ids := make([]string, max(0, k.cfg.Topics.Partitions))
	errs := make([]error, len(ids))
	var all errgroup.Group
	all.SetLimit(16)
	for i := range ids {
		ids[i] = consumer.TransactionalID(k.cfg.Group.Name, k.cfg.Topics.Names().State, i)
		all.Go(func() error { errs[i] = client.MayUse(ctx, ids[i]); return nil })
	}
	_ = all.Wait() // they give no errors
	prefix := strings.TrimSuffix(consumer.TransactionalID(k.cfg.Group.Name, k.cfg.Topics.Names().State, 0), "0")
	first := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	switch {
	case first < 0:
	case errors.Is(errs[first], kafka.ErrDenied):
		f.wrong("transactional ID "+ids[first], "allow "+k.cfg.who()+" WRITE on transactional IDs that begin with "+prefix+" (prefixed)",
			"WRITE is not permitted: no partition of state can be taken")
	default:
		k.failed(f, "transactional ID "+ids[first], "permissions could not be asked for", errs[first])
	}
}

// who is the user that access rules are about.
func (c *Config) who() string {
	switch {
	case c.Kafka.SASL.Mechanism != "":
		return "User:" + c.Kafka.SASL.User
	case c.Kafka.TLS.CertFile != "":
		return "our certificate's user"
	}
	return "User:ANONYMOUS"
}
