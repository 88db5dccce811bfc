package kafka

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchRequest is a Fetch request that kafka-go routes and writes, and whose answer is read here, see logBatch.
type fetchRequest struct {
	*fetch.Request
	clientID  string
	places    []place
	committed bool

	version int16    // negotiated, set by Required
	answers []answer // one a place; set by RawExchange
	err     error    // the broker's, of all places; set by RawExchange
}

func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// fetched are buffers for answers: nothing of them is kept.
var fetched = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const fetchVersion = 4 // the oldest that is read below: Kafka has it since 0.11. The newest that kafka-go asks for is 11

func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < fetchVersion {
		return nil, fmt.Errorf("the broker knows Fetch only up to version %d", r.version)
	}
	if err := protocol.WriteRequest(rw, r.version, correlation, r.clientID, r.Request); err != nil {
		return nil, err
	}
	buffer := fetched.Get().(*bytes.Buffer)
	defer keep(&fetched, buffer)
	size, err := readHeader(rw, math.MaxInt32) // a batch may be as large as its topic's limit, whatever was asked for
	if err != nil {
		return nil, err
	}
	buffer.Grow(min(size, keepMost-bytes.MinRead) + bytes.MinRead) // and more as it comes, should it be that large
	if n, err := buffer.ReadFrom(io.LimitReader(rw, int64(size))); err != nil || n < int64(size) {
		return nil, noEnd(err)
	}
	return r, r.decode(buffer.Bytes())
}

// noEnd gives the error of an answer that is not whole.
func noEnd(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// given is what an answer says of one partition.
type given struct {
	tp                     TopicPartition
	code                   int16
	high, stable, logStart int64
	aborted                []fetch.ResponseTransaction
	set                    []byte // batches as the log holds them, in the answer's memory
}

// decode reads the answer's body.
func (r *fetchRequest) decode(body []byte) error {
	c := cursor{b: body}
	c.int32() // throttle time
	if r.version >= 7 {
		r.err = code(c.int16())
		c.int32() // session
	}
	r.answers = make([]answer, len(r.places))
	for i, p := range r.places {
		r.answers[i] = answer{none: true, next: p.offset, high: -1, stable: -1, logStart: -1}
	}
	at := 0
	for range c.count(6) {
		topic := c.text()
		for range c.count(26) {
			g := r.given(&c, topic)
			if c.err != nil {
				break
			}
			if i := r.find(at, g.tp); i >= 0 {
				r.answers[i] = decode(&g, r.places[i].offset, r.committed)
			}
			at++
		}
	}
	return c.err
}

func (r *fetchRequest) given(c *cursor, topic string) given {
	g := given{tp: TopicPartition{topic, int(c.int32())}, code: c.int16(), high: c.int64(), stable: c.int64(), logStart: -1}
	if r.version >= 5 {
		g.logStart = c.int64()
	}
	for range c.count(16) {
		g.aborted = append(g.aborted, fetch.ResponseTransaction{ProducerID: c.int64(), FirstOffset: c.int64()})
	}
	if r.version >= 11 {
		c.int32() // preferred replica
	}
	g.set = c.next(max(0, int(c.int32())))
	return g
}

// find gives where a partition stands among the places, which most often is at i; -1 if it does not.
func (r *fetchRequest) find(i int, tp TopicPartition) int {
	if i < len(r.places) && r.places[i].tp == tp {
		return i
	}
	for i, p := range r.places {
		if p.tp == tp {
			return i
		}
	}
	return -1
}
