package schemas

import "slices"

// Room is memory to make the headers of records in, of any number of them: in two pieces for all, and to be used again. The zero
// value is empty. Should a piece grow, the records before keep what they had.
type Room struct {
	headers []Header
	values  []byte // one behind the other
	from    int    // where the headers of the record at hand begin
}

// Binary adds an event's headers in binary mode, as Event.Binary gives them.
func (r *Room) Binary(e *Event) {
	r.headers = slices.Grow(r.headers, usualHeaders)
	e.headers(r)
	r.Add(headerContentType, e.contentType())
}

// Add adds a header.
func (r *Room) Add(key, value string) { r.headers = append(r.headers, Header{key, r.Bytes(value)}) }

// Bytes gives a text as bytes in the Room's memory, never nil.
func (r *Room) Bytes(text string) []byte {
	if r.values == nil {
		r.values = make([]byte, 0, usualValues)
	}
	start := len(r.values)
	r.values = append(r.values, text...)
	return r.values[start:len(r.values):len(r.values)]
}

// Headers gives the headers that were added since it was last asked for some: those of one record.
func (r *Room) Headers() []Header {
	from := r.from
	r.from = len(r.headers)
	return r.headers[from:r.from:r.from]
}

// Clear empties the Room. All that it has given will be overwritten, so nobody may need that any more.
func (r *Room) Clear() {
	if len(r.headers) > headersKept || len(r.values) > valuesKept {
		*r = Room{}
		return
	}
	clear(r.headers)
	r.headers, r.values, r.from = r.headers[:0], r.values[:0], 0
}

// A Room that has held more headers, or bytes of their values, does not keep its memory. That is rare.
const (
	headersKept = 8 << 10
	valuesKept  = 256 << 10
)
