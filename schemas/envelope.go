package schemas

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// maxAttribute is how long an attribute may be, in bytes: identities are kept in state and told in headers.
const maxAttribute = 1024

// envelope is an event being read: what it says, and what is wrong with it.
type envelope struct {
	words      map[string]string     // texts that come again and again, each by itself
	told       [len(attributes)]told // attributes with a field of their own, by their place in attributes
	extensions map[string]string     // all others; nil if there are none
	data       json.RawMessage
	violations []Violation
}

// told is an attribute of an event being read: one that is absent is not told.
type told struct {
	text string
	is   bool
}

func (env *envelope) fail(pointer, keyword string) {
	env.violations = append(env.violations, Violation{pointer, keyword})
}

// word gives b as a string, which takes no memory for texts that come again and again.
func (env *envelope) word(b []byte) string {
	if word, ok := env.words[string(b)]; ok {
		return word
	}
	return string(b)
}

// header gives the value of a header, in whatever case its key is. The key that is looked for has neither k nor s: of all letters only
// those are the same, but for their case, as one of another length.
func (env *envelope) header(headers []Header, key string) (value string, twice bool) {
	count := 0
	for _, h := range headers {
		if len(h.Key) == len(key) && strings.EqualFold(h.Key, key) {
			value, count = env.word(h.Value), count+1
		}
	}
	return value, count > 1
}

func (env *envelope) set(name, value string) {
	if at := slices.Index(attributes[:], name); at >= 0 {
		if env.told[at].is {
			env.fail("/"+name, keywordUniqueKeys)
		}
		env.told[at] = told{value, true}
		return
	}
	if _, twice := env.extensions[name]; twice {
		env.fail("", keywordUniqueKeys)
	}
	if env.extensions == nil {
		env.extensions = map[string]string{}
	}
	env.extensions[name] = value
}

func (env *envelope) readBinary(value []byte, headers []Header) {
	for _, h := range headers {
		name, ok := strings.CutPrefix(h.Key, headerPrefix)
		switch {
		case !ok, name == attrDataContentType: // which the content-type header tells
		case name == attrSpecVersion, name == attrType:
			env.set(name, env.word(h.Value))
		default:
			env.set(name, string(h.Value))
		}
	}
	if len(value) > 0 {
		env.data = value
	}
}

func (env *envelope) readStructured(value []byte) {
	s := scanner{text: value}
	s.skip()
	if s.end(); s.err != nil || !utf8.Valid(value) || loneSurrogate(value) {
		env.fail("", cmp.Or(checkText(value), keywordJSON))
		return
	}
	s = scanner{text: value}
	if s.next() != '{' {
		env.fail("", "type")
		return
	}
	seen := make(map[string]bool, usualHeaders)
	for s.enter(); s.more('}'); {
		name, raw := unquote(s.key()), s.skip()
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
	if raw[0] == '"' {
		return unquote(raw), nil
	}
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return "", err
	}
	switch value := value.(type) {
	case nil:
		return "", nil
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
	for _, at := range []int{atSpecVersion, atID, atSource, atType, atTime} {
		if env.told[at].text == "" {
			env.fail("/"+attributes[at], "required")
		}
	}
	for at, told := range env.told {
		if keyword := checkValue(told.text); keyword != "" {
			env.fail("/"+attributes[at], keyword)
		}
	}
	for name, value := range env.extensions {
		if keyword := checkValue(value); keyword != "" {
			env.fail("", keyword)
		}
		if value == "" {
			delete(env.extensions, name)
		}
	}
	if version := env.told[atSpecVersion].text; version != "" && version != specVersion {
		env.fail("/"+attrSpecVersion, "const")
	}
	a := &env.told
	e := Event{
		ID: a[atID].text, Source: a[atSource].text, Type: a[atType].text, Subject: a[atSubject].text,
		CorrelationID: a[atCorrelationID].text, CausationID: a[atCausationID].text,
		DataContentType: a[atDataContentType].text, DataSchema: a[atDataSchema].text, Data: env.data,
	}
	if e.DataContentType == "" {
		e.DataContentType = mediaJSON
	}
	if moment := a[atTime].text; moment != "" {
		var err error
		if e.Time, err = parseMoment(moment); err != nil {
			env.fail("/"+attrTime, "format")
		}
	}
	if len(env.extensions) > 0 {
		e.Extensions = env.extensions
	}
	if !isPlain(e) {
		env.checkSpec(e)
	}
	return e
}

// checkValue gives the keyword that an attribute's value breaks of what CloudEvents allows in a string, or "".
func checkValue(value string) string {
	switch {
	case len(value) <= maxAttribute && isPrintable(value): // as nearly all are
		return ""
	case !utf8.ValidString(value):
		return keywordEncoding
	case len(value) > maxAttribute:
		return "maxLength"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "pattern"
	}
	return ""
}

// isPlain tells whether an event's envelope is of the kind that checkSpec finds nothing in. Nearly all are, and the SDK
// takes longer than all the rest of Decode.
func isPlain(e Event) bool {
	return isID(e.ID) && isID(e.Type) && isPlainPath(e.Source) && e.DataContentType == mediaJSON &&
		(e.Subject == "" || isPlainPath(e.Subject)) && e.DataSchema == "" && len(e.Extensions) == 0
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
