package kafka

import (
	"cmp"
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

// decode gives the records at and after offset. Brokers answer with whole batches, so it leaves out what is before;
// kafka-go's own readers also give control records, records of aborted transactions, and, of a batch of which
// compaction has left nothing at or after the wanted offset, the same for ever.
func decode(tp TopicPartition, p *fetch.ResponsePartition, offset int64, committed bool) answer {
	a := answer{next: offset, high: p.HighWatermark, stable: p.LastStableOffset, logStart: p.LogStartOffset}
	if a.err = code(p.ErrorCode); a.err != nil {
		return a
	}
	aborted := newAborted(p.AbortedTransactions)
	for _, batch := range batches(p.RecordSet.Records) {
		a.data = true
		switch b := batch.(type) {
		case *protocol.ControlBatch:
			aborted.reach(b.BaseOffset)
			a.control(b, aborted)
			a.next = max(a.next, b.BaseOffset+1)
		case *protocol.RecordBatch:
			aborted.reach(b.BaseOffset)
			skip := committed && b.Attributes.Transactional() && aborted.open[b.ProducerID]
			a.take(tp, b, identity{b.ProducerID, b.ProducerEpoch}, skip)
			a.next = max(a.next, b.BaseOffset+1)
		default:
			a.take(tp, b, identity{-1, -1}, false)
		}
		if a.err != nil {
			return a
		}
	}
	if a.data && a.next == offset {
		a.next++ // a batch with nothing at or after offset: where it ends, kafka-go does not tell
	}
	return a
}

// take adds a batch's records from a.next on; with skip it only counts them.
func (a *answer) take(tp TopicPartition, batch protocol.RecordReader, who identity, skip bool) {
	for {
		r, err := batch.ReadRecord()
		if err != nil { // io.EOF: kafka-go has read all of the batch before
			return
		}
		if skip || r.Offset < a.next {
			closeRecord(r)
			a.next = max(a.next, r.Offset+1)
			continue
		}
		key, err := readBytes(r.Key)
		value, err2 := readBytes(r.Value)
		if a.err = cmp.Or(err, err2); a.err != nil {
			return
		}
		a.records = append(a.records, Record{
			Topic: tp.Topic, Partition: tp.Partition, Offset: r.Offset, Time: r.Time,
			Key: key, Value: value, Headers: headers(r.Headers),
			ProducerID: who.id, ProducerEpoch: who.epoch,
		})
		a.next = r.Offset + 1
	}
}

// control steps over markers, and ends the aborted transactions that they end.
func (a *answer) control(b *protocol.ControlBatch, aborted *aborted) {
	for {
		r, err := b.ReadRecord()
		if err != nil {
			return
		}
		a.next = max(a.next, r.Offset+1)
		const abort = 0
		if marker, err := protocol.ReadControlRecord(r); err == nil && marker.Type == abort {
			delete(aborted.open, b.ProducerID)
		}
	}
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

func batches(r protocol.RecordReader) []protocol.RecordReader {
	switch r := r.(type) {
	case nil:
		return nil
	case *protocol.RecordStream:
		return r.Records
	}
	return []protocol.RecordReader{r}
}

// readBytes copies out of kafka-go's pages, and gives them back.
func readBytes(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer func() { _ = b.Close() }() // never fails
	return protocol.ReadAll(b)
}

func closeRecord(r *protocol.Record) {
	if r.Key != nil {
		_ = r.Key.Close()
	}
	if r.Value != nil {
		_ = r.Value.Close()
	}
}

func headers(hs []protocol.Header) []Header {
	if len(hs) == 0 {
		return nil
	}
	out := make([]Header, len(hs))
	for i, h := range hs {
		out[i] = Header{Key: h.Key, Value: h.Value}
	}
	return out
}
