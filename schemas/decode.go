package schemas

import (
	"encoding/json"
	"mime"
	"strings"
)

// Decode reads the envelope of a Kafka record in binary or structured mode, told apart by the content-type header, and
// the customer ID in its data. It judges the envelope alone: an *InvalidError tells what is wrong there. The data is
// judged by Validate, so that an event of an unknown type can be skipped whatever it holds.
func (c *Contract) Decode(value []byte, headers []Header) (Event, error) {
	env := envelope{words: c.words}
	contentType, twice := env.header(headers, headerContentType)
	media, utf8, err := parseMedia(contentType)
	switch {
	case twice:
		return Event{}, invalid(Violation{"/" + attrDataContentType, keywordUniqueKeys})
	case err == nil && media == mediaStructured && utf8:
		env.readStructured(value)
	case strings.HasPrefix(strings.ToLower(contentType), mediaAnyStructured):
		return Event{}, invalid(Violation{"", "contentMediaType"}) // a batch, Avro, or another charset
	default:
		env.readBinary(value, headers)
		env.told[atDataContentType] = told{contentType, true}
	}
	e := env.event()
	if err := invalid(env.violations...); err != nil {
		return Event{}, err
	}
	// What is well-formed and nearest: the last hop's header before what the event was born with.
	if parent, twice := env.header(headers, attrTraceParent); !twice && isTraceParent(parent) {
		e.TraceParent = parent
	} else if parent := env.told[atTraceParent].text; isTraceParent(parent) {
		e.TraceParent = parent
	}
	if name, ok := strings.CutPrefix(e.Type, c.prefix); ok {
		e.Name = name
	}
	e.CustomerID, _ = customerID(e.Data)
	return e, nil
}

// customerID gives the ID in data, or "", and whether data is compact as member says. Where data names the ID twice this may not be
// the one that is meant; Validate refuses such data.
func customerID(data json.RawMessage) (id string, compact bool) {
	id, compact = member(data, memberCustomerID)
	if !isID(id) {
		id = ""
	}
	return id, compact
}

// parseMedia gives a content type without its parameters, and whether its text is UTF-8. What nearly every event has is
// known beforehand.
func parseMedia(contentType string) (media string, utf8 bool, err error) {
	switch contentType {
	case mediaJSON, mediaStructured:
		return contentType, true, nil
	case mediaStructuredUTF8:
		return mediaStructured, true, nil
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	charset, told := parameters["charset"]
	return media, !told || strings.EqualFold(charset, "utf-8"), err
}
