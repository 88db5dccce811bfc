package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ErrUnknownType is the error of an event whose type the contract does not know, or whose type has another prefix.
var ErrUnknownType = errors.New("unknown event type")

// Contract reads, judges and builds events whose types have one prefix. It is safe for concurrent use.
type Contract struct {
	prefix  string
	bytes   []byte            // the same
	schemas map[string]schema // by schema name
	words   map[string]string // what headers of events tell again and again, each by itself
	types   map[string]string // in full, by name
}

// schema is what judges data of one name.
type schema struct {
	*jsonschema.Schema
	form *form // nil if it has none
}

var prefixPattern = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*$`)

// New gives the contract for types with this prefix: "", or words of letters, digits, _ and -, each followed by a dot,
// up to 128 characters in all. DefaultPrefix is the usual one.
func New(prefix string) (*Contract, error) {
	if len(prefix) > 128 || !prefixPattern.MatchString(prefix) {
		return nil, fmt.Errorf("type prefix: want words that each end in a dot, as %q", DefaultPrefix)
	}
	compiled, err := compile()
	if err != nil {
		return nil, fmt.Errorf("compile schemas: %w", err)
	}
	c := &Contract{prefix: prefix, bytes: []byte(prefix), schemas: compiled, words: map[string]string{}, types: map[string]string{}}
	for _, word := range []string{specVersion, mediaJSON, mediaStructured, mediaStructuredUTF8} {
		c.words[word] = word
	}
	for _, name := range slices.Concat(eventTypes, resultTypes) {
		full := c.FullType(name)
		c.words[full], c.types[name] = full, full
	}
	return c, nil
}

// FullType gives the type on the wire of an event or result with this name.
func (c *Contract) FullType(name string) string {
	if full, ok := c.types[name]; ok {
		return full
	}
	return c.prefix + name
}

// resultSchema gives the name of a result's schema, which keeps it apart from an event of the same name.
func resultSchema(name string) string { return "result." + name }

// dataTypes are the Go types of the data, by schema name.
var dataTypes = map[string]reflect.Type{
	TypeCustomerVerified:    reflect.TypeFor[CustomerVerified](),
	TypeCustomerUpdated:     reflect.TypeFor[CustomerUpdated](),
	TypeCustomerWalletAdded: reflect.TypeFor[CustomerWalletAdded](),
	TypeCustomerLinked:      reflect.TypeFor[CustomerLinked](),
	TypeOrderPaid:           reflect.TypeFor[OrderPaid](),
	TypeOrderCreditReleased: reflect.TypeFor[OrderCreditReleased](),
	TypePositionRedeemed:    reflect.TypeFor[PositionRedeemed](),
	TypePositionTransferred: reflect.TypeFor[PositionTransferred](),

	TypeCommandResume:  reflect.TypeFor[CommandResume](),
	TypeCommandResolve: reflect.TypeFor[CommandResolve](),
	TypeCommandDiscard: reflect.TypeFor[CommandDiscard](),

	resultSchema(TypeCustomerRegistered):      reflect.TypeFor[CustomerRegistered](),
	resultSchema(TypeCustomerUpdated):         reflect.TypeFor[CustomerUpdatedResult](),
	resultSchema(TypeCustomerKYCChanged):      reflect.TypeFor[CustomerKYCChanged](),
	resultSchema(TypeWalletCreated):           reflect.TypeFor[WalletCreated](),
	resultSchema(TypeInvestmentCreated):       reflect.TypeFor[InvestmentCreated](),
	resultSchema(TypeInvestmentStatusChanged): reflect.TypeFor[InvestmentStatusChanged](),
	resultSchema(TypeCreditStarted):           reflect.TypeFor[CreditProgress](),
	resultSchema(TypeCreditSucceeded):         reflect.TypeFor[CreditProgress](),
	resultSchema(TypeCreditFailed):            reflect.TypeFor[CreditProgress](),
	resultSchema(TypeRedemptionStarted):       reflect.TypeFor[RedemptionProgress](),
	resultSchema(TypeRedemptionSucceeded):     reflect.TypeFor[RedemptionProgress](),
	resultSchema(TypeRedemptionFailed):        reflect.TypeFor[RedemptionProgress](),
	resultSchema(TypeTransferStarted):         reflect.TypeFor[TransferProgress](),
	resultSchema(TypeTransferSucceeded):       reflect.TypeFor[TransferProgress](),
	resultSchema(TypeTransferFailed):          reflect.TypeFor[TransferProgress](),
	resultSchema(TypeEventWaiting):            reflect.TypeFor[EventWaiting](),
	resultSchema(TypeEventRejected):           reflect.TypeFor[EventRejected](),
	resultSchema(TypeEventUnresolved):         reflect.TypeFor[EventUnresolved](),
}

const (
	schemaBase   = "https://distributor-bridge.example/schemas/" // of every $id, which references resolve against
	schemaSuffix = ".schema.json"
)

// compile compiles the embedded schemas, once for all contracts.
var compile = sync.OnceValues(func() (map[string]schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseRegexpEngine(compilePattern)
	register(compiler)
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is fetched
	names := slices.Collect(maps.Keys(dataTypes))
	for _, name := range append(names, "common") {
		if err := addResource(compiler, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	forms, err := forms(names)
	if err != nil {
		return nil, err
	}
	compiled := map[string]schema{}
	for _, name := range names {
		judge, err := compiler.Compile(schemaBase + name + schemaSuffix)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		compiled[name] = schema{judge, forms[name]}
	}
	return compiled, nil
})

func addResource(compiler *jsonschema.Compiler, name string) error {
	file, err := files.ReadFile(name + schemaSuffix)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
	if err != nil {
		return err
	}
	return compiler.AddResource(schemaBase+name+schemaSuffix, doc)
}

// Validate judges the data of an event: nil, ErrUnknownType, ErrCommand, or an *InvalidError.
func (c *Contract) Validate(e Event) error {
	switch {
	case IsCommand(e.Name):
		return ErrCommand
	case !slices.Contains(eventTypes, e.Name): // a result's schema is not an event's
		return ErrUnknownType
	}
	return c.validate(e, e.Name)
}

// ValidateResult judges a result as Validate judges an event.
func (c *Contract) ValidateResult(e Event) error { return c.validate(e, resultSchema(e.Name)) }

func (c *Contract) validate(e Event, schemaName string) error {
	schema, ok := c.schemas[schemaName]
	if !ok {
		return ErrUnknownType
	}
	const at = "/" + memberData
	if !isJSON(e.DataContentType) {
		return invalid(Violation{"/" + attrDataContentType, "contentMediaType"})
	}
	if len(e.Data) == 0 {
		return invalid(Violation{at, "required"})
	}
	if schema.form.accepts(e.Data) {
		return nil
	}
	return schema.judge(at, e.Data)
}

// judge judges data, which is at a place of an event.
func (s schema) judge(at string, data []byte) error {
	tree, keyword := parse(data)
	if keyword != "" {
		return invalid(Violation{at, keyword})
	}
	if err := s.Validate(tree); err != nil {
		var broken *jsonschema.ValidationError
		errors.As(err, &broken)
		return invalid(violations(at, broken)...)
	}
	return invalid(below(memberData, checkInline(tree))...)
}

// isJSON takes application/json and the types that end in +json, in UTF-8.
func isJSON(contentType string) bool {
	media, utf8, err := parseMedia(contentType)
	return err == nil && utf8 && (media == mediaJSON || strings.HasSuffix(media, "+json"))
}

// Data gives the data of an event that Validate, or of a result that ValidateResult, has accepted, as the Go type of its
// name. The error of another T, or of data that was not accepted, tells no value.
func Data[T any](e Event) (T, error) {
	var data T
	if t := reflect.TypeFor[T](); dataTypes[e.Name] != t && dataTypes[resultSchema(e.Name)] != t {
		return data, fmt.Errorf("decode data: %s is not the type of %q", t, e.Name)
	}
	err := json.Unmarshal(e.Data, &data)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return data, nil
	case errors.As(err, &wrong):
		// Its text may quote a number; its field is a path of names that the Go types know.
		return *new(T), invalid(Violation{"/data/" + strings.ReplaceAll(wrong.Field, ".", "/"), "type"})
	default:
		return *new(T), invalid(Violation{"/data", keywordJSON})
	}
}
