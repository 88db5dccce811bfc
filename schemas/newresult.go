package schemas

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // see ResultID
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// DefaultSource is the CloudEvents source of results, unless configured otherwise.
const DefaultSource = "distributor-bridge"

// resultSpace is the namespace of results' IDs. It is part of the contract: another one would make a repeat of a result
// look like a new one.
var resultSpace = uuid.MustParse("5b0f9f0e-4a3c-5d52-9a83-6f1f1c1d7f57")

// ResultID gives a result's ID: the UUIDv5, in the project's namespace, of what caused it and what it reports. The type
// is its name without prefix. The key tells apart results of one type with one cause, as the status of an
// investment.status_changed; "" where there is only one. Each part is preceded by its length, so that no two different
// inputs are the same text.
func ResultID(causeSource, causeID, resultType, key string) string {
	parts := [...]string{causeSource, causeID, resultType, key}
	b := append(make([]byte, 0, 1<<10), resultSpace[:]...) // which stays on the stack, as a rule
	for _, part := range parts {
		b = strconv.AppendInt(b, int64(len(part)), 10)
		b = append(b, ':')
		b = append(b, part...)
	}
	sum := sha1.Sum(b) //nolint:gosec // UUIDv5 is made of it; nobody's safety hangs on it
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, and the variant of RFC 9562
	return id.String()
}

// AttrCausationSource is an extension of ours: the source of the event that caused a result. Together with causationid it is
// that event's identity; IDs alone are unique within a source only.
const AttrCausationSource = "causationsource"

// Cause is the event that a result comes from, as far as the result tells it.
type Cause struct {
	Source        string
	ID            string
	CorrelationID string // "" if the event had none: its ID begins the correlation
	TraceParent   string // "" or W3C
}

// Cause gives the event as the cause of a result.
func (e Event) Cause() Cause {
	return Cause{Source: e.Source, ID: e.ID, CorrelationID: e.CorrelationID, TraceParent: e.TraceParent}
}

// Result is what NewResult builds a result event from.
type Result struct {
	Name    string    // one of ResultTypes
	Source  string    // "": DefaultSource
	Subject string    // within the customer, as of Contract.Subject
	Key     string    // see ResultID
	Time    time.Time // when the outcome was recorded
	Cause   Cause
	Data    any // the Go type of Name, or its JSON as a json.RawMessage
}

// NewResult builds a result. The same input gives the same event, and so the same bytes. Its CloudEvents subject is that
// of the input, but a customer's is told with the ID, as customer/42.
//
// An error is a mistake of the caller: data of another type than the name's, or no time, subject or cause. The schema is
// not asked, since a status that the provider has invented must not hold back the news of it; ValidateResult is for tests.
func (c *Contract) NewResult(r Result) (Event, error) {
	want, ok := dataTypes[resultSchema(r.Name)]
	_, encoded := r.Data.(json.RawMessage)
	if !ok || !encoded && reflect.TypeOf(r.Data) != want {
		return Event{}, fmt.Errorf("build result %q: %T is not its data", r.Name, r.Data)
	}
	if r.Time.IsZero() || r.Cause.ID == "" || r.Cause.Source == "" || r.Subject == "" {
		return Event{}, fmt.Errorf("build result %s: %w", r.Name, errIncomplete)
	}
	data, customer, err := marshal(r.Data)
	if err != nil {
		return Event{}, fmt.Errorf("build result %s: %w", r.Name, err)
	}
	e := Event{
		ID:              ResultID(r.Cause.Source, r.Cause.ID, r.Name, r.Key),
		Source:          r.Source,
		Type:            c.FullType(r.Name),
		Name:            r.Name,
		Subject:         r.Subject,
		Time:            r.Time.UTC(),
		CustomerID:      customer,
		CorrelationID:   r.Cause.CorrelationID,
		CausationID:     r.Cause.ID,
		TraceParent:     r.Cause.TraceParent,
		DataContentType: mediaJSON,
		Data:            data,
		Extensions:      causedBy(r.Cause.Source),
	}
	if e.Source == "" {
		e.Source = DefaultSource
	}
	if e.CorrelationID == "" {
		e.CorrelationID = r.Cause.ID
	}
	if e.Subject == SubjectCustomer {
		e.Subject += "/" + e.CustomerID
	}
	return e, nil
}

// lastCausedBy is what causedBy has given last.
var lastCausedBy atomic.Pointer[map[string]string]

// causedBy gives the extensions of a result. Results that follow each other share them, as a rule: there are many events of a source.
func causedBy(source string) map[string]string {
	if last := lastCausedBy.Load(); last != nil && (*last)[AttrCausationSource] == source {
		return *last
	}
	extensions := map[string]string{AttrCausationSource: source}
	lastCausedBy.Store(&extensions)
	return extensions
}

var errIncomplete = errors.New("time, subject and cause are required")

// marshal gives JSON in which &, < and > stand as they are, without white space, and the customer ID in it. What is JSON like that
// already, as state keeps it, is given itself.
func marshal(data any) (raw json.RawMessage, customer string, err error) {
	if raw, ok := data.(json.RawMessage); ok {
		if customer, compact := customerID(raw); compact {
			return raw, customer, nil
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, "", fmt.Errorf("marshal data: %w", err)
	}
	raw = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	customer, _ = customerID(raw)
	return raw, customer, nil
}
