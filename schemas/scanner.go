package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
)

var (
	errNoJSON     = errors.New("not JSON")
	errUniqueKeys = errors.New("a key comes twice")
	errDepth      = errors.New("nested too deeply")
)

// maxNesting is encoding/json's limit.
const maxNesting = 10_000

// scanner goes through a JSON text once, and takes what encoding/json takes, which tests hold it to; at a fraction of the
// cost. The first mistake is kept and ends all loops.
type scanner struct {
	text  []byte
	at    int
	depth int
	first bool // an object or array was just entered
	white bool // there was white space between tokens
	err   error
}

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.at = len(s.text)
}

// next goes to what comes after white space, and gives its first byte; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.white = true
		default:
			return c
		}
	}
	return 0
}

// end fails if something is left.
func (s *scanner) end() {
	s.next()
	if s.at < len(s.text) {
		s.fail(errNoJSON)
	}
}

// enter goes into an object or array, whose first byte is next.
func (s *scanner) enter() {
	s.at++
	s.first = true
	if s.depth++; s.depth > maxNesting {
		s.fail(errNoJSON)
	}
}

// more goes to the next key or value of the object or array that it has entered, or out of it if there is none.
func (s *scanner) more(end byte) bool {
	c, first := s.next(), s.first
	s.first = false
	switch {
	case s.err != nil:
		return false
	case c == end:
		s.at++
		s.depth--
		return false
	case first:
		return true
	case c == ',':
		s.at++
		if s.next() != end {
			return true
		}
	}
	s.fail(errNoJSON)
	return false
}

// key goes over a member's name to its value, and gives the name in its quotes; nil after a mistake.
func (s *scanner) key() []byte {
	s.next()
	name := s.quoted()
	if s.next() != ':' {
		s.fail(errNoJSON)
		return nil
	}
	s.at++
	s.next()
	return name
}

// quoted goes over a string, and gives it in its quotes; nil after a mistake.
func (s *scanner) quoted() []byte {
	rest := s.text[s.at:]
	if len(rest) == 0 || rest[0] != '"' {
		s.fail(errNoJSON)
		return nil
	}
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c >= ' ' && c != '"' && c != '\\': // as nearly all are
		case c == '"':
			s.at += i + 1
			return rest[:i+1]
		case c == '\\' && escapeSize(rest[i:]) > 0:
			i += escapeSize(rest[i:]) - 1
		default:
			s.fail(errNoJSON)
			return nil
		}
	}
	s.fail(errNoJSON)
	return nil
}

// escapeSize gives how many bytes the escape is long that text begins with; 0 if it is none.
func escapeSize(text []byte) int {
	if _, ok := escapedUnit(text); ok {
		return 6
	}
	if len(text) > 1 && bytes.IndexByte([]byte(`"\/bfnrt`), text[1]) >= 0 {
		return 2
	}
	return 0
}

// literal goes over true, false, null or a number, and gives it; nil after a mistake.
func (s *scanner) literal() []byte {
	rest := s.text[s.at:]
	size := 0
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(rest, []byte(word)) {
			size = len(word)
		}
	}
	if size == 0 {
		size = numberSize(rest)
	}
	if size == 0 {
		s.fail(errNoJSON)
		return nil
	}
	s.at += size
	return rest[:size]
}

// numberSize gives how many bytes the number is long that text begins with; 0 if it is none.
func numberSize(text []byte) int {
	i := 0
	digits := func() bool {
		start := i
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		return i > start
	}
	is := func(set string) bool {
		if i < len(text) && bytes.IndexByte([]byte(set), text[i]) >= 0 {
			i++
			return true
		}
		return false
	}
	is("-")
	if !is("0") && !digits() {
		return 0
	}
	if is(".") && !digits() {
		return 0
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return 0
		}
	}
	return i
}

// skip goes over a value, and gives it.
func (s *scanner) skip() json.RawMessage {
	c, start := s.next(), s.at
	switch c {
	case '{':
		for s.enter(); s.more('}'); {
			s.key()
			s.skip()
		}
	case '[':
		for s.enter(); s.more(']'); {
			s.skip()
		}
	case '"':
		s.quoted()
	default:
		s.literal()
	}
	return s.text[start:s.at]
}

// tree goes over a value, and gives it as the schema library takes it. A key that comes twice, and too many levels, are
// mistakes.
func (s *scanner) tree() any {
	switch c := s.next(); c {
	case '{', '[':
		if s.depth == maxDepth {
			s.fail(errDepth)
			return nil
		}
		if c == '{' {
			return s.object()
		}
		return s.array()
	case '"':
		return unquote(s.quoted())
	}
	literal := s.literal()
	if literal == nil {
		return nil
	}
	switch literal[0] {
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	default:
		return number(string(literal))
	}
}

func (s *scanner) object() map[string]any {
	object := map[string]any{}
	for s.enter(); s.more('}'); {
		key := unquote(s.key())
		if _, twice := object[key]; twice {
			s.fail(errUniqueKeys)
		}
		object[key] = s.tree()
	}
	return object
}

func (s *scanner) array() []any {
	array := []any{}
	for s.enter(); s.more(']'); {
		array = append(array, s.tree())
	}
	return array
}

// isQuoted tells whether a string in its quotes says text.
func isQuoted(quoted []byte, text string) bool {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return unquote(quoted) == text
	}
	return len(quoted) >= 2 && string(quoted[1:len(quoted)-1]) == text
}

// unquote gives what a string in its quotes says; "" for none.
func unquote(quoted []byte) string {
	if len(quoted) < 2 {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // which is a string
	return text
}
