package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// Upstream's topics, as asyncapi.yaml has them, and which type goes where.
var upstreamTopics = []string{"customers", "orders", "payments"}

func defaultRoutes() map[string]string {
	return map[string]string{
		schemas.TypeCustomerVerified: "customers", schemas.TypeCustomerUpdated: "customers",
		schemas.TypeCustomerWalletAdded: "customers", schemas.TypeCustomerLinked: "customers",
		schemas.TypeOrderPaid: "payments", schemas.TypeOrderCreditReleased: "payments",
		schemas.TypePositionRedeemed: "orders", schemas.TypePositionTransferred: "orders",
	}
}

// routes gives the topic of each type: the defaults, changed by those that are given, for a type or a family of types
// ("order" for order.paid and order.credit_released).
func routes(given map[string]string) (map[string]string, error) {
	all := defaultRoutes()
	for _, name := range slices.SortedFunc(maps.Keys(given), func(a, b string) int { return len(a) - len(b) }) {
		known := false
		for typ := range all {
			if typ == name || strings.HasPrefix(typ, name+".") {
				all[typ], known = given[name], true
			}
		}
		if !known {
			return nil, fmt.Errorf("--topic: %q is no type of event: want one of %s, or customer, order or position",
				name, strings.Join(schemas.EventTypes(), ", "))
		}
	}
	return all, nil
}

// upstream writes events as upstream's systems do: keyed by customer, but into whatever topics they like.
type upstream struct {
	producer   *kafka.Producer
	partitions map[string]int // of each topic
	structured bool
}

// newUpstream looks for the topics. It starts nothing.
func newUpstream(ctx context.Context, client *kafka.Client, topics []string, structured bool) (*upstream, error) {
	infos, err := client.Topics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look at the topics: %w", err)
	}
	u := &upstream{producer: client.Producer(kafka.ProducerConfig{}), partitions: map[string]int{}, structured: structured}
	var missing []string
	for _, topic := range topics {
		if u.partitions[topic] = infos[topic].Partitions; u.partitions[topic] == 0 {
			missing = append(missing, topic)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no such topic: %s (\"distributor-sandbox up\" makes them on its own broker; --topic names others)",
			strings.Join(missing, ", "))
	}
	return u, nil
}

// record gives the event as it is written to topic.
func (u *upstream) record(topic string, e schemas.Event) kafka.Record {
	value, headers := e.Binary()
	if u.structured {
		value, headers = e.Structured()
	}
	return u.raw(topic, e.CustomerID, e.ID, value, headers)
}

// raw gives a record with that value. Without a customer it has no key, and the event's ID spreads it.
func (u *upstream) raw(topic, customer, id string, value []byte, headers []schemas.Header) kafka.Record {
	r := kafka.Record{Topic: topic, Value: value, Headers: headers}
	if customer != "" {
		r.Key = []byte(customer)
		r.Partition = kafka.Partition(r.Key, u.partitions[topic])
		return r
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	r.Partition = int(h.Sum32() % uint32(u.partitions[topic]))
	return r
}
