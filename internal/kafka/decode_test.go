package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"pgregory.net/rapid"
)

// sealed gives batch b, which has a header, with length and checksum set.
func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-atLength-4))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

// altered gives a batch with other attributes and its records compressed as those say, at base.
func altered(t rapid.TB, batch []byte, base int64, attributes int16) []byte {
	b := bytes.Clone(batch[:batchHeader])
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(attributes))
	codec := compress.Compression(attributes & hasCodec).Codec()
	if codec == nil {
		return sealed(append(b, batch[batchHeader:]...))
	}
	var out bytes.Buffer
	w := codec.NewWriter(&out)
	if _, err := w.Write(batch[batchHeader:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed(append(b, out.Bytes()...))
}

// TestDecodeLikeKafkaGo: of batches with all codecs, one behind the other, the last maybe cut off, decode gives what kafka-go's
// reader gives.
func TestDecodeLikeKafkaGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set []byte
		var base int64
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			records := drawRecords(t)
			codec := rapid.Int16Range(0, 4).Draw(t, "codec")
			set = append(set, altered(t, encodeBatch(records, time.UnixMilli(1e12), identity{7, 3}, 0)[sizePrefix:], base, codec)...)
			base += int64(len(records)) + rapid.Int64Range(0, 3).Draw(t, "gap")
		}
		if whole, _ := cut(new(set)); len(whole) < len(set) { // kafka-go refuses a set that is only a beginning
			set = set[:len(set)-rapid.IntRange(0, 1).Draw(t, "cut off")]
		}
		var theirs protocol.RecordSet
		if _, err := theirs.ReadFrom(bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, uint32(len(set))), set...))); err != nil {
			t.Fatal(err)
		}
		got := decode(&given{set: set}, 0, true)
		if got.err != nil {
			t.Fatal(got.err)
		}
		i := 0
		for ; ; i++ {
			want, err := theirs.Records.ReadRecord()
			if err != nil {
				break
			}
			key, _ := readBytes(want.Key)
			value, _ := readBytes(want.Value)
			if i == len(got.records) {
				t.Fatalf("%d records, and there are more", i)
			}
			g := got.records[i]
			if g.Offset != want.Offset || !g.Time.Equal(want.Time) || !same(g.Key, key) || !same(g.Value, value) || len(g.Headers) != len(want.Headers) {
				t.Fatalf("record %d is %+v, want %+v", i, g, want)
			}
			for j, h := range want.Headers {
				if g.Headers[j].Key != h.Key || !same(g.Headers[j].Value, h.Value) {
					t.Fatalf("record %d: header %d is %+v, want %+v", i, j, g.Headers[j], h)
				}
			}
		}
		if i != len(got.records) {
			t.Fatalf("%d records, want %d", len(got.records), i)
		}
	})
}

// TestDecodeSpoilt: of a batch that is not as it was written nothing is given, and no content makes decode fail in another way.
func TestDecodeSpoilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := encodeBatch(drawRecords(t), time.Now(), identity{1, 0}, 0)[sizePrefix:]
		at := rapid.IntRange(atCRC, len(batch)-1).Draw(t, "at")
		batch[at] ^= rapid.ByteRange(1, 255).Draw(t, "flipped")
		if got := decode(&given{set: batch}, 0, true); !errors.Is(got.err, errCorrupt) || len(got.records) > 0 || !temporary(got.err) {
			t.Fatalf("%v, with %d records", got.err, len(got.records))
		}
		got := decode(&given{set: sealed(batch)}, 0, true) // whoever wrote that meant it, or a decoder has to be careful
		if got.err == nil && got.next < 0 {
			t.Fatalf("next is %d", got.next)
		}
	})
}

// TestDecodeTransactions: what was aborted is left out for those who want committed records, up to its marker.
func TestDecodeTransactions(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1e12)
	one := []Record{{Value: []byte("x")}}
	plain := func(id, base int64) []byte {
		return altered(t, encodeBatch(one, at, identity{id, 0}, 0)[sizePrefix:], base, transactional)
	}
	marker := func(id, base int64, commit byte) []byte {
		end := []Record{{Key: []byte{0, 0, 0, commit}, Value: []byte{0, 0, 0, 0, 0, 0}}}
		return altered(t, encodeBatch(end, at, identity{id, 0}, 0)[sizePrefix:], base, transactional|control)
	}
	var set []byte
	for _, b := range [][]byte{plain(1, 0), plain(2, 1), marker(1, 2, 0), plain(1, 3), marker(2, 4, 1), marker(1, 5, 1)} {
		set = append(set, b...)
	}
	offsets := func(committed bool) (got []int64) {
		a := decode(&given{set: set, aborted: []fetch.ResponseTransaction{{ProducerID: 1, FirstOffset: 0}}}, 0, committed)
		if a.err != nil || a.next != 6 {
			t.Fatalf("next is %d, %v", a.next, a.err)
		}
		for _, r := range a.records {
			got = append(got, r.Offset)
		}
		return got
	}
	if got := offsets(true); len(got) != 2 || got[0] != 1 || got[1] != 3 {
		t.Errorf("committed: %d", got)
	}
	if got := offsets(false); len(got) != 3 {
		t.Errorf("all: %d", got)
	}
}

// TestDecodeBrokersTime: where the topic's times are the broker's, all records of a batch have its.
func TestDecodeBrokersTime(t *testing.T) {
	t.Parallel()
	batch := encodeBatch([]Record{{}, {}}, time.UnixMilli(1000), identity{1, 0}, 0)[sizePrefix:]
	const atLast = 35
	binary.BigEndian.PutUint64(batch[atLast:], 2000)
	binary.BigEndian.PutUint16(batch[atAttributes:], brokersTime)
	got := decode(&given{set: sealed(batch)}, 0, true)
	if len(got.records) != 2 || got.records[1].Time.UnixMilli() != 2000 {
		t.Errorf("%+v, %v", got.records, got.err)
	}
}

// TestDecodeOld: a message as logs hold it from before Kafka 0.11.
func TestDecodeOld(t *testing.T) {
	t.Parallel()
	message := binary.BigEndian.AppendUint64(nil, 41)     // offset
	message = binary.BigEndian.AppendUint32(message, 0)   // size, below
	message = binary.BigEndian.AppendUint32(message, 0)   // CRC, below
	message = append(message, 1, 0)                       // format, attributes
	message = binary.BigEndian.AppendUint64(message, 1e9) // time
	for _, part := range []string{"key", "value"} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	binary.BigEndian.PutUint32(message[8:], uint32(len(message)-12))
	binary.BigEndian.PutUint32(message[12:], crc32.ChecksumIEEE(message[16:]))
	set := append(message, encodeBatch([]Record{{Value: []byte("new")}}, time.Now(), identity{1, 0}, 0)[sizePrefix:]...)
	binary.BigEndian.PutUint64(set[len(message):], 42)
	got := decode(&given{tp: TopicPartition{"t", 1}, set: set}, 0, true)
	if got.err != nil || len(got.records) != 2 || got.next != 43 {
		t.Fatalf("%+v", got)
	}
	r := got.records[0]
	if r.Offset != 41 || string(r.Key) != "key" || string(r.Value) != "value" || r.Time.UnixMilli() != 1e9 || r.ProducerID != -1 || r.Topic != "t" {
		t.Errorf("%+v", r)
	}
	if got := decode(&given{set: set}, 42, true); len(got.records) != 1 || got.next != 43 {
		t.Errorf("from 42: %+v", got)
	}
}

// A batch that would fill the memory once it is decompressed is refused, and what refuses it tells where it stands.
func TestInflated(t *testing.T) {
	t.Parallel()
	const zstd = 4
	zeros := Record{Value: make([]byte, maxInflated+1)}
	batch := altered(t, encodeBatch([]Record{zeros}, time.UnixMilli(1e12), identity{7, 3}, 0)[sizePrefix:], 42, zstd)
	if len(batch) > 1<<20 {
		t.Fatalf("the batch has %d bytes: it is no bomb", len(batch))
	}
	b, err := readBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	err = b.each(func(Record) bool { t.Error("a record was given"); return true })
	if err == nil || !strings.Contains(err.Error(), "offsets 42 to 42") {
		t.Error(err)
	}
}

// So is one of more empty records than there is room for.
func TestInflatedRecords(t *testing.T) {
	t.Parallel()
	const zstd = 4
	empty := make([]Record, maxInflated/recordRoom+1)
	b, err := readBatch(altered(t, encodeBatch(empty, time.UnixMilli(1e12), identity{7, 3}, 0)[sizePrefix:], 42, zstd))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err = b.each(func(Record) bool { n++; return true }); err == nil || !strings.Contains(err.Error(), "offsets 42 to ") {
		t.Errorf("after %d of %d records: %v", n, len(empty), err)
	}
}
