package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// form is a schema that asks for little: an object of texts, integers and flags, and of nothing else. Whether data has a form is
// seen while it is read, without the tree that the schema library takes, at a fraction of the cost. What has it is valid. What
// has it not may be valid all the same, as with an escape in a text: only the library refuses.
type form struct {
	members  map[string]rule // by their names in quotes
	required uint64          // bits of those that have to be there
}

// rule is what a form says of a member.
type rule struct {
	bit uint64
	is  func(value string) bool // as JSON writes it
}

// objectSchema and valueSchema are all keywords that a schema with a form may have.
type (
	objectSchema struct {
		Schema      string `json:"$schema"`
		ID          string `json:"$id"`
		Title       string `json:"title"`
		Description string `json:"description"`

		Type                 string                 `json:"type"`
		Properties           map[string]valueSchema `json:"properties"`
		Required             []string               `json:"required"`
		AdditionalProperties *bool                  `json:"additionalProperties"`
	}
	valueSchema struct {
		Description string `json:"description"`

		Ref     string `json:"$ref"`
		Type    string `json:"type"`
		Pattern string `json:"pattern"`
		Format  string `json:"format"`
		Minimum *int64 `json:"minimum"`
		Maximum *int64 `json:"maximum"`
	}
)

// readPlain reads a schema; false if it has other keywords.
func readPlain(text []byte, schema any) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(schema) == nil
}

// forms gives the forms of schemas, by name, of those that have one.
func forms(names []string) (map[string]*form, error) {
	var common struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	file, err := files.ReadFile("common" + schemaSuffix)
	if err == nil {
		err = json.Unmarshal(file, &common)
	}
	if err != nil {
		return nil, fmt.Errorf("common: %w", err)
	}
	all := map[string]*form{}
	for _, name := range names {
		file, err := files.ReadFile(name + schemaSuffix)
		if err != nil {
			return nil, err
		}
		var schema objectSchema
		if readPlain(file, &schema) {
			all[name] = schema.form(common.Defs)
		}
	}
	return all, nil
}

// form gives the schema's form; nil if it has none.
func (o objectSchema) form(defs map[string]json.RawMessage) *form {
	if o.Type != "object" || o.AdditionalProperties == nil || *o.AdditionalProperties || len(o.Properties) > 64 {
		return nil
	}
	f := &form{members: map[string]rule{}}
	for name, value := range o.Properties {
		is := value.is(defs)
		if is == nil {
			return nil
		}
		f.members[quote(name)] = rule{1 << len(f.members), is}
	}
	for _, name := range o.Required {
		m, ok := f.members[quote(name)]
		if !ok {
			return nil
		}
		f.required |= m.bit
	}
	return f
}

// is gives what knows values that the schema accepts; nil if there is nothing so simple.
func (v valueSchema) is(defs map[string]json.RawMessage) func(value string) bool {
	if name, ok := strings.CutPrefix(v.Ref, "common"+schemaSuffix+"#/$defs/"); ok {
		var def valueSchema
		if v != (valueSchema{Description: v.Description, Ref: v.Ref}) || !readPlain(defs[name], &def) {
			return nil
		}
		return def.is(defs)
	}
	switch {
	case v.Ref != "":
		return nil
	case v.Type == "string":
		return v.isText()
	case v.Type == "boolean":
		return func(value string) bool { return value == "true" || value == "false" }
	case v.Type == "integer":
		least, most := int64(math.MinInt64), int64(math.MaxInt64)
		if v.Minimum != nil {
			least = *v.Minimum
		}
		if v.Maximum != nil {
			most = *v.Maximum
		}
		return func(value string) bool {
			n, err := strconv.ParseInt(value, 10, 64)
			return err == nil && least <= n && n <= most
		}
	}
	return nil
}

func (v valueSchema) isText() func(value string) bool {
	matches, has := func(string) bool { return true }, func(string) bool { return true }
	if v.Pattern != "" {
		pattern, err := compilePattern(v.Pattern)
		if err != nil {
			return nil
		}
		matches = pattern.MatchString
	}
	if v.Format != "" {
		if has = formats[v.Format]; has == nil { // one of the library's own
			return nil
		}
	}
	return func(value string) bool {
		if value[0] != '"' || strings.Contains(value, `\`) {
			return false
		}
		text := value[1 : len(value)-1]
		return matches(text) && has(text)
	}
}

// accepts says whether data has the form. A nil form accepts nothing.
func (f *form) accepts(data []byte) bool {
	if f == nil || !utf8.Valid(data) {
		return false
	}
	text, seen := string(data), uint64(0)
	s := scanner{text: data}
	if s.next() != '{' {
		return false
	}
	for s.enter(); s.more('}'); {
		m, ok := f.members[string(s.key())]
		start := s.at
		if s.skip(); !ok || s.err != nil || seen&m.bit != 0 || !m.is(text[start:s.at]) {
			return false
		}
		seen |= m.bit
	}
	s.end()
	return s.err == nil && seen&f.required == f.required
}
