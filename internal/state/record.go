package state

import (
	"encoding/json"
	"fmt"
	"slices"

	"distributor-bridge/internal/attempt"
)

// version is that of the records' form. A record of a later version is refused: an older bridge must not write over
// what it does not understand.
const version = 1

// remembered is how many events a subject knows by their identity: twice as many of a customer as intake appends before it
// commits, so that they are known again should it append them twice.
const remembered = 32

// Record is what is remembered of one object, and of the subject of the same name. Records are never changed once they
// are in a Store: Clone, change the copy, and Write it.
type Record struct {
	Version int `json:"v"`
	attempt.Object
	Seen   int64            `json:"seen"`             // the highest inbox offset taken over; -1 if none
	Last   *attempt.Outcome `json:"last,omitempty"`   // the outcome at Seen; nil if that one is held
	Recent []string         `json:"recent,omitempty"` // hashes of the last events that have an outcome or are held
	Work   []attempt.Work   `json:"work,omitempty"`   // open, held, and follow-ups; by offset
	Behind []int64          `json:"behind,omitempty"` // offsets of events that wait behind held ones; rising
}

// NewRecord gives the record of an object of which nothing is known.
func NewRecord() *Record { return &Record{Version: version, Seen: -1} }

// Clone gives a copy that can be changed without changing r.
func (r *Record) Clone() *Record {
	c := *r
	c.Object = r.Object.Clone()
	c.Recent = slices.Clone(r.Recent)
	c.Behind = slices.Clone(r.Behind)
	c.Work = make([]attempt.Work, len(r.Work))
	for i, w := range r.Work {
		c.Work[i] = w.Clone()
	}
	return &c
}

// Remember adds an event's hash to those that are known, and forgets the oldest of too many.
func (r *Record) Remember(hash string) {
	if slices.Contains(r.Recent, hash) {
		return
	}
	r.Recent = append(r.Recent, hash)
	if n := len(r.Recent); n > remembered {
		r.Recent = slices.Delete(r.Recent, 0, n-remembered)
	}
}

// Knows says whether an event has an outcome already, or is held.
func (r *Record) Knows(hash string) bool { return slices.Contains(r.Recent, hash) }

// Highest gives the highest inbox offset that the record knows of; -1 if it knows of none.
func (r *Record) Highest() int64 {
	highest := r.Seen
	for _, w := range r.Work {
		highest = max(highest, w.Offset)
	}
	return highest // Behind holds none above Seen
}

// Find gives the index of the work at an offset under a follow-up's name (empty: the event itself); -1 if there is none.
func (r *Record) Find(offset int64, follow string) int {
	return slices.IndexFunc(r.Work, func(w attempt.Work) bool { return w.Offset == offset && w.Follow == follow })
}

// FindFollow gives the index of the follow-up of that name, whatever caused it; -1 if there is none.
func (r *Record) FindFollow(name string) int {
	return slices.IndexFunc(r.Work, func(w attempt.Work) bool { return w.Follow == name })
}

// Put adds work, or replaces that of the same offset and name.
func (r *Record) Put(w attempt.Work) {
	if i := r.Find(w.Offset, w.Follow); i >= 0 {
		r.Work[i] = w
		return
	}
	i, _ := slices.BinarySearchFunc(r.Work, w.Offset, func(have attempt.Work, offset int64) int {
		if have.Offset <= offset {
			return -1
		}
		return 1
	})
	r.Work = slices.Insert(r.Work, i, w)
}

// Drop removes the work at an offset under a name, if it is there.
func (r *Record) Drop(offset int64, follow string) {
	if i := r.Find(offset, follow); i >= 0 {
		r.Work = slices.Delete(r.Work, i, i+1)
	}
}

// encode gives the record as the topic holds it.
func (r *Record) encode() ([]byte, error) { return json.Marshal(r) }

// decode reads a record of the topic, and marks its open intents as another owner's.
func decode(value []byte) (*Record, error) {
	r := NewRecord()
	if err := json.Unmarshal(value, r); err != nil {
		// The JSON error may quote the value; where it stands is told by the caller.
		return nil, fmt.Errorf("the record is not readable JSON")
	}
	if r.Version > version {
		return nil, fmt.Errorf("the record has version %d, and this bridge knows %d: run the newer bridge", r.Version, version)
	}
	r.inherit()
	return r, nil
}

// inherit marks the record's open intents as in doubt.
func (r *Record) inherit() {
	for i := range r.Work {
		r.Work[i].Inherit()
	}
}
