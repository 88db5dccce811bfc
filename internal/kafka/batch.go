package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"sync"
	"time"
)

// identity is what the broker knows a producer by: it refuses older epochs of the same ID, and numbers out of sequence.
type identity struct {
	id    int64
	epoch int16
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Places in a batch of format 2, counted from its first byte.
const (
	atLength     = 8
	atCRC        = 17
	atAttributes = 21 // the CRC covers everything from here
	batchHeader  = 61
	sizePrefix   = 4 // the batch's size, as requests carry it
	varintMost   = 5 // bytes of a place in a batch
)

// encodeBatch makes the batch of a produce request: format 2, uncompressed, no transaction, all records at the same
// time. kafka-go's own encoder leaves out producer ID, epoch and sequence, which are all that this package is about.
func encodeBatch(records []Record, at time.Time, who identity, sequence int32) []byte {
	return encodeCalls([]*call{whole(records)}, at, who, sequence)
}

// encodeCalls makes one batch of the records of calls.
func encodeCalls(calls []*call, at time.Time, who identity, sequence int32) []byte {
	var records, most int
	for _, c := range calls {
		records += len(c.places)
		most += c.size + (varintMost-1)*len(c.places) // their place in the batch may take more room than in the call
	}
	b := emptyBatch(sizePrefix + most)
	ms := uint64(at.UnixMilli())

	b = binary.BigEndian.AppendUint32(b, 0)                 // size, below
	b = binary.BigEndian.AppendUint64(b, 0)                 // base offset: the broker's
	b = binary.BigEndian.AppendUint32(b, 0)                 // length of what follows, below
	b = binary.BigEndian.AppendUint32(b, math.MaxUint32)    // leader epoch: not known
	b = append(b, 2)                                        // format
	b = binary.BigEndian.AppendUint32(b, 0)                 // CRC, below
	b = binary.BigEndian.AppendUint16(b, 0)                 // attributes: none
	b = binary.BigEndian.AppendUint32(b, uint32(records-1)) // last offset delta
	b = binary.BigEndian.AppendUint64(b, ms)                // first timestamp
	b = binary.BigEndian.AppendUint64(b, ms)                // last timestamp
	b = binary.BigEndian.AppendUint64(b, uint64(who.id))    // producer
	b = binary.BigEndian.AppendUint16(b, uint16(who.epoch)) //
	b = binary.BigEndian.AppendUint32(b, uint32(sequence))  //
	b = binary.BigEndian.AppendUint32(b, uint32(records))   //
	place := 0
	for _, c := range calls {
		for _, i := range c.places {
			b = appendRecord(b, place, &c.records[i])
			place++
		}
	}
	batch := b[sizePrefix:]
	binary.BigEndian.PutUint32(b, uint32(len(batch)))
	binary.BigEndian.PutUint32(batch[atLength:], uint32(len(batch)-atLength-4))
	binary.BigEndian.PutUint32(batch[atCRC:], crc32.Checksum(batch[atAttributes:], castagnoli))
	return b
}

func appendRecord(b []byte, i int, r *Record) []byte {
	b = binary.AppendVarint(b, int64(recordBody(i, r)))
	b = append(b, 0)                     // attributes: none
	b = binary.AppendVarint(b, 0)        // since the batch's time
	b = binary.AppendVarint(b, int64(i)) // since the batch's offset
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendBytes(b, h.Value)
	}
	return b
}

// appendBytes appends with the length in front; nil is null, which is the length −1.
func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	b = binary.AppendVarint(b, int64(len(v)))
	return append(b, v...)
}

// recordBody is the size of a record without its own length.
func recordBody(i int, r *Record) int {
	size := 1 + varintSize(0) + varintSize(int64(i)) + bytesSize(r.Key) + bytesSize(r.Value) + varintSize(int64(len(r.Headers)))
	for _, h := range r.Headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	return size
}

func bytesSize(v []byte) int {
	if v == nil {
		return varintSize(-1)
	}
	return varintSize(int64(len(v))) + len(v)
}

func varintSize(v int64) int {
	size := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		size++
	}
	return size
}

// nextSequence is the sequence number after n records; they start again at 0 after 2³¹−1.
func nextSequence(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

// spare is memory of batches that nobody reads any more, acknowledged ones: of small ones, as state writes, and of large ones, as
// intake does.
var spare, spareLarge sync.Pool

const (
	smallBatch  = 32 << 10  // bytes of a batch
	largestKept = 512 << 10 // no larger one is kept
)

// emptyBatch gives memory for a batch of so many bytes.
func emptyBatch(size int) []byte {
	pool, least := &spare, 4<<10
	if size > smallBatch {
		pool, least = &spareLarge, 128<<10
	}
	if b, ok := pool.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, max(size, least))
}

// reuse gives the memory of an acknowledged batch back. Not of any other: kafka-go may read it after the request is given up.
func reuse(batch []byte) {
	switch {
	case cap(batch) <= smallBatch:
		spare.Put(&batch)
	case cap(batch) <= largestKept:
		spareLarge.Put(&batch)
	}
}
