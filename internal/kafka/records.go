package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"
	"unsafe"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

// logBatch is a batch of format 2 as a log holds it, but for its records' contents: those are read by hand, since
// kafka-go's reader takes 18 allocations a record, and each byte of a number through three readers.
type logBatch struct {
	base, end    int64 // offsets: of the first record, and after the last, be they still there or not
	attributes   int16
	first, stamp int64 // milliseconds: what the records count from, and the broker's time
	who          identity
	count        int
	records      []byte // as they were sent, maybe compressed
}

// What a batch's attributes say.
const (
	hasCodec      = 0x07
	brokersTime   = 0x08
	transactional = 0x10
	control       = 0x20
)

func (b *logBatch) is(attribute int16) bool { return b.attributes&attribute != 0 }

// errCorrupt: what a broker gave is not what was written. It is asked for again.
var errCorrupt = fmt.Errorf("checksum of a batch: %w", codeError(kafkago.InvalidMessage))

// readBatch reads a batch's header; b is the whole of it.
func readBatch(b []byte) (logBatch, error) {
	if len(b) < batchHeader {
		return logBatch{}, errMalformed
	}
	if binary.BigEndian.Uint32(b[atCRC:]) != crc32.Checksum(b[atAttributes:], castagnoli) {
		return logBatch{}, errCorrupt
	}
	base := int64(binary.BigEndian.Uint64(b))
	c := cursor{b: b[atAttributes:]}
	batch := logBatch{
		base: base, attributes: c.int16(), end: base + int64(c.int32()) + 1, first: c.int64(), stamp: c.int64(),
		who: identity{c.int64(), c.int16()},
	}
	c.int32() // sequence
	batch.count, batch.records = int(c.int32()), c.b
	return batch, c.err
}

// maxInflated is how large a batch may be decompressed: far more than one of real events (100 MiB is the most that a topic of
// ours may be configured for), and less than a megabyte of zeros can be made into.
const maxInflated = 128 << 20

// inflated are buffers for what was compressed.
var inflated = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// each gives the batch's records to take, with memory of their own, until it says no.
func (b *logBatch) each(take func(Record) bool) error {
	raw := b.records
	if codec := b.attributes & hasCodec; codec != 0 {
		c := compress.Compression(codec).Codec()
		if c == nil {
			return fmt.Errorf("a batch is compressed in an unknown way: %d", codec)
		}
		reader := c.NewReader(bytes.NewReader(raw))
		defer func() { _ = reader.Close() }()
		buffer := inflated.Get().(*bytes.Buffer)
		defer keep(&inflated, buffer)
		if _, err := buffer.ReadFrom(io.LimitReader(reader, maxInflated+1)); err != nil {
			return fmt.Errorf("decompress a batch: %w", err)
		}
		if buffer.Len() > maxInflated {
			return b.bomb()
		}
		raw = buffer.Bytes()
	}
	c := cursor{b: raw}
	var names []Header // of the record before: a topic's records have the same ones, as a rule
	spent := 0
	for range b.count {
		r := b.record(&c, names)
		if c.err != nil {
			return c.err
		}
		if spent += recordRoom + headerRoom*len(r.Headers); spent > maxInflated {
			return b.bomb()
		}
		names = r.Headers
		if !take(r) {
			break
		}
	}
	return nil
}

// What a record and a header take beside their bytes: millions of empty ones fit into what may be decompressed.
const (
	recordRoom = int(unsafe.Sizeof(Record{}))
	headerRoom = int(unsafe.Sizeof(Header{}))
)

func (b *logBatch) bomb() error {
	return fmt.Errorf("offsets %d to %d: a batch of %d bytes takes more than %d of memory: it is not read, and nothing after it; "+
		"set the group's offset past it if it may be left out", b.base, b.end-1, len(b.records), maxInflated)
}

// record reads the next record. Key, value and headers' values are in one copy of it: with the batch's memory instead, one
// record at work would keep all of them.
func (b *logBatch) record(c *cursor, names []Header) Record {
	body := cursor{b: c.next(c.varint())}
	body.b = bytes.Clone(body.b)
	body.next(1) // attributes: none are defined
	r := Record{ProducerID: b.who.id, ProducerEpoch: b.who.epoch}
	ms := b.first + body.varint64()
	if b.is(brokersTime) {
		ms = b.stamp
	}
	r.Time, r.Offset = time.UnixMilli(ms), b.base+body.varint64()
	r.Key, r.Value = body.bytes(), body.bytes()
	const least = 2 // bytes of a header
	n := body.varint()
	if n < 0 || n > min(len(body.b)/least, maxInflated/headerRoom) {
		c.b, c.err = nil, errMalformed
		return r
	}
	if n > 0 {
		r.Headers = make([]Header, n)
	}
	for i := range r.Headers {
		name := body.next(body.varint())
		if i < len(names) && names[i].Key == string(name) {
			r.Headers[i].Key = names[i].Key
		} else {
			r.Headers[i].Key = string(name)
		}
		r.Headers[i].Value = body.bytes()
	}
	if body.err != nil {
		c.b, c.err = nil, body.err
	}
	return r
}

// keep gives a buffer back to its pool, unless a rare large content has made it large.
func keep(pool *sync.Pool, b *bytes.Buffer) {
	if b.Cap() <= keepMost {
		b.Reset()
		pool.Put(b)
	}
}

// keepMost is how large a buffer is kept: a usual answer to a fetch fits.
const keepMost = 4 << 20

// take adds a batch's records from a.next on.
func (a *answer) take(tp TopicPartition, b *logBatch) error {
	return b.each(func(r Record) bool {
		if r.Offset >= a.next {
			r.Topic, r.Partition = tp.Topic, tp.Partition
			a.records = append(a.records, r)
		}
		return true
	})
}

// abort tells whether a control batch says that its producer's transaction was aborted.
func (b *logBatch) abort() (is bool, err error) {
	const abort = 0
	err = b.each(func(r Record) bool {
		marker := cursor{b: r.Key}
		marker.int16() // version
		is = marker.int16() == abort && marker.err == nil
		return !is
	})
	return is, err
}
