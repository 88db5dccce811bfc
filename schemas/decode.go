package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// maxAttribute is how long an attribute may be, in bytes: identities are kept in state and told in headers.
const maxAttribute = 1024

var (
	idPattern          = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
	traceParentPattern = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
)

// Decode reads the envelope of a Kafka record in binary or structured mode, told apart by the content-type header, and
// the customer ID in its data. It judges the envelope alone: an *InvalidError tells what is wrong there. The data is
// judged by Validate, so that an event of an unknown type can be skipped whatever it holds.
func (c *Contract) Decode(value []byte, headers []Header) (Event, error) {
	env := envelope{attributes: map[string]string{}}
	contentType, twice := header(headers, headerContentType)
	media, parameters, err := mime.ParseMediaType(contentType)
	switch {
	case twice:
		return Event{}, invalid(Violation{"/" + attrDataContentType, keywordUniqueKeys})
	case err == nil && media == mediaStructured && isUTF8(parameters):
		env.readStructured(value)
	case strings.HasPrefix(strings.ToLower(contentType), mediaAnyStructured):
		return Event{}, invalid(Violation{"", "contentMediaType"}) // a batch, Avro, or another charset
	default:
		env.readBinary(value, headers)
		env.attributes[attrDataContentType] = contentType
	}
	e := env.event()
	if err := invalid(env.violations...); err != nil {
		return Event{}, err
	}
	// What is well-formed and nearest: the last hop's header before what the event was born with.
	for _, parent := range []string{plainTraceParent(headers), env.attributes[attrTraceParent]} {
		if e.TraceParent == "" && traceParentPattern.MatchString(parent) {
			e.TraceParent = parent
		}
	}
	if name, ok := strings.CutPrefix(e.Type, c.prefix); ok {
		e.Name = name
	}
	e.CustomerID = customerID(e.Data)
	return e, nil
}

// customerID gives the ID in data, or "". Where data names it twice or in other letters this may not be the one that is
// meant; Validate refuses such data.
func customerID(data json.RawMessage) string {
	var d struct {
		CustomerID string `json:"customer_id"`
	}
	if json.Unmarshal(data, &d) != nil || !idPattern.MatchString(d.CustomerID) {
		return ""
	}
	return d.CustomerID
}

func header(headers []Header, key string) (value string, twice bool) {
	count := 0
	for _, h := range headers {
		if strings.EqualFold(h.Key, key) {
			value, count = string(h.Value), count+1
		}
	}
	return value, count > 1
}

func plainTraceParent(headers []Header) string {
	value, twice := header(headers, attrTraceParent)
	if twice {
		return ""
	}
	return value
}

func isUTF8(parameters map[string]string) bool {
	charset, told := parameters["charset"]
	return !told || strings.EqualFold(charset, "utf-8")
}

// envelope is an event being read: what it says, and what is wrong with it.
type envelope struct {
	attributes map[string]string
	data       json.RawMessage
	violations []Violation
}

func (env *envelope) fail(pointer, keyword string) {
	env.violations = append(env.violations, Violation{pointer, keyword})
}

func (env *envelope) set(name, value string) {
	if _, twice := env.attributes[name]; twice {
		env.fail(attributePointer(name), keywordUniqueKeys)
	}
	env.attributes[name] = value
}

func (env *envelope) readBinary(value []byte, headers []Header) {
	for _, h := range headers {
		name, ok := strings.CutPrefix(h.Key, headerPrefix)
		if !ok || name == attrDataContentType { // which the content-type header tells
			continue
		}
		env.set(name, string(h.Value))
	}
	if len(value) > 0 {
		env.data = value
	}
}

func (env *envelope) readStructured(value []byte) {
	if keyword := checkText(value); keyword != "" {
		env.fail("", keyword)
		return
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		env.fail("", "type")
		return
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, isKey := token.(string)
		var raw json.RawMessage
		if err != nil || !isKey || dec.Decode(&raw) != nil {
			env.fail("", keywordJSON)
			return
		}
		if seen[name] {
			env.fail("", keywordUniqueKeys)
			return
		}
		seen[name] = true
		env.readMember(name, raw)
	}
	if seen[memberData] && seen[memberDataBase64] {
		env.fail("/"+memberDataBase64, "not")
	}
}

func (env *envelope) readMember(name string, raw json.RawMessage) {
	switch name {
	case memberData:
		env.data = raw
		return
	case memberDataBase64:
		data, err := fromBase64(raw)
		if err != nil {
			env.fail("/"+memberDataBase64, "format")
		}
		env.data = data
		return
	}
	text, err := canonical(raw)
	switch {
	case err != nil:
		env.fail(attributePointer(name), "type")
	case string(raw) != "null": // the same as absent
		env.set(name, text)
	}
}

func fromBase64(raw json.RawMessage) (json.RawMessage, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

var errNotAttribute = errors.New("not a string, a boolean or an integer")

// canonical gives the text of an attribute's value, which JSON may hold as a string, a boolean or an integer.
func canonical(raw json.RawMessage) (string, error) {
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return "", err
	}
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	case json.Number:
		n, err := strconv.ParseInt(string(value), 10, 32)
		return strconv.FormatInt(n, 10), err
	}
	return "", errNotAttribute
}

// event gives what the envelope says; it can be used only if no violation has been found.
func (env *envelope) event() Event {
	if len(env.violations) > 0 {
		return Event{} // what could not be read cannot be judged
	}
	a := env.attributes
	for _, name := range []string{attrSpecVersion, attrID, attrSource, attrType, attrTime} {
		if a[name] == "" {
			env.fail("/"+name, "required")
		}
	}
	if a[attrSpecVersion] != "" && a[attrSpecVersion] != specVersion {
		env.fail("/"+attrSpecVersion, "const")
	}
	for name, value := range a {
		env.checkText(name, value)
	}
	e := Event{
		ID: a[attrID], Source: a[attrSource], Type: a[attrType], Subject: a[attrSubject],
		CorrelationID: a[attrCorrelationID], CausationID: a[attrCausationID],
		DataContentType: a[attrDataContentType], DataSchema: a[attrDataSchema], Data: env.data,
	}
	if e.DataContentType == "" {
		e.DataContentType = mediaJSON
	}
	if a[attrTime] != "" {
		var err error
		if e.Time, err = parseMoment(a[attrTime]); err != nil {
			env.fail("/"+attrTime, "format")
		}
	}
	for name, value := range a {
		if known[name] || value == "" {
			continue
		}
		if e.Extensions == nil {
			e.Extensions = map[string]string{}
		}
		e.Extensions[name] = value
	}
	env.checkSpec(e)
	return e
}

// checkText holds a value to what CloudEvents allows in a string.
func (env *envelope) checkText(name, value string) {
	at := attributePointer(name)
	switch {
	case !utf8.ValidString(value):
		env.fail(at, keywordEncoding)
	case len(value) > maxAttribute:
		env.fail(at, "maxLength")
	case strings.ContainsFunc(value, unicode.IsControl):
		env.fail(at, "pattern")
	}
}

// checkSpec holds the event to the CloudEvents specification, as its own SDK understands it.
func (env *envelope) checkSpec(e Event) {
	ctx := event.EventContextV1{ID: e.ID, Type: e.Type, DataContentType: &e.DataContentType}
	if source := types.ParseURIRef(e.Source); source != nil {
		ctx.Source = *source
	}
	if e.Subject != "" {
		ctx.Subject = &e.Subject
	}
	if e.DataSchema != "" {
		if ctx.DataSchema = types.ParseURI(e.DataSchema); ctx.DataSchema == nil {
			env.fail("/"+attrDataSchema, "format")
		}
	}
	for name, value := range e.Extensions {
		// "data" is no attribute, and would be taken for the data in structured mode. The SDK forgives upper case.
		if name == memberData || name != strings.ToLower(name) || ctx.SetExtension(name, value) != nil {
			env.fail("", "propertyNames")
		}
	}
	present := map[string]string{attrID: e.ID, attrSource: e.Source, attrType: e.Type}
	for name := range ctx.Validate() {
		if value, required := present[name]; required && value == "" {
			continue // reported as required
		}
		env.fail(attributePointer(name), "format")
	}
}
