package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deeply data may nest; the schemas need five levels.
const maxDepth = 32

// checkText gives the keyword that raw breaks as a JSON text, or "". encoding/json would replace what is no UTF-8, and
// halves of surrogate pairs, by U+FFFD without a word: a name would be registered misspelt.
func checkText(raw []byte) string {
	if !utf8.Valid(raw) {
		return keywordEncoding
	}
	if !json.Valid(raw) {
		return keywordJSON
	}
	if loneSurrogate(raw) {
		return keywordEncoding
	}
	return ""
}

// loneSurrogate tells whether valid JSON has an escape for half of a surrogate pair.
func loneSurrogate(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return false
		}
		raw = raw[i:]
		high, ok := escapedUnit(raw)
		if !ok {
			raw = raw[2:]
			continue
		}
		raw = raw[6:]
		if !utf16.IsSurrogate(high) {
			continue
		}
		low, ok := escapedUnit(raw)
		if !ok || utf16.DecodeRune(high, low) == utf8.RuneError {
			return true
		}
		raw = raw[6:]
	}
}

func escapedUnit(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(unit), err == nil
}

// parse gives what data says as the schema library takes it, or the keyword that data breaks as a JSON text.
func parse(data []byte) (any, string) {
	s := scanner{text: data}
	tree := s.tree()
	s.end()
	if s.err == nil && utf8.Valid(data) && !loneSurrogate(data) {
		return tree, ""
	}
	if keyword := checkText(data); keyword != "" {
		return nil, keyword
	}
	switch {
	case errors.Is(s.err, errUniqueKeys):
		return nil, keywordUniqueKeys
	case errors.Is(s.err, errDepth):
		return nil, keywordDepth
	}
	return nil, keywordJSON
}

// member gives the string that the object in data has by this name; "" if there is none. Of several it is the last one's. compact
// says that data is an object, without white space between its tokens.
func member(data []byte, name string) (text string, compact bool) {
	s := scanner{text: data}
	if s.next() != '{' {
		return "", false
	}
	var value json.RawMessage
	for s.enter(); s.more('}'); {
		key, raw := s.key(), s.skip()
		if isQuoted(key, name) {
			value = raw
		}
	}
	s.end()
	compact = s.err == nil && !s.white
	if s.err != nil || len(value) == 0 || value[0] != '"' {
		return "", compact
	}
	return unquote(value), compact
}

// number gives an integer as int64, and anything else as a number that no schema here accepts, so that the schema
// reports it at its place: a fraction or an exponent as one half (type), what is too large for int64 as ±1e30 (maximum or
// minimum). Handing on the literal itself would let 1e999999999 expand to a gigabyte in the library.
func number(literal string) any {
	if strings.ContainsAny(literal, ".eE") {
		return 0.5
	}
	n, err := strconv.ParseInt(literal, 10, 64)
	switch {
	case err == nil:
		return n
	case strings.HasPrefix(literal, "-"):
		return -1e30
	default:
		return 1e30
	}
}
