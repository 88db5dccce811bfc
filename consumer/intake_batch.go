package consumer

import (
	"strconv"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

const (
	// batchBytes limits the records of one append, as they are in memory. It is far below what a topic takes by default
	// (1 MiB), and so are the batches that the engine fetches: a broker gives them whole.
	batchBytes = 256 << 10

	// mostRepeated is how many events of one customer a crash can make intake append twice: the subject's record knows
	// the last of them by their identity, and twice as many.
	mostRepeated = 16
)

// batch is what intake appends to the inbox in one go, out of one partition of upstream's.
type batch struct {
	inbox         string
	partitions    int
	topic, number []byte // where the events come from, as text
	records       []kafka.Record
	from          []*kafka.Record // upstream's, that records are made of
	spans         []spans         // of those that are traced
	size          int
	of            map[string]int // events of each customer
}

func newBatch(cfg Config, got kafka.Fetched) *batch {
	return &batch{
		inbox: cfg.Inbox, partitions: cfg.Partitions,
		topic: []byte(got.Topic), number: strconv.AppendInt(nil, int64(got.Partition), 10),
		records: make([]kafka.Record, 0, len(got.Records)), from: make([]*kafka.Record, 0, len(got.Records)),
		of: map[string]int{},
	}
}

// fits tells whether an event of the customer may be appended with the others.
func (b *batch) fits(customer string, from *kafka.Record) bool {
	return b.size == 0 || b.size+weight(*from) <= batchBytes && b.of[customer] < mostRepeated
}

// add adds an event as the inbox holds it: binary mode, with where it came from, and the traceparent for what comes next.
func (b *batch) add(e schemas.Event, from *kafka.Record, s spans) {
	value, headers := e.Binary()
	headers = append(headers,
		kafka.Header{Key: producer.HeaderSourceTopic, Value: b.topic},
		kafka.Header{Key: producer.HeaderSourcePartition, Value: b.number},
		kafka.Header{Key: producer.HeaderSourceOffset, Value: strconv.AppendInt(nil, from.Offset, 10)})
	if parent := s.sent.Parent(e.TraceParent); parent != "" {
		headers = append(headers, kafka.Header{Key: producer.HeaderTraceParent, Value: []byte(parent)})
	}
	if s != (spans{}) {
		b.spans = append(b.spans, s)
	}
	key := []byte(e.CustomerID)
	b.records = append(b.records, kafka.Record{
		Topic: b.inbox, Partition: kafka.Partition(key, b.partitions), Key: key, Value: value, Headers: headers,
	})
	b.from = append(b.from, from)
	b.size += weight(*from)
	b.of[e.CustomerID]++
}

// clear empties the batch. What Produce was given may still be in use.
func (b *batch) clear() {
	b.records, b.from, b.spans, b.size = nil, nil, nil, 0
	clear(b.of)
}
