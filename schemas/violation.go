package schemas

import (
	"cmp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxViolations is how many violations an InvalidError holds at most: enough to mend an event, few enough for a header.
const maxViolations = 10

// Keywords of rules that JSON Schema has no word for.
const (
	keywordJSON       = "json"       // not JSON, or something follows it
	keywordEncoding   = "encoding"   // not UTF-8, or half of a surrogate pair
	keywordDepth      = "depth"      // nested too deeply
	keywordUniqueKeys = "uniqueKeys" // a property or header comes twice
	keywordSize       = "size"       // a document's size is not the one told
	keywordSHA256     = "sha256"     // a document's SHA-256 is not the one told
)

// Violation is a rule that an event breaks, and where. It never holds a value.
type Violation struct {
	Pointer string // JSON Pointer into the event in structured mode; of an unknown property, its object's; "" is the event
	Keyword string // of JSON Schema, or json, encoding, depth, uniqueKeys, size, sha256; schema if the library names none
}

func (v Violation) String() string { return v.Pointer + " " + v.Keyword }

// InvalidError is the error of an event that breaks the contract: one to ten violations, sorted by pointer and keyword.
type InvalidError struct{ Violations []Violation }

// Error names pointers and keywords, never a value.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		parts[i] = strings.TrimSpace(v.String())
	}
	return "invalid event: " + strings.Join(parts, ", ")
}

// invalid gives the error of these violations, sorted, each once, the first ten; nil if there are none.
func invalid(violations ...Violation) error {
	if len(violations) == 0 {
		return nil
	}
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Keyword, b.Keyword))
	})
	violations = slices.Compact(violations)
	return &InvalidError{Violations: slices.Clip(violations[:min(len(violations), maxViolations)])}
}

// violations flattens what the schema library found below base. The library only enters properties that a schema names,
// so its locations hold no name of upstream's invention.
func violations(base string, err *jsonschema.ValidationError) []Violation {
	at := base + pointer(err.InstanceLocation)
	switch k := err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		var all []Violation
		for _, cause := range err.Causes {
			all = append(all, violations(base, cause)...)
		}
		return all
	case *kind.Required:
		return missing(at, "required", k.Missing)
	case *kind.DependentRequired:
		return missing(at, "dependentRequired", k.Missing)
	case *kind.Not:
		return []Violation{{at, "not"}} // for which the library tells no keyword
	}
	// oneOf and anyOf are told as such: what their branches lack is guesswork to a reader.
	if path := err.ErrorKind.KeywordPath(); len(path) > 0 {
		return []Violation{{at, path[0]}}
	}
	return []Violation{{at, "schema"}}
}

func missing(object, keyword string, names []string) []Violation {
	all := make([]Violation, len(names))
	for i, name := range names {
		all[i] = Violation{object + pointer([]string{name}), keyword}
	}
	return all
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(tokens []string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(token))
	}
	return b.String()
}
