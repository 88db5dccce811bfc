package kafka

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// answer is what a broker gave of one partition.
type answer struct {
	none     bool // not even its name: the answer was full before, or the client is throttled
	records  []Record
	next     int64 // to be fetched next
	data     bool  // something came, be it without records
	high     int64
	stable   int64 // last stable offset: the end for readers of committed records
	logStart int64
	err      error
}

// decode gives the records at and after offset. Brokers answer with whole batches, so it leaves out what is before, and
// control records and those of aborted transactions.
func decode(p *given, offset int64, committed bool) answer {
	a := answer{next: offset, high: p.high, stable: p.stable, logStart: p.logStart}
	if a.err = code(p.code); a.err != nil {
		return a
	}
	aborted := newAborted(p.aborted)
	a.records = make([]Record, 0, count(p.set))
	for set := p.set; a.err == nil; {
		batch, magic := cut(&set)
		if batch == nil {
			break
		}
		a.data = true
		if magic < 2 {
			a.err = a.old(p.tp, batch)
			continue
		}
		a.err = a.batch(p.tp, batch, aborted, committed)
	}
	if a.err == nil && a.data && a.next == offset {
		a.next++ // a batch of an old format with nothing at or after offset: where it ends, it does not tell
	}
	return a
}

// cut takes the first batch from a record set; nil if there is none, or only a beginning, as brokers may end with.
func cut(set *[]byte) (batch []byte, magic byte) {
	const atMagic = 16
	b := *set
	if len(b) <= atMagic {
		return nil, 0
	}
	length := int64(int32(binary.BigEndian.Uint32(b[atLength:])))
	end := atLength + 4 + length
	if end <= atMagic || end > int64(len(b)) {
		return nil, 0
	}
	*set = b[end:]
	return b[:end:end], b[atMagic]
}

// count gives how many records a set may have: room for them is made at once.
func count(set []byte) (n int) {
	const atCount, least = 57, 7 // bytes of a record; compressed ones may take less
	most := len(set) / least
	for {
		switch batch, magic := cut(&set); {
		case batch == nil:
			return min(n, most)
		case magic < 2 || len(batch) < batchHeader:
			n++
		default:
			n += int(binary.BigEndian.Uint32(batch[atCount:]))
		}
	}
}

// batch adds what a batch has at and after a.next.
func (a *answer) batch(tp TopicPartition, raw []byte, aborted *aborted, committed bool) error {
	b, err := readBatch(raw)
	if err != nil {
		return err
	}
	aborted.reach(b.base)
	switch {
	case b.is(control):
		ends, err := b.abort()
		if err != nil {
			return err
		}
		if ends {
			delete(aborted.open, b.who.id)
		}
	case committed && b.is(transactional) && aborted.open[b.who.id]:
	default:
		if err := a.take(tp, &b); err != nil {
			return err
		}
	}
	a.next = max(a.next, b.end)
	return nil
}

// old adds a message, or several compressed ones, as logs hold them that were written before Kafka 0.11: kafka-go reads it.
func (a *answer) old(tp TopicPartition, raw []byte) error {
	var set protocol.RecordSet
	if _, err := set.ReadFrom(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...))); err != nil {
		return err
	}
	for set.Records != nil {
		r, err := set.Records.ReadRecord()
		if err != nil { // io.EOF: kafka-go has read all of it before
			break
		}
		key, err := readBytes(r.Key)
		value, err2 := readBytes(r.Value)
		if err := cmp.Or(err, err2); err != nil {
			return err
		}
		if r.Offset < a.next {
			continue
		}
		a.records = append(a.records, Record{
			Topic: tp.Topic, Partition: tp.Partition, Offset: r.Offset, Time: r.Time, Key: key, Value: value,
			ProducerID: -1, ProducerEpoch: -1,
		})
		a.next = r.Offset + 1
	}
	return nil
}

// aborted knows which producers are, at a place of the log, within a transaction that was aborted.
type aborted struct {
	todo []fetch.ResponseTransaction // by first offset; what begins later
	open map[int64]bool              // producer IDs
}

func newAborted(list []fetch.ResponseTransaction) *aborted {
	todo := slices.Clone(list)
	slices.SortFunc(todo, func(x, y fetch.ResponseTransaction) int { return cmp.Compare(x.FirstOffset, y.FirstOffset) })
	return &aborted{todo: todo, open: make(map[int64]bool)}
}

// reach opens what begins up to offset. It is called for every batch, in the order of the log, so that a marker finds
// open what it ends also where none of its records is in the answer.
func (a *aborted) reach(offset int64) {
	for len(a.todo) > 0 && a.todo[0].FirstOffset <= offset {
		a.open[a.todo[0].ProducerID] = true
		a.todo = a.todo[1:]
	}
}

// readBytes copies out of kafka-go's pages, and gives them back.
func readBytes(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer func() { _ = b.Close() }() // never fails
	return protocol.ReadAll(b)
}
