package state

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// version is the highest of the records' forms that this bridge understands. A record of a later one is refused: an older
// bridge must not write over what it does not understand. Version 2 has wallets with an object of their own, version 3 rejected
// events.
const version = 3

// remembered is how many events a subject knows by their identity: twice as many of a customer as intake appends before it
// commits, so that they are known again should it append them twice.
const remembered = 32

// Record is what is remembered of one object, and of the subject of the same name. Records are never changed once they
// are in a Store: Clone, change the copy, and Write it.
type Record struct {
	attempt.Object
	Seen   int64            `json:"seen"`             // the highest inbox offset taken over; -1 if none
	Last   *attempt.Outcome `json:"last,omitempty"`   // the outcome at Seen; nil if that one is held
	Recent []string         `json:"recent,omitempty"` // hashes of the last events that have an outcome or are held
	Work   []attempt.Work   `json:"work,omitempty"`   // open, held, and follow-ups; by offset
	Behind []int64          `json:"behind,omitempty"` // offsets of events that wait behind held ones; rising
	// Rejected are the events that were given up, for their replay; the last at the end.
	Rejected []Rejection `json:"rejected,omitempty"`
}

// NewRecord gives the record of an object of which nothing is known.
func NewRecord() *Record { return &Record{Seen: -1} }

// Clone gives a copy that can be changed without changing r, its object as that of Object.Clone.
func (r *Record) Clone() *Record {
	c := *r
	c.Object = r.Object.Clone()
	c.Recent = slices.Clone(r.Recent)
	c.Behind = slices.Clone(r.Behind)
	c.Rejected = slices.Clone(r.Rejected)
	c.Work = make([]attempt.Work, len(r.Work))
	for i, w := range r.Work {
		c.Work[i] = w.Clone()
	}
	return &c
}

// share gives a copy whose lists and Object are shared with r: they can be replaced, and appended to.
func (r *Record) share() *Record {
	c := *r
	c.Recent, c.Behind, c.Work = slices.Clip(r.Recent), slices.Clip(r.Behind), slices.Clip(r.Work)
	return &c
}

// quiet says whether nothing is to be done for the record, nor looked for in it without its key.
func (r *Record) quiet() bool {
	return r.Last == nil && len(r.Work)+len(r.Behind) == 0 && !r.Open()
}

// held gives how many events the record holds: those that cannot finish now, and those behind them. Follow-ups are none.
func (r *Record) held() int {
	n := len(r.Behind)
	for i := range r.Work {
		if w := &r.Work[i]; w.Follow == "" && w.Held != outcome.Done {
			n++
		}
	}
	return n
}

// intends says whether the record has an open intent.
func (r *Record) intends() bool {
	return slices.ContainsFunc(r.Work, func(w attempt.Work) bool { return w.Intent != nil })
}

// Remember adds an event's hash to those that are known, and forgets the oldest of too many.
func (r *Record) Remember(hash string) {
	if slices.Contains(r.Recent, hash) {
		return
	}
	rest := r.Recent[max(len(r.Recent)+1-remembered, 0):]
	r.Recent = slices.Concat(rest, []string{hash}) // without room for more: each event copies the list
}

// Knows says whether an event has an outcome already, or is held.
func (r *Record) Knows(hash string) bool { return slices.Contains(r.Recent, hash) }

// Highest gives the highest inbox offset that the record knows of; -1 if it knows of none.
func (r *Record) Highest() int64 {
	highest := r.Seen
	for i := range r.Work {
		highest = max(highest, r.Work[i].Offset)
	}
	return highest // Behind holds none above Seen
}

// Find gives the index of the work at an offset under a follow-up's name (empty: the event itself); -1 if there is none.
func (r *Record) Find(offset int64, follow string) int {
	for i := range r.Work { // without a copy of each
		if w := &r.Work[i]; w.Offset == offset && w.Follow == follow {
			return i
		}
	}
	return -1
}

// FindFollow gives the index of the follow-up of that name, whatever caused it; -1 if there is none.
func (r *Record) FindFollow(name string) int {
	return slices.IndexFunc(r.Work, func(w attempt.Work) bool { return w.Follow == name })
}

// Put adds work, or replaces that of the same offset and name. The event's data is left out: it stays in the inbox.
func (r *Record) Put(w attempt.Work) {
	w.Event.Data = nil
	if i := r.Find(w.Offset, w.Follow); i >= 0 {
		r.Work = slices.Clone(r.Work) // it may be shared
		r.Work[i] = w
		return
	}
	i, _ := slices.BinarySearchFunc(r.Work, w.Offset, func(have attempt.Work, offset int64) int {
		if have.Offset <= offset {
			return -1
		}
		return 1
	})
	list := make([]attempt.Work, 0, len(r.Work)+1)
	r.Work = append(append(append(list, r.Work[:i]...), w), r.Work[i:]...)
}

// Drop removes the work at an offset under a name, if it is there.
func (r *Record) Drop(offset int64, follow string) {
	switch i := r.Find(offset, follow); {
	case i < 0:
	case len(r.Work) == 1:
		r.Work = nil
	default:
		r.Work = slices.Concat(r.Work[:i], r.Work[i+1:])
	}
}

// encode appends the record as the topic holds it: as encoding/json would.
func (r *Record) encode(to []byte) ([]byte, error) {
	e := attempt.Encoder{Out: to}
	e.Open('{')
	e.Name("v")
	e.Int(int64(r.version()))
	e.Object(&r.Object)
	e.Name("seen")
	e.Int(r.Seen)
	if r.Last != nil {
		e.Name("last")
		e.Outcome(r.Last)
	}
	attempt.List(&e, "recent", r.Recent, func(hash *string) { e.Text(*hash) })
	attempt.List(&e, "work", r.Work, e.Work)
	attempt.List(&e, "behind", r.Behind, func(offset *int64) { e.Int(*offset) })
	attempt.List(&e, "rejected", r.Rejected, func(rejection *Rejection) { encodeRejection(&e, rejection) })
	e.Close('}')
	return e.Out, e.Err
}

// version gives that of the record: the first that has all that is in it, so that an older bridge may go on with the rest.
func (r *Record) version() int {
	if len(r.Rejected) > 0 {
		return 3
	}
	if r.Wallet != nil || r.Customer != nil && r.Customer.More > 0 {
		return 2
	}
	return 1
}

// asWritten has version 2 of encoding/json take all that version 1 has written: a record that is not readable keeps its partition from
// being owned.
var asWritten = json.JoinOptions(
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
	jsonv1.FormatDurationAsNano(true), jsonv1.MergeWithLegacySemantics(true),
)

// decode reads a record of the topic, and marks its open intents as another owner's.
func decode(value []byte) (*Record, error) {
	r := NewRecord()
	read := struct {
		Version int `json:"v"`
		*Record
	}{Record: r}
	if err := json.Unmarshal(value, &read, asWritten); err != nil {
		// The JSON error may quote the value; where it stands is told by the caller.
		return nil, fmt.Errorf("the record is not readable JSON")
	}
	if read.Version > version {
		return nil, fmt.Errorf("the record has version %d, and this bridge knows %d: run the newer bridge", read.Version, version)
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
