package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// drawBytes draws null, empty or some bytes.
func drawBytes(t *rapid.T, label string) []byte {
	return rapid.OneOf(
		rapid.Just[[]byte](nil),
		rapid.Just([]byte{}),
		rapid.SliceOfN(rapid.Byte(), 1, 300),
	).Draw(t, label)
}

func drawRecords(t *rapid.T) []Record {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
		return Record{
			Key: drawBytes(t, "key"), Value: drawBytes(t, "value"),
			Headers: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Header {
				return Header{Key: rapid.String().Draw(t, "header"), Value: drawBytes(t, "header value")}
			}), 0, 4).Draw(t, "headers"),
		}
	}), 1, 80).Draw(t, "records")
}

// TestBatch: what is encoded is what decode and franz-go's reader read, and has the size foretold.
func TestBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		at := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "time"))
		who := identity{rapid.Int64Min(0).Draw(t, "id"), rapid.Int16Min(0).Draw(t, "epoch")}
		sequence := rapid.Int32Min(0).Draw(t, "sequence")
		b := encodeBatch(records, at, who, sequence)
		if len(b) != sizePrefix+batchSize(records) {
			t.Fatalf("%d bytes, batchSize says %d", len(b)-sizePrefix, batchSize(records))
		}

		got := decode(&given{tp: TopicPartition{"t", 3}, set: b[sizePrefix:]}, 0, true)
		if got.err != nil || len(got.records) != len(records) || got.next != int64(len(records)) {
			t.Fatalf("%d of %d records, next %d, %v", len(got.records), len(records), got.next, got.err)
		}
		for i, want := range records {
			g := got.records[i]
			if !same(g.Key, want.Key) || !same(g.Value, want.Value) || len(g.Headers) != len(want.Headers) ||
				!g.Time.Equal(at) || g.Offset != int64(i) || g.ProducerID != who.id || g.ProducerEpoch != who.epoch ||
				g.Topic != "t" || g.Partition != 3 {
				t.Fatalf("record %d is %+v, want %+v", i, g, want)
			}
			for j, h := range want.Headers {
				if gh := g.Headers[j]; gh.Key != h.Key || !same(gh.Value, h.Value) {
					t.Fatalf("record %d header %d is %+v, want %+v", i, j, gh, h)
				}
			}
		}

		var raw kmsg.RecordBatch
		if err := raw.ReadFrom(b[sizePrefix:]); err != nil {
			t.Fatal(err)
		}
		crc := crc32.Checksum(b[sizePrefix+atAttributes:], crc32.MakeTable(crc32.Castagnoli))
		if raw.ProducerID != who.id || raw.ProducerEpoch != who.epoch || raw.FirstSequence != sequence ||
			raw.NumRecords != int32(len(records)) || raw.LastOffsetDelta != int32(len(records)-1) || raw.Attributes != 0 ||
			raw.FirstTimestamp != at.UnixMilli() || raw.MaxTimestamp != at.UnixMilli() || uint32(raw.CRC) != crc ||
			int(raw.Length) != len(b)-sizePrefix-12 || int(binary.BigEndian.Uint32(b)) != len(b)-sizePrefix {
			t.Fatalf("header %+v", raw)
		}
	})
}

func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// TestDecodeFrom: records before the wanted offset are left out, and what is fetched next lies always ahead.
func TestDecodeFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		from := rapid.Int64Range(0, int64(len(records))+5).Draw(t, "from")
		got := decode(&given{set: encodeBatch(records, time.Now(), identity{1, 0}, 0)[sizePrefix:]}, from, false)
		if want := max(0, len(records)-int(from)); len(got.records) != want {
			t.Fatalf("%d records of %d from %d on", len(got.records), len(records), from)
		}
		if got.next <= from || len(got.records) > 0 && got.next != int64(len(records)) {
			t.Fatalf("next is %d, from %d on, of %d", got.next, from, len(records))
		}
	})
}

func TestSequenceWraps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from int32
		n    int
		want int32
	}{
		{0, 1, 1}, {0, 10, 10}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 5, 2},
	} {
		if got := nextSequence(c.from, c.n); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.from, c.n, got, c.want)
		}
	}
}

// TestPartition: keys go where Java's default partitioner puts them, by kafka-go's balancer that is true to it.
func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		n := rapid.IntRange(1, 100).Draw(t, "partitions")
		partitions := make([]int, n)
		for i := range partitions {
			partitions[i] = i
		}
		if key == nil {
			key = []byte{} // to kafka-go, null and empty are the same
		}
		want := kafkago.Murmur2Balancer{Consistent: true}.Balance(kafkago.Message{Key: key}, partitions...)
		if got := Partition(key, n); got != want {
			t.Fatalf("partition %d, want %d", got, want)
		}
	})
	// Java: Utils.toPositive(Utils.murmur2("21".getBytes())) etc., from Kafka's own UtilsTest.
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	if got := Partition(nil, 12); got != 0 {
		t.Errorf("no key goes to %d", got)
	}
}

// TestSwapped notices if kafka-go mends the answers of Heartbeat and LeaveGroup: swapped would then be wrong.
func TestSwapped(t *testing.T) {
	t.Parallel()
	for version := int16(1); version <= 3; version++ {
		// size, correlation ID, throttle time 5 ms, error 27: as brokers send it.
		wire := binary.BigEndian.AppendUint32(nil, 10)
		wire = binary.BigEndian.AppendUint32(wire, 1)
		wire = binary.BigEndian.AppendUint32(wire, 5)
		wire = binary.BigEndian.AppendUint16(wire, 27)
		_, m, err := protocol.ReadResponse(bytes.NewReader(wire), protocol.Heartbeat, version)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(heartbeatCode(m)); got != fmt.Sprint(codeError(27)) {
			t.Errorf("version %d: %s", version, got)
		}
	}
}
