package attempt

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Encoder appends JSON to Out: the bytes that encoding/json would give, without its reflection. State is written twice an
// event, and half of the cost of that was in there.
type Encoder struct {
	Out []byte
	Err error // the first failure: Out is of no use then
}

// Open begins an object or a list, by its bracket.
func (e *Encoder) Open(bracket byte) { e.Out = append(e.Out, bracket) }

// Close ends an object or a list, by its bracket.
func (e *Encoder) Close(bracket byte) { e.Out = append(e.Out, bracket) }

// Next separates a value from the one before it, if there is one.
func (e *Encoder) Next() {
	if last := e.Out[len(e.Out)-1]; last != '{' && last != '[' {
		e.Out = append(e.Out, ',')
	}
}

// Name begins a field whose name needs no escape.
func (e *Encoder) Name(name string) {
	e.Next()
	e.Out = append(e.Out, '"')
	e.Out = append(e.Out, name...)
	e.Out = append(e.Out, '"', ':')
}

// key begins a field with any name.
func (e *Encoder) key(name string) {
	e.Next()
	e.Text(name)
	e.Out = append(e.Out, ':')
}

// Text appends a string.
func (e *Encoder) Text(s string) {
	if !left(s, inText) {
		raw, err := json.Marshal(s)
		e.fail(err)
		e.Out = append(e.Out, raw...)
		return
	}
	e.Out = append(e.Out, '"')
	e.Out = append(e.Out, s...)
	e.Out = append(e.Out, '"')
}

// Characters that encoding/json does not leave as they are.
const (
	inText = 1 << iota // in a string
	inRaw  = 1 << iota // in JSON: what may be space, or has to be escaped for HTML
)

// special tells of each byte where it is not left as it is. It is looked up for every byte of state that is written.
var special = func() (table [256]uint8) {
	for c := range table {
		if c < ' ' || c >= 0x80 {
			table[c] = inText | inRaw
		}
	}
	for _, c := range `<>&` {
		table[c] = inText | inRaw
	}
	table['"'], table['\\'], table[' '] = inText, inText, inRaw
	return table
}()

// left says whether encoding/json would leave s as it is.
func left[S ~string | ~[]byte](s S, in uint8) bool {
	for i := range len(s) {
		if special[s[i]]&in != 0 {
			return false
		}
	}
	return true
}

// Int appends a number.
func (e *Encoder) Int(n int64) { e.Out = strconv.AppendInt(e.Out, n, 10) }

// Time appends a time.
func (e *Encoder) Time(t time.Time) {
	e.Out = append(e.Out, '"')
	out, err := t.AppendText(e.Out)
	e.fail(err)
	if err == nil {
		e.Out = out
	}
	e.Out = append(e.Out, '"')
}

// Raw appends JSON that encoding/json has made.
func (e *Encoder) Raw(raw json.RawMessage) {
	if len(raw) > 0 && left(raw, inRaw) {
		e.Out = append(e.Out, raw...)
		return
	}
	out, err := json.Marshal(raw)
	e.fail(err)
	e.Out = append(e.Out, out...)
}

func (e *Encoder) fail(err error) { e.Err = errors.Join(e.Err, err) }

// text appends a field that is left out if it is empty; flag, number and moment do the same.
func (e *Encoder) text(name, s string) {
	if s != "" {
		e.Name(name)
		e.Text(s)
	}
}

func (e *Encoder) flag(name string, set bool) {
	if set {
		e.Name(name)
		e.Out = append(e.Out, "true"...)
	}
}

func (e *Encoder) number(name string, n int) {
	if n != 0 {
		e.Name(name)
		e.Int(int64(n))
	}
}

func (e *Encoder) moment(name string, t time.Time) {
	if !t.IsZero() {
		e.Name(name)
		e.Time(t)
	}
}

// table appends a map, sorted, unless it is empty.
func table[V any](e *Encoder, name string, m map[string]V, value func(V)) {
	if len(m) == 0 {
		return
	}
	e.Name(name)
	e.Open('{')
	if len(m) == 1 {
		for key, v := range m {
			e.key(key)
			value(v)
		}
	} else {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			e.key(key)
			value(m[key])
		}
	}
	e.Close('}')
}

// List appends a list as a field, unless it is empty.
func List[S ~[]V, V any](e *Encoder, name string, s S, value func(*V)) {
	if len(s) == 0 {
		return
	}
	e.Name(name)
	e.Open('[')
	for i := range s {
		e.Next()
		value(&s[i])
	}
	e.Close(']')
}
