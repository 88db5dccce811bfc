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
	Extensions      map[string]string // all other extensions in their canonical text; nil if none
}

// Header is a header of a Kafka record.
type Header struct {
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
)

const (
	specVersion        = "1.0"
	headerPrefix       = "ce_"
	headerContentType  = "content-type"
	mediaJSON          = "application/json"
	mediaStructured    = "application/cloudevents+json"
	mediaAnyStructured = "application/cloudevents"
)

// known are the attributes with a field of their own. A violation of another one points at the event, since upstream
// invented its name.
var known = map[string]bool{
	attrSpecVersion: true, attrID: true, attrSource: true, attrType: true, attrSubject: true, attrTime: true,
	attrDataContentType: true, attrDataSchema: true, attrCorrelationID: true, attrCausationID: true, attrTraceParent: true,
}

func attributePointer(name string) string {
	if known[name] {
		return "/" + name
	}
	return ""
}

type attribute struct{ name, value string }

// attributes lists what the event has, in a fixed order, but its content type.
func (e Event) attributes() []attribute {
	all := []attribute{
		{attrSpecVersion, specVersion},
		{attrID, e.ID},
		{attrSource, e.Source},
		{attrType, e.Type},
		{attrSubject, e.Subject},
		{attrTime, e.Time.UTC().Format(time.RFC3339Nano)},
		{attrDataSchema, e.DataSchema},
		{attrCorrelationID, e.CorrelationID},
		{attrCausationID, e.CausationID},
		{attrTraceParent, e.TraceParent},
	}
	all = slices.DeleteFunc(all, func(a attribute) bool { return a.value == "" })
	for _, name := range slices.Sorted(maps.Keys(e.Extensions)) {
		all = append(all, attribute{name, e.Extensions[name]})
	}
	return all
}
