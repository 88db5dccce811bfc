// Package draft is memory that JSON is made in, and that is used again: for what is read once and kept by nobody, as a request's
// body and what a digest is made of.
package draft

import (
	"bytes"
	"encoding/json"
	"sync"
)

// Draft is a buffer that JSON can be written to. It is used by one goroutine.
type Draft struct {
	bytes.Buffer
	json *json.Encoder // to the Buffer
}

var drafts = sync.Pool{New: func() any {
	d := new(Draft)
	d.json = json.NewEncoder(&d.Buffer)
	return d
}}

// New gives an empty Draft. It has to be closed, or is garbage.
func New() *Draft { return drafts.Get().(*Draft) }

// JSON appends v as json.Marshal gives it. After an error, which is json.Marshal's, nothing is appended.
func (d *Draft) JSON(v any) error {
	if err := d.json.Encode(v); err != nil {
		return err
	}
	d.Truncate(d.Len() - 1) // Encode ends with a line break
	return nil
}

// most is how large a Draft is kept, in bytes: a rare larger one is not.
const most = 64 << 10

// Close gives the Draft to others, once: it must not be used, nor closed, after that. The error is nil.
func (d *Draft) Close() error {
	if d.Cap() <= most {
		d.Reset()
		drafts.Put(d)
	}
	return nil
}
