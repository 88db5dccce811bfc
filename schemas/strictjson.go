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

var (
	errUniqueKeys = errors.New("a key comes twice")
	errDepth      = errors.New("nested too deeply")
)

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
	if keyword := checkText(data); keyword != "" {
		return nil, keyword
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	tree, err := parseValue(dec, 0)
	switch {
	case errors.Is(err, errUniqueKeys):
		return nil, keywordUniqueKeys
	case errors.Is(err, errDepth):
		return nil, keywordDepth
	case err != nil:
		return nil, keywordJSON
	}
	return tree, ""
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Number:
		return number(string(token)), nil
	case json.Delim:
		if depth == maxDepth {
			return nil, errDepth
		}
		if token == '{' {
			return parseObject(dec, depth+1)
		}
		return parseArray(dec, depth+1)
	default:
		return token, nil
	}
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		if _, twice := object[key]; twice {
			return nil, errUniqueKeys
		}
		if object[key], err = parseValue(dec, depth); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	array := []any{}
	for dec.More() {
		value, err := parseValue(dec, depth)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := dec.Token()
	return array, err
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
