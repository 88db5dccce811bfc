package consumer

import (
	"runtime"
	"testing"
	"weak"

	"distributor-bridge/internal/kafka"
)

// A lane that lives on does not keep the payloads of what it has done.
func TestLaneKeepsNoPayload(t *testing.T) {
	p := &partition{lanes: map[string]*lane{}}
	l := newLane("c1")
	value := make([]byte, 1<<20)
	kept := weak.Make(&value[0])
	l.queue = append(l.queue, kafka.Record{Value: value})
	value = nil //nolint:wastedassign // lets go of it
	if _, ok := p.pop(l); !ok {
		t.Fatal("nothing")
	}
	runtime.GC()
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the payload is still held by the lane's empty queue")
	}
	runtime.KeepAlive(l)
}
