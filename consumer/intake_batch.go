package consumer

import (
	"strconv"
	"sync"

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
	topic, number string       // where the events come from, as text
	room          schemas.Room // of the records' keys and headers
	records       []kafka.Record
	from          []*kafka.Record // upstream's, that records are made of
	spans         []spans         // of those that are traced
	size          int
	of            map[string]int // events of each customer
}

// batches are empty ones, for the memory they have.
var batches = sync.Pool{New: func() any { return &batch{of: map[string]int{}} }}

func newBatch(cfg Config, got kafka.Fetched) *batch {
	b := batches.Get().(*batch)
	b.inbox, b.partitions = cfg.Inbox, cfg.Partitions
	b.topic, b.number = got.Topic, strconv.Itoa(got.Partition)
	return b
}

// fits tells whether an event of the customer may be appended with the others.
func (b *batch) fits(customer string, from *kafka.Record) bool {
	return b.size == 0 || b.size+weight(*from) <= batchBytes && b.of[customer] < mostRepeated
}

// add adds an event as the inbox holds it: binary mode, with where it came from, and the traceparent for what comes next.
func (b *batch) add(e schemas.Event, from *kafka.Record, s spans) {
	var digits [20]byte
	b.room.Binary(&e)
	b.room.Add(producer.HeaderSourceTopic, b.topic)
	b.room.Add(producer.HeaderSourcePartition, b.number)
	b.room.Add(producer.HeaderSourceOffset, string(strconv.AppendInt(digits[:0], from.Offset, 10)))
	if parent := s.sent.Parent(e.TraceParent); parent != "" {
		b.room.Add(producer.HeaderTraceParent, parent)
	}
	if s != (spans{}) {
		b.spans = append(b.spans, s)
	}
	key := b.room.Bytes(e.CustomerID)
	b.records = append(b.records, kafka.Record{
		Topic: b.inbox, Partition: kafka.Partition(key, b.partitions), Key: key, Value: e.Data, Headers: b.room.Headers(),
	})
	b.from = append(b.from, from)
	b.size += weight(*from)
	b.of[e.CustomerID]++
}

// clear empties the batch once it is appended. Before, or after an error, what Produce was given may still be in use.
func (b *batch) clear() {
	b.room.Clear()
	clear(b.records)
	clear(b.from)
	clear(b.spans)
	b.records, b.from, b.spans, b.size = b.records[:0], b.from[:0], b.spans[:0], 0
	clear(b.of)
}

// leave gives the batch back, once it is appended.
func (b *batch) leave() {
	b.clear()
	batches.Put(b)
}
