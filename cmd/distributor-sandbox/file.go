package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// eventFile is a file of events: JSON objects, one after the other, with white space of any kind between them.
type eventFile struct {
	emitter *emitter
	name    string // for people
	file    *os.File
	count   int // -1 if it is not known
}

// openFile opens the file and judges all of its events, so that none is sent where one is invalid. Standard input
// cannot be read twice: its events are judged one by one.
func (e *emitter) openFile(name string) (*eventFile, error) {
	if name == "-" {
		return &eventFile{emitter: e, name: "standard input", file: os.Stdin, count: -1}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	f := &eventFile{emitter: e, name: name, file: file}
	if err := f.judge(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// maxFaults is how many bad events of a file are told.
const maxFaults = 20

// judge counts the events; its error tells all that are bad. The file is then at its beginning again.
func (f *eventFile) judge() error {
	var faults []error
	more := 0
	if err := f.each(
		func(kafka.Record) error { f.count++; return nil },
		func(fault error) error {
			if len(faults) < maxFaults {
				faults = append(faults, fault)
			} else {
				more++
			}
			return nil
		},
	); err != nil {
		return err
	}
	if more > 0 {
		faults = append(faults, fmt.Errorf("and %d more", more))
	}
	if len(faults) > 0 {
		return errors.Join(append(faults, errors.New("nothing was sent"))...)
	}
	_, err := f.file.Seek(0, io.SeekStart)
	return err
}

// close leaves standard input open.
func (f *eventFile) close() {
	if f.file != os.Stdin {
		_ = f.file.Close() // it was only read
	}
}

// send gives the record of each event, up to the first that is bad.
func (f *eventFile) send(yield func(kafka.Record) error) error {
	return f.each(yield, func(fault error) error { return fault })
}

// each gives the record of each event, and the fault of each bad one. Their errors end it. A file without any is an error.
func (f *eventFile) each(yield func(kafka.Record) error, bad func(fault error) error) error {
	in := newFramer(f.file)
	for n := 0; ; n++ {
		raw, line, err := in.next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return fmt.Errorf("%s: there is no event in it", f.name)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, errNotJSON):
			return err
		}
		var r kafka.Record
		if err == nil {
			r, err = f.emitter.fromFile(raw)
		}
		if err != nil {
			err = bad(fmt.Errorf("%s:%d: %w", f.name, line, err))
		} else {
			err = yield(r)
		}
		if err != nil {
			return err
		}
	}
}

// errNotJSON is without the decoder's text: that may quote what it has read.
var errNotJSON = errors.New("not JSON")

// framer cuts a stream into JSON values, and knows in which line each begins.
type framer struct {
	in   io.Reader // what dec reads from
	dec  *json.Decoder
	line int // where dec's input begins, from 1
	seen *lineCount
}

func newFramer(in io.Reader) *framer {
	f := &framer{}
	f.reset(in, 1)
	return f
}

// reset begins anew with what is left of the input.
func (f *framer) reset(in io.Reader, line int) {
	f.seen = &lineCount{in: in}
	f.in, f.line, f.dec = in, line, json.NewDecoder(f.seen)
}

// next gives a value, and the line in which it begins. After errNotJSON the next one begins with the next line that
// begins as an object does; any other error is the end, io.EOF the usual one.
func (f *framer) next() (raw json.RawMessage, line int, err error) {
	before := f.dec.InputOffset()
	err = f.dec.Decode(&raw)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return raw, f.line + f.seen.before(f.dec.InputOffset()-int64(len(raw))), nil
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		line, err = f.skip(f.line + f.seen.before(before))
		return nil, line, err
	}
	return nil, 0, err
}

// skip leaves out the value that is not JSON, from the line after the last good value on.
func (f *framer) skip(line int) (at int, err error) {
	rest := bufio.NewReader(io.MultiReader(f.dec.Buffered(), f.in))
	for at == 0 || err == nil {
		var text []byte
		if first, peek := rest.Peek(1); at > 0 && peek == nil && first[0] == '{' {
			break
		}
		text, err = rest.ReadBytes('\n')
		if at == 0 && len(bytes.TrimSpace(text)) > 0 || err != nil && at == 0 {
			at = line // here the bad value begins
		}
		if err == nil {
			line++
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return at, err
	}
	f.reset(rest, line)
	return at, errNotJSON
}

// lineCount notes where lines end in what is read through it.
type lineCount struct {
	in    io.Reader
	read  int64
	ends  []int64 // offsets of line breaks that are not counted yet
	lines int     // those that are
}

// Read reads on.
func (l *lineCount) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// before counts the line breaks before an offset. Offsets never go back.
func (l *lineCount) before(offset int64) int {
	for len(l.ends) > 0 && l.ends[0] < offset {
		l.ends = l.ends[1:]
		l.lines++
	}
	return l.lines
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
	case errors.Is(err, schemas.ErrUnknownType):
		return kafka.Record{}, e.unknown(event)
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

// unknown is the error of an event whose type the contract does not have.
func (e *emitter) unknown(event schemas.Event) error {
	if event.Name == "" {
		return fmt.Errorf("type %q does not begin with --prefix, %q", event.Type, e.prefix)
	}
	return fmt.Errorf("type %q: after --prefix, %q, want one of %s", event.Type, e.prefix, strings.Join(schemas.EventTypes(), ", "))
}
