package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// eventFile is a file of events: JSON objects, one after the other, with white space of any kind between them.
type eventFile struct {
	emitter *emitter
	file    *os.File
	count   int // -1 if it is not known
}

// openFile opens the file and judges all of its events, so that none is sent where one is invalid. Standard input
// cannot be read twice: its events are judged one by one.
func (e *emitter) openFile(name string) (*eventFile, error) {
	if name == "-" {
		return &eventFile{emitter: e, file: os.Stdin, count: -1}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f := &eventFile{emitter: e, file: file}
	if err := f.each(func(kafka.Record) error { f.count++; return nil }); err != nil {
		f.close()
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// close leaves standard input open.
func (f *eventFile) close() {
	if f.file != os.Stdin {
		_ = f.file.Close() // it was only read
	}
}

// each gives the record of each event.
func (f *eventFile) each(yield func(kafka.Record) error) error {
	dec := json.NewDecoder(f.file)
	for n := 1; ; n++ {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// Without the decoder's text: it may quote what it has read.
			return fmt.Errorf("event %d, before byte %d: not JSON", n, dec.InputOffset())
		}
		r, err := f.emitter.fromFile(raw)
		if err != nil {
			return fmt.Errorf("event %d, before byte %d: %w", n, dec.InputOffset(), err)
		}
		if err := yield(r); err != nil {
			return err
		}
	}
}

// structuredHeaders are those of a CloudEvent in structured mode.
var structuredHeaders = []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}

// fromFile gives the record of an event in structured mode. One that cannot be read is sent as it is, if that is wanted.
func (e *emitter) fromFile(raw json.RawMessage) (kafka.Record, error) {
	event, err := e.contract.Decode(raw, structuredHeaders)
	if err == nil {
		err = e.check(event)
	}
	topic, known := e.routes[event.Name]
	switch {
	case err != nil && !e.unchecked:
		return kafka.Record{}, err
	case !known:
		topic = e.routes[schemas.TypeCustomerVerified] // an unknown type: wherever it goes, the bridge finds it
	}
	if err != nil || e.structured {
		return e.upstream.raw(topic, event.CustomerID, event.ID, raw, structuredHeaders), nil
	}
	return e.upstream.record(topic, event), nil
}
