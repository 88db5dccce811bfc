// Package producer writes what the bridge tells: results and dead letters. A call returns, or says so (Begin), once all is
// acknowledged by Kafka, and repeats lost answers by itself: what it has returned for is durable and stands in the topic once.
// Called again with the same input (after a crash) it writes the same bytes again.
//
// It knows what a result and a dead letter look like, not when one is due.
package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/trace"
	"distributor-bridge/schemas"
)

// Config says where to write. All fields are required.
type Config struct {
	Kafka       *kafka.Producer
	Contract    *schemas.Contract
	Results     string        // topic of results
	DeadLetters string        // topic of dead letters
	Partitions  int           // of both topics
	Source      string        // CloudEvents source of results
	Version     string        // of this service, for dead letters
	Trace       *trace.Tracer // makes spans of what is written, below the context's; nil: none
}

// Producer writes results and dead letters. Safe for concurrent use.
type Producer struct{ cfg Config }

// New starts nothing.
func New(cfg Config) *Producer { return &Producer{cfg: cfg} }

// Results writes results of one customer, in their order. Their data is the Go type of its name, or its JSON.
func (p *Producer) Results(ctx context.Context, customer string, results ...schemas.Result) error {
	if len(results) == 0 {
		return nil
	}
	told := make(chan error, 1)
	if err := p.Begin(ctx, customer, func(err error) { told <- err }, results...); err != nil {
		return err
	}
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish results: %w", context.Cause(ctx))
	}
}

// Begin is Results, of one at least, and does not wait: told is called once with what Results would return, unless Begin returns an
// error. It must not wait, nor write by this Producer. After the end of ctx it may take as long as the brokers are away, or until
// Config.Kafka is closed.
func (p *Producer) Begin(ctx context.Context, customer string, told func(error), results ...schemas.Result) error {
	room := rooms.Get().(*room)
	key := room.headers.Bytes(customer)
	for _, r := range results {
		r.Source = p.cfg.Source
		event, err := p.cfg.Contract.NewResult(r)
		if err != nil {
			return err
		}
		room.headers.Binary(&event)
		if event.TraceParent != "" {
			room.headers.Add(HeaderTraceParent, event.TraceParent)
		}
		room.records = append(room.records, kafka.Record{
			Topic: p.cfg.Results, Partition: kafka.Partition(key, p.cfg.Partitions),
			Key: key, Value: event.Data, Headers: room.headers.Headers(),
		})
	}
	if room.ended == nil {
		room.ended = room.end
	}
	room.span, room.told = p.cfg.Trace.Send(ctx, p.cfg.Results, len(room.records)), told
	if err := p.cfg.Kafka.Begin(ctx, room.ended, room.records...); err != nil {
		room.span.Fail(notWritten)
		room.span.End()
		return fmt.Errorf("publish results: %w", err)
	}
	return nil
}

// room is memory for results that are written, of which nobody needs anything once they are acknowledged.
type room struct {
	headers schemas.Room
	records []kafka.Record
	span    trace.Span
	told    func(error)
	ended   func(error) // end, as it is handed out; nil until it is
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// end is called when the results are written, or it is known that nobody will say so.
func (r *room) end(err error) {
	told := r.told
	if err != nil {
		r.span.Fail(notWritten)
		err = fmt.Errorf("publish results: %w", err)
	}
	r.span.End()
	if err == nil {
		r.leave() // else Kafka's client may keep what is in it
	}
	told(err)
}

// roomKept is the most records of a room that is kept for others; an event has a few results.
const roomKept = 64

// leave gives the room back.
func (r *room) leave() {
	if cap(r.records) > roomKept {
		return
	}
	r.headers.Clear()
	clear(r.records)
	r.records, r.span, r.told = r.records[:0], trace.Span{}, nil
	rooms.Put(r)
}

// Letter is a dead letter: a record as it was read, and why it was given up.
type Letter struct {
	Record      kafka.Record // upstream's, or the inbox's
	Event       schemas.Event
	Reason      outcome.Reason
	Class       outcome.Class
	Step        string
	Follow      string    // the follow-up that was given up; empty: the event itself
	Status      int       // HTTP status; 0 if there was none
	Fields      []string  // names of fields or JSON Pointers with keyword, never values
	Attempts    int       // how often it was tried
	FirstFailed time.Time // when it failed first
	Failed      time.Time // when it was given up
}

// Header keys of a dead letter, besides those of the record itself, which stay untouched. All values are text.
const (
	HeaderReason      = "dlq_reason"
	HeaderClass       = "dlq_class"
	HeaderStep        = "dlq_step"
	HeaderStatus      = "dlq_status"
	HeaderFields      = "dlq_fields"
	HeaderAttempts    = "dlq_attempts"
	HeaderFirstFailed = "dlq_first_failed_at"
	HeaderFailed      = "dlq_failed_at"
	HeaderTopic       = "dlq_topic"     // where the record was read
	HeaderPartition   = "dlq_partition" // …
	HeaderOffset      = "dlq_offset"    // …
	HeaderEventID     = "dlq_event_id"
	HeaderEventSource = "dlq_event_source"
	HeaderEventType   = "dlq_event_type"
	HeaderPayload     = "dlq_payload"   // what is missing, since the record was too large for the topic: PayloadLeftOut, AllLeftOut
	HeaderFollow      = "dlq_follow_up" // what was given up is this follow-up, not the event itself
	HeaderReplays     = "dlq_replays"   // how often it was replayed; in the inbox: which replay it is
	HeaderVersion     = "dlq_version"   // of the service

	prefix = "dlq_"
)

// Values of HeaderPayload. The record itself still lies where dlq_topic, dlq_partition and dlq_offset say.
const (
	PayloadLeftOut = "left_out"     // the value
	AllLeftOut     = "all_left_out" // value, key and original headers: without the value it was still too large
)

// Headers of an inbox record that tell where upstream's record was.
const (
	HeaderSourceTopic     = "source_topic"
	HeaderSourcePartition = "source_partition"
	HeaderSourceOffset    = "source_offset"
)

// HeaderTraceParent is where tracing tools look for a record's trace. In results it is what the event's inbox record says, so that a
// result has the same bytes each time it is published.
const HeaderTraceParent = "traceparent"

// notWritten is the kind of error of a span.
const notWritten = "not_written"

// Dead writes a dead letter. One that the topic does not take for its size is written without its payload, and if need be
// without key and original headers: one that cannot be written would hold back all that comes after it.
func (p *Producer) Dead(ctx context.Context, l Letter) error {
	record := p.letter(l)
	span := p.cfg.Trace.Send(ctx, p.cfg.DeadLetters, 1)
	defer span.End()
	_, err := p.cfg.Kafka.Produce(ctx, record)
	if errors.Is(err, kafka.ErrTooLarge) {
		record.Value = nil
		record.Headers = append(record.Headers, kafka.Header{Key: HeaderPayload, Value: []byte(PayloadLeftOut)})
		_, err = p.cfg.Kafka.Produce(ctx, record)
	}
	if errors.Is(err, kafka.ErrTooLarge) {
		record.Key = nil
		record.Headers = slices.DeleteFunc(record.Headers, func(h kafka.Header) bool {
			return !strings.HasPrefix(h.Key, prefix) || h.Key == HeaderPayload
		})
		record.Headers = append(record.Headers, kafka.Header{Key: HeaderPayload, Value: []byte(AllLeftOut)})
		_, err = p.cfg.Kafka.Produce(ctx, record)
	}
	if err != nil {
		span.Fail(notWritten)
		return fmt.Errorf("write dead letter: %w", err)
	}
	return nil
}

func (p *Producer) letter(l Letter) kafka.Record {
	record := kafka.Record{Topic: p.cfg.DeadLetters, Key: l.Record.Key, Value: l.Record.Value}
	record.Partition = int(l.Record.Offset) % p.cfg.Partitions
	if l.Record.Key != nil {
		record.Partition = kafka.Partition(l.Record.Key, p.cfg.Partitions)
	}
	replays, traced := "0", l.Event.TraceParent == ""
	for _, h := range l.Record.Headers {
		traced = traced || h.Key == HeaderTraceParent
		if h.Key == HeaderReplays {
			replays = string(h.Value)
		}
		if !strings.HasPrefix(h.Key, prefix) { // those of an earlier death would contradict
			record.Headers = append(record.Headers, h)
		}
	}
	add := func(key, value string) {
		if value != "" {
			record.Headers = append(record.Headers, kafka.Header{Key: key, Value: []byte(value)})
		}
	}
	if !traced { // it is in the payload, or only in state
		add(HeaderTraceParent, l.Event.TraceParent)
	}
	add(HeaderReason, string(l.Reason))
	add(HeaderClass, string(l.Class))
	add(HeaderStep, l.Step)
	follow, _, _ := strings.Cut(l.Follow, "/") // a wallet's goes on with its address
	add(HeaderFollow, follow)
	if l.Status != 0 {
		add(HeaderStatus, strconv.Itoa(l.Status))
	}
	add(HeaderFields, strings.Join(l.Fields, ","))
	add(HeaderAttempts, strconv.Itoa(l.Attempts))
	add(HeaderFirstFailed, l.FirstFailed.UTC().Format(time.RFC3339Nano))
	add(HeaderFailed, l.Failed.UTC().Format(time.RFC3339Nano))
	add(HeaderTopic, l.Record.Topic)
	add(HeaderPartition, strconv.Itoa(l.Record.Partition))
	add(HeaderOffset, strconv.FormatInt(l.Record.Offset, 10))
	add(HeaderEventID, l.Event.ID)
	add(HeaderEventSource, l.Event.Source)
	add(HeaderEventType, l.Event.Type)
	add(HeaderReplays, replays)
	add(HeaderVersion, p.cfg.Version)
	return record
}
