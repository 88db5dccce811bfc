package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
)

// produceRequest is a Produce request to one broker, encoded by hand: kafka-go's way, over reflection, pages and copies,
// costs as much as all the rest of a write.
type produceRequest struct {
	leader   int32 // node ID; -1: whoever leads the first batch by kafka-go's copy of the metadata
	clientID string
	timeout  time.Duration // the broker's
	parcels  []*parcel     // one a partition

	answers []produceAnswer // set by RawExchange
	version int16           // negotiated, set by Required
}

type produceAnswer struct {
	tp   TopicPartition
	code int16
	base int64
}

const (
	produceVersion   = 8 // the newest that is written below; the oldest is 3, which Kafka has since 0.11
	produceAnswerMax = 16 << 20
)

func (r *produceRequest) ApiKey() protocol.ApiKey { return protocol.Produce }

// Broker routes the request.
func (r *produceRequest) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	leader := r.leader
	if tp := r.parcels[0].tp; leader < 0 {
		p, ok := cluster.Topics[tp.Topic].Partitions[int32(tp.Partition)]
		if !ok {
			return protocol.Broker{}, fmt.Errorf("%w: %s is not in it", errStale, tp)
		}
		leader = p.Leader
	}
	b, ok := cluster.Brokers[leader]
	if !ok {
		return b, fmt.Errorf("%w: no leader", errStale)
	}
	return b, nil
}

func (r *produceRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.Produce], produceVersion)
	return true
}

var requestBuffers = sync.Pool{New: func() any { return new([]byte) }}

func (r *produceRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < 3 {
		return nil, fmt.Errorf("the broker knows Produce only up to version %d", r.version)
	}
	buffer := requestBuffers.Get().(*[]byte)
	*buffer = r.encode((*buffer)[:0])
	_, err := rw.Write(*buffer)
	if cap(*buffer) <= requestBytes {
		requestBuffers.Put(buffer)
	}
	if err != nil {
		return nil, err
	}
	body, err := readAnswer(rw, produceAnswerMax)
	if err != nil {
		return nil, err
	}
	r.answers, err = decodeProduced(body, r.version, len(r.parcels))
	return r, err
}

// encode appends the request. Batches of one topic stand together.
func (r *produceRequest) encode(b []byte) []byte {
	const allReplicas = -1
	b = appendHeader(b, int16(protocol.Produce), r.version, r.clientID)
	b = append(b, 0xff, 0xff) // no transactional ID: no batch is transactional
	b = binary.BigEndian.AppendUint16(b, uint16(allReplicas&0xffff))
	b = binary.BigEndian.AppendUint32(b, uint32(r.timeout.Milliseconds()))
	var topics uint32
	atTopics := len(b)
	b = binary.BigEndian.AppendUint32(b, 0)
	written := make([]bool, len(r.parcels))
	for i, first := range r.parcels {
		if written[i] {
			continue
		}
		topics++
		b = appendText(b, first.tp.Topic)
		var partitions uint32
		at := len(b)
		b = binary.BigEndian.AppendUint32(b, 0)
		for j, p := range r.parcels[i:] {
			if p.tp.Topic != first.tp.Topic {
				continue
			}
			written[i+j] = true
			partitions++
			b = binary.BigEndian.AppendUint32(b, uint32(p.tp.Partition))
			b = append(b, p.batch...)
		}
		binary.BigEndian.PutUint32(b[at:], partitions)
	}
	binary.BigEndian.PutUint32(b[atTopics:], topics)
	finishRequest(b)
	return b
}

func decodeProduced(body []byte, version int16, expected int) ([]produceAnswer, error) {
	c := cursor{b: body}
	answers := make([]produceAnswer, 0, expected)
	for range c.count(6) {
		topic := c.text()
		for range c.count(22) {
			a := produceAnswer{tp: TopicPartition{topic, int(c.int32())}, code: c.int16(), base: c.int64()}
			c.int64() // time of the log
			if version >= 5 {
				c.int64() // start of the log
			}
			if version >= 8 {
				for range c.count(6) { // what is wrong with which record: may hold its contents
					c.int32()
					c.text()
				}
				c.text() // the code in words
			}
			answers = append(answers, a)
		}
	}
	return answers, c.err
}

// produceAll sends batches to a broker once, and sets base and err of each parcel. Its error is that the broker gave no
// answer.
func (c *Client) produceAll(ctx context.Context, leader int32, parcels []*parcel) error {
	m, err := c.send(ctx, &produceRequest{
		leader: leader, clientID: c.cfg.ClientID, parcels: parcels,
		timeout: c.cfg.Timeout * 3 / 4, // so that the broker answers before we hang up
	})
	for _, p := range parcels {
		p.base, p.err = -1, cmp.Or(err, errEmpty)
	}
	if err != nil {
		return err
	}
	for i, a := range m.(*produceRequest).answers {
		p := find(parcels, i, a.tp)
		switch {
		case p == nil:
		case a.code == 0:
			p.base, p.err = a.base, nil
		case a.code == int16(kafkago.DuplicateSequenceNumber): // written by an earlier try
			p.err = nil
		default:
			p.err = c.denied(code(a.code), onTopic("Write", a.tp.Topic))
		}
	}
	return nil
}

// find gives a partition's parcel, which most often is at i; nil if there is none.
func find(parcels []*parcel, i int, tp TopicPartition) *parcel {
	if i < len(parcels) && parcels[i].tp == tp {
		return parcels[i]
	}
	for _, p := range parcels {
		if p.tp == tp {
			return p
		}
	}
	return nil
}

// produce sends a batch once, in a request of its own, and gives its first offset; -1 if the broker knows only that it
// has it.
func (c *Client) produce(ctx context.Context, tp TopicPartition, batch []byte) (int64, error) {
	p := &parcel{tp: tp, batch: batch}
	_ = c.produceAll(ctx, -1, []*parcel{p}) // it is in the parcel, too
	return p.base, p.err
}

// initProducer asks for a producer ID and epoch: a new ID without a transactional ID; with one, the next epoch. It
// repeats temporary errors until ctx ends; repeating is safe, at worst it uses up another epoch. needs is what it takes.
func (c *Client) initProducer(ctx context.Context, transactionalID string, who identity, needs right) (identity, error) {
	err := c.retry(ctx, "init producer", func() error {
		m, err := c.send(ctx, &initproducerid.Request{
			TransactionalID:      transactionalID,
			TransactionTimeoutMs: 60_000, // no transaction is ever opened; brokers refuse 0
			ProducerID:           who.id,
			ProducerEpoch:        who.epoch,
		})
		if err != nil {
			return c.denied(err, needs)
		}
		res := m.(*initproducerid.Response)
		if res.ErrorCode != 0 {
			return c.denied(code(res.ErrorCode), needs)
		}
		who = identity{res.ProducerID, res.ProducerEpoch}
		return nil
	})
	return who, err
}
