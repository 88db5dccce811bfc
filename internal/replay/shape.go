package replay

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"distributor-bridge/schemas"
)

// Field is a field of a JSON text: where it is and what.
type Field struct {
	Path  string // person.forename; of a list's items: benefiting_persons[].forename
	Type  string // string, number, boolean, null, empty object or empty list
	Value string // a string's, if it may be shown; else empty
}

// unknownName stands for a name that no schema knows: it may be anything, a person's name among others.
const unknownName = "(unknown name)"

// Shape gives the fields of a JSON text, in its order, each once, without their values but those strings for which shown
// gives something to show (nil: none). Names that known refuses are not told. ok is false if it is no JSON.
func Shape(text []byte, known func(name string) bool, shown func(value string) string) (fields []Field, ok bool) {
	if !json.Valid(text) {
		return nil, false
	}
	s := shaper{dec: json.NewDecoder(bytes.NewReader(text)), known: known, shown: shown}
	s.value("")
	return s.fields, true
}

// shaper walks a valid JSON text.
type shaper struct {
	dec    *json.Decoder
	known  func(string) bool
	shown  func(string) string
	fields []Field
}

func (s *shaper) value(path string) {
	token, err := s.dec.Token()
	if err != nil {
		return // it is valid: there is none
	}
	delim, nested := token.(json.Delim)
	if !nested {
		s.add(Field{Path: path, Type: typeOf(token), Value: s.show(token)})
		return
	}
	if !s.dec.More() {
		s.add(Field{Path: path, Type: map[json.Delim]string{'{': "empty object", '[': "empty list"}[delim]})
	}
	for s.dec.More() {
		inner := path + "[]"
		if delim == '{' {
			name, _ := s.dec.Token()
			inner = s.name(path, name.(string))
		}
		s.value(inner)
	}
	_, _ = s.dec.Token() // its end
}

func (s *shaper) name(path, name string) string {
	if !s.known(name) {
		name = unknownName
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func (s *shaper) show(token json.Token) string {
	text, ok := token.(string)
	if !ok || s.shown == nil {
		return ""
	}
	return s.shown(text)
}

func (s *shaper) add(f Field) {
	if !slices.Contains(s.fields, f) {
		s.fields = append(s.fields, f)
	}
}

func typeOf(token json.Token) string {
	switch token.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	}
	return "null"
}

// ContractName says whether a name is one that the contract's schemas know, of an attribute or of a field.
func ContractName(name string) bool { return contractNames()[name] }

var contractNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{"data": true, "data_base64": true, "specversion": true, "id": true, "source": true, "type": true,
		"subject": true, "time": true, "datacontenttype": true, "dataschema": true, "correlationid": true, "causationid": true,
		"causationsource": true, "traceparent": true}
	files, err := fs.Glob(schemas.Files(), "*.schema.json")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, file := range files {
		var schema any
		text, err := fs.ReadFile(schemas.Files(), file)
		if err == nil {
			err = json.Unmarshal(text, &schema)
		}
		if err != nil {
			panic(err) // it is embedded, and compiled by every contract
		}
		collectNames(schema, names)
	}
	return names
})

// collectNames takes the names of all properties that a schema has, at any depth.
func collectNames(schema any, names map[string]bool) {
	switch schema := schema.(type) {
	case map[string]any:
		if properties, ok := schema["properties"].(map[string]any); ok {
			for name := range maps.Keys(properties) {
				names[name] = true
			}
		}
		for _, inner := range schema {
			collectNames(inner, names)
		}
	case []any:
		for _, inner := range schema {
			collectNames(inner, names)
		}
	}
}

// told are headers of a record whose values the bridge itself, or the contract, vouches for.
var told = map[string]bool{
	"ce_specversion": true, "ce_id": true, "ce_source": true, "ce_type": true, "ce_time": true, "ce_correlationid": true,
	"ce_causationid": true, "ce_causationsource": true, "ce_traceparent": true, "content-type": true, "traceparent": true,
	"source_topic": true, "source_partition": true, "source_offset": true,
}

// HeaderShown says whether the value of a record's header may be shown without asking: upstream's own may be personal.
func HeaderShown(key string) bool { return told[strings.ToLower(key)] }
