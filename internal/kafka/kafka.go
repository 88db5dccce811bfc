// Package kafka is the program's only way to Kafka: group membership, fetching, commits, idempotent and fenced writes,
// and the little administration that is needed. It is built on github.com/segmentio/kafka-go, of which no name leaves
// this package, and it works around what that library does not do or does wrong; each file says what and why.
//
// It guarantees:
//
//   - Writes (Producer): the records of one partition stand in the log in the order in which they were given, none of
//     them twice, and those of one call side by side in one batch. A lost answer is cured by repeating the same bytes.
//     With a transactional ID the broker refuses every write of an older owner (ErrFenced).
//   - Membership (Group): one session per generation, whose context ends with it; while the session drains, heartbeats
//     keep the membership. A commit is for own partitions only and never of a negative offset; after a loss of
//     membership it is ErrLost and changes nothing.
//   - Fetching (Fetcher, Client.Read): every record once, in order; control records, aborted transactions and what is
//     left of compacted batches are stepped over. A sick partition does not hold the others.
//   - Errors name codes, topics, partitions, offsets and sizes, never contents of records.
//
// It knows nothing of events, customers or state.
package kafka

import (
	"cmp"
	"fmt"
	"time"
)

// TopicPartition names a partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int
}

// String gives "topic/partition".
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

func (tp TopicPartition) compare(o TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, o.Topic), cmp.Compare(tp.Partition, o.Partition))
}

// Header is a record's header. A nil Value is null. It is a name for a type that others may have another name for.
type Header = struct {
	Key   string
	Value []byte
}

// Record is a record of a topic, read or to be written. A nil Key or Value is null (a nil Value is a tombstone); an
// empty one is not.
type Record struct {
	Topic     string
	Partition int
	Key       []byte
	Value     []byte
	Headers   []Header

	// The rest is known of a record that was read; Produce ignores it.

	Offset        int64
	Time          time.Time // the producer's or the broker's clock, by the topic's setting; milliseconds
	ProducerID    int64     // whose batch it came in; -1 if the producer was not idempotent
	ProducerEpoch int16     // that producer's epoch
}

// TopicPartition is where the record belongs.
func (r Record) TopicPartition() TopicPartition {
	return TopicPartition{Topic: r.Topic, Partition: r.Partition}
}

// Partition gives the partition, of n, of a key as Java's default partitioner does (murmur2), so that any Java client
// agrees. A nil key belongs to partition 0: whoever wants to spread records without keys does it himself.
func Partition(key []byte, n int) int {
	if key == nil || n <= 1 {
		return 0
	}
	return int(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the hash of Java's org.apache.kafka.common.utils.Utils.
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
