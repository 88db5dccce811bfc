package schemas

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Event is a CloudEvent 1.0, decoded from or to be encoded into a Kafka record. Source and ID together are its identity.
type Event struct {
	ID              string
	Source          string
	Type            string            // in full, with prefix
	Name            string            // Type without prefix; "" if Type has another prefix
	Subject         string            // upstream's word, told on but never trusted: see Contract.Subject
	Time            time.Time         // UTC; required by us
	CustomerID      string            // out of the data; "" if there is no valid one
	CorrelationID   string            // official extension "correlation"
	CausationID     string            // official extension "correlation"
	TraceParent     string            // W3C; "" if it is not well-formed
	DataContentType string            // application/json if it was not told
	DataSchema      string            // URI, told on
	Data            json.RawMessage   // as it came; shares memory with the record's value
	Extensions      map[string]string // all other extensions in their canonical text; nil if none; not to be changed, events may share it
}

// Header is a header of a Kafka record. It is a name for what internal/kafka calls its Header, so that neither package has to
// know the other, and nobody to copy lists of the one into lists of the other.
type Header = struct {
	Key   string
	Value []byte
}

// Attributes of CloudEvents, as they are named on the wire.
const (
	attrSpecVersion     = "specversion"
	attrID              = "id"
	attrSource          = "source"
	attrType            = "type"
	attrSubject         = "subject"
	attrTime            = "time"
	attrDataContentType = "datacontenttype"
	attrDataSchema      = "dataschema"
	attrCorrelationID   = "correlationid"
	attrCausationID     = "causationid"
	attrTraceParent     = "traceparent"
	memberData          = "data"
	memberDataBase64    = "data_base64"
	memberCustomerID    = "customer_id" // of the data
)

const (
	specVersion         = "1.0"
	headerPrefix        = "ce_"
	headerContentType   = "content-type"
	mediaJSON           = "application/json"
	mediaStructured     = "application/cloudevents+json"
	mediaStructuredUTF8 = mediaStructured + "; charset=UTF-8"
	mediaAnyStructured  = "application/cloudevents"
)

// Attributes with a field of their own, by their place in attributes.
const (
	atSpecVersion = iota
	atID
	atSource
	atType
	atSubject
	atTime
	atDataContentType
	atDataSchema
	atCorrelationID
	atCausationID
	atTraceParent
)

// attributes are those with a field of their own. A violation of another one points at the event, since upstream
// invented its name.
var attributes = [...]string{
	atSpecVersion: attrSpecVersion, atID: attrID, atSource: attrSource, atType: attrType, atSubject: attrSubject,
	atTime: attrTime, atDataContentType: attrDataContentType, atDataSchema: attrDataSchema,
	atCorrelationID: attrCorrelationID, atCausationID: attrCausationID, atTraceParent: attrTraceParent,
}

func attributePointer(name string) string {
	if slices.Contains(attributes[:], name) {
		return "/" + name
	}
	return ""
}

// headers adds what the event has to a Room, a header each, in a fixed order; but its content type.
func (e *Event) headers(r *Room) {
	var moment [len(time.RFC3339Nano)]byte
	add := func(key, value string) {
		if value != "" {
			r.Add(key, value)
		}
	}
	add(headerPrefix+attrSpecVersion, specVersion)
	add(headerPrefix+attrID, e.ID)
	add(headerPrefix+attrSource, e.Source)
	add(headerPrefix+attrType, e.Type)
	add(headerPrefix+attrSubject, e.Subject)
	r.Add(headerPrefix+attrTime, string(e.Time.UTC().AppendFormat(moment[:0], time.RFC3339Nano)))
	add(headerPrefix+attrDataSchema, e.DataSchema)
	add(headerPrefix+attrCorrelationID, e.CorrelationID)
	add(headerPrefix+attrCausationID, e.CausationID)
	add(headerPrefix+attrTraceParent, e.TraceParent)
	names := slices.AppendSeq(make([]string, 0, len(e.Extensions)), maps.Keys(e.Extensions))
	slices.Sort(names)
	for _, name := range names {
		r.Add(headerPrefix+name, e.Extensions[name])
	}
}
