package bridge

import (
	"errors"
	"fmt"
	"strings"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/kafka"
)

// Role is what a user of the brokers does, and needs permissions for.
type Role string

// The roles. A user may have several.
const (
	RoleRun     Role = "run"     // distributor-bridge run
	RoleCheck   Role = "check"   // check, beyond run: it reads how topics are set up
	RoleOperate Role = "operate" // dead, held, status, audit, resume
	RoleCreate  Role = "create"  // topics create
)

// Roles are all of them.
func Roles() []Role { return []Role{RoleRun, RoleCheck, RoleOperate, RoleCreate} }

// ACL is a permission that a role needs at the brokers, in the words of kafka-acls.sh.
type ACL struct {
	Operation string `json:"operation"`          // Read, Write, Describe, DescribeConfigs, Create; Read and Write hold Describe
	Resource  string `json:"resource"`           // topic, group, transactional-id, cluster
	Name      string `json:"name"`               // kafka-cluster for the cluster
	Prefixed  bool   `json:"prefixed,omitempty"` // all whose name begins with Name
	For       string `json:"for"`                // what does not work without it
}

// ACLs gives the least permissions that a role needs with a configuration. They are complete, role by role, and none of them can be
// left out: a test takes away each one at a real broker. Documentation and deployment are made from this list.
func ACLs(c Config, role Role) []ACL {
	names := c.Topics.Names()
	topic := func(operation, name, why string) ACL {
		return ACL{Operation: operation, Resource: "topic", Name: name, For: why}
	}
	switch role {
	case RoleRun:
		list := make([]ACL, 0, len(c.Topics.Upstream)+12)
		for _, upstream := range c.Topics.Upstream {
			list = append(list, topic("Read", upstream, "upstream's events are taken in"))
		}
		list = append(list,
			ACL{Operation: "Read", Resource: "group", Name: c.Group.Name + consumer.IntakeSuffix, For: "members share upstream's topics"},
			ACL{Operation: "Read", Resource: "group", Name: c.Group.Name, For: "members share the inbox"},
			topic("Read", names.Inbox, "events are worked on"),
			topic("Write", names.Inbox, "upstream's events are taken in"),
			topic("Read", names.State, "what was done is restored"),
			topic("Write", names.State, "what is done is remembered"),
			ACL{Operation: "Write", Resource: "transactional-id", Prefixed: true,
				Name: strings.TrimSuffix(consumer.TransactionalID(c.Group.Name, names.State, 0), "0"),
				For:  "one member at a time writes a partition's state"},
			topic("Write", names.Results, "results are published"),
			topic("Write", names.DeadLetters, "events that are given up are kept"),
			topic("Read", names.Hints, "the provider's webhooks reach all members"),
		)
		if c.Webhooks.Listen != "" {
			list = append(list, topic("Write", names.Hints, "the provider's webhooks are taken"))
		}
		return list
	case RoleCheck:
		var list []ACL
		for _, name := range []string{names.Inbox, names.Results, names.DeadLetters, names.State, names.Hints} {
			list = append(list, topic("DescribeConfigs", name, "the topic's settings are looked at"))
		}
		return append(list, ACL{Operation: "DescribeConfigs", Resource: "cluster", Name: "kafka-cluster",
			For: "group.session is compared with the brokers' limits"})
	case RoleOperate:
		return []ACL{
			topic("Read", names.Inbox, "held events and commands are shown"),
			topic("Write", names.Inbox, "dead replay, held resolve, held discard and resume are written"),
			topic("Read", names.State, "what is held, and what became of a customer, is shown"),
			topic("Read", names.Results, "status shows results"),
			topic("Read", names.DeadLetters, "dead letters are shown"),
			{Operation: "Describe", Resource: "group", Name: c.Group.Name, For: "how far the inbox is done is looked at"},
		}
	case RoleCreate:
		var list []ACL
		for _, name := range []string{names.Inbox, names.Results, names.DeadLetters, names.State, names.Hints} {
			list = append(list, topic("Create", name, "the topic is created"), topic("Describe", name, "it is seen whether it exists"))
		}
		return list
	}
	return nil
}

// topicOperations are those that RoleRun needs of topics.
var topicOperations = map[string]kafka.Operation{"Read": kafka.OpRead, "Write": kafka.OpWrite}

// forbidden says what of the work on a topic is not permitted.
func (c *Config) forbidden(topic string, state kafka.TopicState) (all []error) {
	hidden := errors.Is(state.Err, kafka.ErrDenied)
	if !hidden && (state.Err != nil || !state.May.Known()) {
		return nil // brokers before 2.3 do not tell: it shows when it is done
	}
	for _, a := range ACLs(*c, RoleRun) {
		if a.Resource == "topic" && a.Name == topic && (hidden || !state.May.Has(topicOperations[a.Operation])) {
			all = append(all, fmt.Errorf("%s on topic %s is not permitted: allow it with %s", a.Operation, topic, a.AddACL(c.principal())))
		}
	}
	return all
}

// principal is the user that access rules are about.
func (c *Config) principal() string {
	if c.Kafka.SASL.User != "" {
		return "User:" + c.Kafka.SASL.User
	}
	return "User:NAME"
}

// AddACL gives the command of Kafka's own tools that gives a user, such as User:bridge, the permission.
func (a ACL) AddACL(principal string) string {
	words := []string{"kafka-acls.sh --add --allow-principal", kafka.Quoted(principal), "--operation", a.Operation}
	if a.Resource == "cluster" {
		return strings.Join(append(words, "--cluster"), " ")
	}
	words = append(words, "--"+a.Resource, kafka.Quoted(a.Name))
	if a.Prefixed {
		words = append(words, "--resource-pattern-type prefixed")
	}
	return strings.Join(words, " ")
}
