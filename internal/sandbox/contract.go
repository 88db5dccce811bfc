package sandbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:embed openapi.yaml
var description []byte

// Description is the OpenAPI document that requests are held to, as YAML.
func Description() []byte { return slices.Clone(description) }

// operation is one call of the API, as the description has it.
type operation struct {
	name      string // operationId
	method    string
	segments  []string // of the path, "{…}" being a variable
	scope     string
	body      *openapi3.Schema // of a JSON body; nil: none is allowed, unless multipart
	multipart bool
	required  bool // a body must be there
	keyed     bool // POST and PATCH: X-Idempotency-Key is required
}

// contract is the description made ready for use: it is the routing table and the validator, so they cannot differ.
type contract struct {
	operations []*operation
	options    []openapi3.SchemaValidationOption
}

// loadContract reads the description once; what comes of it is never changed.
var loadContract = sync.OnceValues(func() (*contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(description)
	if err != nil {
		return nil, fmt.Errorf("load the API's description: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("validate the API's description: %w", err)
	}
	c := &contract{options: []openapi3.SchemaValidationOption{
		openapi3.MultiErrors(),
		openapi3.VisitAsRequest(),
		openapi3.WithStringFormatValidators(formats),
	}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == opToken {
				continue // has a base, a body and errors of its own: token.go
			}
			c.operations = append(c.operations, newOperation(method, path, op))
		}
	}
	return c, nil
})

func newOperation(method, path string, op *openapi3.Operation) *operation {
	o := &operation{
		name:     op.OperationID,
		method:   method,
		segments: strings.Split(strings.Trim(path, "/"), "/"),
		keyed:    method == http.MethodPost || method == http.MethodPatch,
	}
	for _, requirement := range *op.Security {
		for _, scopes := range requirement {
			o.scope = scopes[0]
		}
	}
	if op.RequestBody == nil {
		return o
	}
	o.required = op.RequestBody.Value.Required
	if media := op.RequestBody.Value.Content.Get("application/json"); media != nil {
		o.body = media.Schema.Value
	}
	o.multipart = op.RequestBody.Value.Content.Get("multipart/form-data") != nil
	return o
}

// route finds the operation for a method and a path below the prefix, without its slashes at the ends. Where only the
// method differs, it gives the methods that there are.
func (c *contract) route(method, path string) (op *operation, vars map[string]string, allowed []string) {
	segments := strings.Split(path, "/")
	for _, candidate := range c.operations {
		v, ok := candidate.match(segments)
		if !ok {
			continue
		}
		if candidate.method == method {
			return candidate, v, nil
		}
		allowed = append(allowed, candidate.method)
	}
	slices.Sort(allowed)
	return nil, nil, allowed
}

// match takes anything but nothing for a variable: what is no ID is the ID of no object, so it is 404 like any other, and
// only for who may ask.
func (o *operation) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(o.segments) {
		return nil, false
	}
	vars := map[string]string{}
	for i, want := range o.segments {
		name, variable := strings.CutPrefix(want, "{")
		if !variable {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		if segments[i] == "" {
			return nil, false
		}
		vars[strings.TrimSuffix(name, "}")] = segments[i]
	}
	return vars, true
}

// check holds a JSON body to the operation's schema and gives the refusal, or nil.
func (c *contract) check(op *operation, body any) *reply {
	err := op.body.VisitJSON(body, c.options...)
	if err == nil {
		return nil
	}
	tree := &fieldErrors{}
	collect(tree, err)
	return &reply{status: http.StatusBadRequest, body: tree.render(body)}
}

// collect puts what the validator found into the shape that Django REST framework gives to errors.
func collect(tree *fieldErrors, err error) {
	var several openapi3.MultiError
	if errors.As(err, &several) {
		for _, e := range several {
			collect(tree, e)
		}
		return
	}
	var one *openapi3.SchemaError
	if !errors.As(err, &one) {
		tree.add(nil, "Invalid value.")
		return
	}
	at := one.JSONPointer()
	if one.SchemaField != "properties" {
		tree.add(at, complaint(one))
		return
	}
	object, _ := one.Value.(map[string]any)
	for name := range object {
		if _, known := one.Schema.Properties[name]; !known {
			tree.add(append(slices.Clone(at), name), "Unknown field.")
		}
	}
}

// complaint words an error as Django REST framework does, value and all: real APIs do that too.
func complaint(e *openapi3.SchemaError) string {
	value, _ := json.Marshal(e.Value)
	switch e.SchemaField {
	case "required":
		return "This field is required."
	case "nullable":
		return "This field may not be null."
	case "enum":
		return fmt.Sprintf("%s is not a valid choice.", value)
	case "minLength":
		return "This field may not be blank."
	case "maxLength":
		return fmt.Sprintf("Ensure this field has no more than %d characters.", *e.Schema.MaxLength)
	case "minItems":
		return "This list may not be empty."
	case "minProperties":
		return "There is nothing to change."
	case "minimum":
		return fmt.Sprintf("Ensure this value is greater than or equal to %.0f.", *e.Schema.Min)
	case "maximum":
		return fmt.Sprintf("Ensure this value is less than or equal to %.0f.", *e.Schema.Max)
	case "type":
		return mistyped(e)
	case "format":
		switch text, _ := e.Value.(string); {
		case e.Schema.Format == "text":
			return "This field may not be blank."
		case e.Schema.Format == "birth-date" && isDate(text):
			return "The date is in the future."
		}
	}
	return fmt.Sprintf("%s is not valid.", value)
}

func mistyped(e *openapi3.SchemaError) string {
	if e.Value == nil {
		return "This field may not be null."
	}
	switch {
	case e.Schema.Type.Is("integer"):
		return "A valid integer is required."
	case e.Schema.Type.Is("boolean"):
		return "Must be a valid boolean."
	case e.Schema.Type.Is("array"):
		return fmt.Sprintf("Expected a list of items but got type %q.", typeName(e.Value))
	case e.Schema.Type.Is("object"):
		return fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", typeName(e.Value))
	}
	return "Not a valid string."
}

// typeName is what Python calls the type of a JSON value.
func typeName(v any) string {
	switch v.(type) {
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	case string:
		return "str"
	case bool:
		return "bool"
	}
	return "float"
}
