package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"distributor-bridge/internal/replay"
)

type deadCommand struct {
	List deadListCommand `cmd:"" help:"List or count dead letters: events that were given up."`
	Show deadShowCommand `cmd:"" help:"Show one dead letter whole: why, when, where it was read."`
}

type deadListCommand struct {
	reading
	filters
	Field  []string `placeholder:"FIELD" help:"With one of these fields to blame only: a name, or a JSON Pointer as /data/contact/email."`
	Event  []string `placeholder:"ID" help:"Of these events only."`
	Source string   `placeholder:"SOURCE" help:"Of events of this source only."`
	Open   bool     `xor:"state" help:"Open ones only: the default."`
	Closed bool     `xor:"state" help:"Closed ones only."`
	All    bool     `xor:"state" help:"Open and closed ones."`
	By     []string `placeholder:"NAME" help:"Count them, by one or more of reason, class, type, step, field, customer, subject, source, closed."`
	Limit  int      `default:"100" help:"How many to show, the newest; 0: all. JSON shows all."`
}

// Help is what dead list --help says more.
func (deadListCommand) Help() string {
	return `Reads the topic of dead letters, oldest letter first. A letter is closed, so that nobody need look at it any more, if

  newer_letter  the same event died again later: that letter counts
  held_again    the same event is at work, or held, again
  done_since    another event has brought what this one wanted: the order has its investment, the customer its wallet,
                newer data of the same parts was applied

Else, or if it cannot be told, it is open. A conflict is never done_since: only a person can say which of the two is right.

With --by a letter with several fields counts in the group of each. With --json each line is an object of "kind":
  dead_letter  event_id, source, type, customer, subject, emitted_at, reason, class, step, status, fields, attempts,
               first_failed_at, failed_at, closed, replays, version, left_out, letter, read, upstream (these three with
               topic, partition, offset)
  group        by, count, oldest, newest

` + readingHelp + `

Exit codes: 0 shown, be there letters or not; 1 failed or interrupted; 2 wrong use.`
}

// query gives what the flags ask for.
func (c *deadListCommand) query() replay.Query {
	f := c.filter()
	f.Fields, f.IDs, f.Source = c.Field, c.Event, c.Source
	return replay.Query{Filter: f, All: c.All, Closed: c.Closed}
}

// Run lists or counts.
func (c *deadListCommand) Run(ctx context.Context, world surroundings) error {
	if _, err := replay.GroupLetters(nil, c.By); len(c.By) > 0 && err != nil {
		return usageError{fmt.Errorf("--by: %w", err)}
	}
	var letters []replay.Letter
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		letters, err = d.Letters(ctx, c.query())
		return err
	})
	if err != nil {
		return err
	}
	if len(c.By) > 0 {
		list, err := replay.GroupLetters(letters, c.By)
		if err != nil {
			return err
		}
		if len(list) == 0 && !c.JSON {
			return c.none(world)
		}
		return groups(world, c.JSON, c.By, list)
	}
	if c.JSON {
		values := make([]letterLine, len(letters))
		for i := range letters {
			values[i] = letterLineOf(&letters[i])
		}
		return lines(world, values)
	}
	return c.table(world, letters)
}

func (c *deadListCommand) none(world surroundings) error {
	which := "open dead letters"
	if c.All {
		which = "dead letters"
	}
	if c.Closed {
		which = "closed dead letters"
	}
	_, err := fmt.Fprintln(world.stdout, "no "+which)
	return err
}

func (c *deadListCommand) table(world surroundings, letters []replay.Letter) error {
	if len(letters) == 0 {
		return c.none(world)
	}
	shown := letters
	screen := screenOf(world)
	if more := len(letters) - c.Limit; c.Limit > 0 && more > 0 {
		shown = letters[more:]
		fmt.Fprintf(world.stdout, "%s older ones are not shown: --limit 0 shows them, --by reason,type counts them\n\n", quantity(more))
	}
	if err := deadTable(screen, shown); err != nil {
		return err
	}
	_, err := fmt.Fprintf(world.stdout, "\n%s; distributor-bridge dead show EVENT tells all of one\n",
		count(len(letters), "dead letter", "dead letters"))
	return err
}

// deadTable writes a row a letter.
func deadTable(s screen, letters []replay.Letter) error {
	rows := make([][]cell, len(letters))
	for i := range letters {
		l := &letters[i]
		reason := cell{string(l.Reason), red}
		if l.Closed != replay.Open {
			reason.ink = dim
		}
		rows[i] = append(append(plain(minute(l.Failed)), reason), plain(
			l.Type, l.Customer, l.Subject, blame(l), l.Name(), string(l.Closed))...)
	}
	return s.table([]column{
		{title: "FAILED", worth: 2}, {title: "REASON", worth: 2}, {title: "TYPE"}, {title: "CUSTOMER", worth: 1}, {title: "SUBJECT"},
		{title: "WHERE"}, {title: "EVENT", worth: 2}, {title: "CLOSED", worth: 1},
	}, rows)
}

// blame says in short what was refused: step, HTTP status, fields.
func blame(l *replay.Letter) string {
	var parts []string
	if l.Step != "" {
		parts = append(parts, l.Step)
	}
	if l.Status != 0 {
		parts = append(parts, strconv.Itoa(l.Status))
	}
	return strings.Join(append(parts, l.Fields...), " ")
}

// letterLine is a dead letter as JSON, without anything personal.
type letterLine struct {
	Kind        string    `json:"kind"`
	EventID     string    `json:"event_id,omitempty"`
	Source      string    `json:"source,omitempty"`
	Type        string    `json:"type,omitempty"`
	Customer    string    `json:"customer,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	EmittedAt   time.Time `json:"emitted_at,omitzero"`
	Reason      string    `json:"reason"`
	Class       string    `json:"class,omitempty"`
	Step        string    `json:"step,omitempty"`
	Status      int       `json:"status,omitempty"`
	Fields      []string  `json:"fields,omitempty"`
	Attempts    int       `json:"attempts"`
	FirstFailed time.Time `json:"first_failed_at,omitzero"`
	FailedAt    time.Time `json:"failed_at,omitzero"`
	Closed      string    `json:"closed,omitempty"`
	Replays     int       `json:"replays"`
	Version     string    `json:"version,omitempty"`
	LeftOut     string    `json:"left_out,omitempty"`
	Letter      place     `json:"letter"`
	Read        place     `json:"read"`
	Upstream    place     `json:"upstream"`
}

func letterLineOf(l *replay.Letter) letterLine {
	return letterLine{
		Kind: "dead_letter", EventID: l.ID, Source: l.Source, Type: l.Type, Customer: l.Customer, Subject: l.Subject,
		EmittedAt: l.Emitted, Reason: string(l.Reason), Class: string(l.Class), Step: l.Step, Status: l.Status, Fields: l.Fields,
		Attempts: l.Attempts, FirstFailed: l.FirstFailed, FailedAt: l.Failed, Closed: string(l.Closed), Replays: l.Replays,
		Version: l.Version, LeftOut: l.LeftOut, Letter: placeOf(l.Place), Read: placeOf(l.Read), Upstream: placeOf(l.Upstream),
	}
}

type deadShowCommand struct {
	reading
	ID      string `arg:"" help:"ID of the event; of a letter without one, where dead list says it is, as 3@17."`
	Source  string `placeholder:"SOURCE" help:"Source of the event, where several have one of that ID."`
	Payload bool   `help:"Show what is in it: personal data."`
}

// Help is what dead show --help says more.
func (deadShowCommand) Help() string {
	return `Shows the newest dead letter of an event, and when it died before. Of the payload only the names and types of its fields are
shown, and of upstream's own headers only the names, unless --payload is given: it shows personal data.

With --json: the fields of dead list, and headers (key, value or bytes), shape (path, type), earlier (a list of letters),
and with --payload: payload, or payload_base64 if it is no JSON.

` + readingHelp + `

` + foundCodes
}

// Run shows the letter.
func (c *deadShowCommand) Run(ctx context.Context, world surroundings) error {
	var letters []replay.Letter
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		letters, err = d.Letters(ctx, replay.Query{
			Filter: replay.Filter{IDs: []string{c.ID}, Source: c.Source}, All: true, Payload: true,
		})
		return err
	})
	if err != nil {
		return err
	}
	if len(letters) == 0 {
		return notFoundError{fmt.Errorf("no dead letter of an event %q", c.ID)}
	}
	sources := map[string]bool{}
	for _, l := range letters {
		sources[l.Source] = true
	}
	if len(sources) > 1 {
		return usageError{fmt.Errorf("events of %d sources have the ID %q: name one with --source", len(sources), c.ID)}
	}
	last := &letters[len(letters)-1]
	if c.JSON {
		return lines(world, []letterPage{c.page(last, letters[:len(letters)-1])})
	}
	return c.show(screenOf(world), last, letters[:len(letters)-1])
}

// letterPage is all of a dead letter as JSON.
type letterPage struct {
	letterLine
	Headers       []headerLine    `json:"headers"`
	Shape         []fieldLine     `json:"shape"`
	Payload       json.RawMessage `json:"payload,omitempty"`
	PayloadBase64 []byte          `json:"payload_base64,omitempty"`
	Earlier       []letterLine    `json:"earlier"`
}

type headerLine struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"` // absent if it is not shown
	Bytes int     `json:"bytes"`
}

type fieldLine struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

func (c *deadShowCommand) page(l *replay.Letter, earlier []replay.Letter) letterPage {
	p := letterPage{letterLine: letterLineOf(l), Headers: []headerLine{}, Shape: []fieldLine{}, Earlier: []letterLine{}}
	for _, h := range l.Headers {
		line := headerLine{Key: h.Key, Bytes: len(h.Value)}
		if c.Payload || replay.HeaderShown(h.Key) {
			value := string(h.Value)
			line.Value = &value
		}
		p.Headers = append(p.Headers, line)
	}
	fields, isJSON := replay.Shape(l.Value, replay.ContractName, nil)
	for _, f := range fields {
		p.Shape = append(p.Shape, fieldLine{f.Path, f.Type})
	}
	switch {
	case !c.Payload:
	case isJSON:
		p.Payload = l.Value
	default:
		p.PayloadBase64 = l.Value
	}
	for i := range earlier {
		p.Earlier = append(p.Earlier, letterLineOf(&earlier[i]))
	}
	return p
}

func (c *deadShowCommand) show(s screen, l *replay.Letter, earlier []replay.Letter) error {
	fmt.Fprintf(s.out, "%s\n\n", s.paint(bold, clean(cmp.Or(l.Type, "a record")+" "+l.Name())))
	state := cell{"open", red}
	if l.Closed != replay.Open {
		state = cell{"closed: " + closedWords[l.Closed], green}
	}
	status := ""
	if l.Status != 0 {
		status = "HTTP " + strconv.Itoa(l.Status)
	}
	read := ""
	if l.Read != l.Upstream {
		read = l.Read.String()
	}
	err := s.details("", []detail{
		{"state", state.text, state.ink},
		{"why", fmt.Sprintf("%s: %s", l.Reason, replay.Words(l.Reason)), ""},
		{"class", string(l.Class), ""}, {"step", l.Step, ""}, {"answer", status, ""}, {"fields", strings.Join(l.Fields, ", "), ""},
		{"given up", stamp(l.Failed), ""}, {"failed first", stamp(l.FirstFailed), ""}, {"tries", strconv.Itoa(l.Attempts), ""},
		{"replays", strconv.Itoa(l.Replays), ""},
		{"event", l.ID, ""}, {"source", l.Source, ""}, {"type", l.Type, ""}, {"emitted", stamp(l.Emitted), ""},
		{"customer", l.Customer, ""}, {"subject", l.Subject, ""},
		{"upstream", l.Upstream.String(), ""}, {"inbox", read, ""}, {"letter", l.Place.String(), ""},
		{"bridge", l.Version, ""}, {"missing", leftOutWords[l.LeftOut], yellow},
	})
	if err != nil {
		return err
	}
	c.headers(s, l)
	c.payload(s, l)
	if len(earlier) > 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "It died before"))
		return deadTable(s, earlier)
	}
	return nil
}

func (c *deadShowCommand) headers(s screen, l *replay.Letter) {
	var list []detail
	for _, h := range l.Headers {
		value := string(h.Value)
		if !c.Payload && !replay.HeaderShown(h.Key) {
			value = fmt.Sprintf("(%d bytes, hidden)", len(h.Value))
		}
		list = append(list, detail{h.Key, value, ""})
	}
	if len(list) > 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "Headers"))
		_ = s.details("  ", list) // the next line tells of a closed pipe
	}
}

func (c *deadShowCommand) payload(s screen, l *replay.Letter) {
	fields, isJSON := replay.Shape(l.Value, replay.ContractName, nil)
	title := fmt.Sprintf("Payload, %s bytes; --payload shows what is in it", quantity(len(l.Value)))
	if c.Payload {
		title = fmt.Sprintf("Payload, %s bytes", quantity(len(l.Value)))
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, title))
	switch {
	case c.Payload && isJSON:
		fmt.Fprintf(s.out, "%s\n", indented(l.Value))
	case c.Payload && utf8.Valid(l.Value):
		fmt.Fprintf(s.out, "%s\n", clean(string(l.Value)))
	case c.Payload:
		fmt.Fprintf(s.out, "%q\n", l.Value)
	case !isJSON:
		fmt.Fprintln(s.out, "  (no JSON)")
	}
	if !c.Payload {
		for _, f := range fields {
			fmt.Fprintf(s.out, "  %s: %s\n", f.Path, f.Type)
		}
	}
}

var closedWords = map[replay.Closed]string{
	replay.ClosedNewer: "the same event died again later",
	replay.ClosedHeld:  "the same event is at work, or held, again",
	replay.ClosedDone:  "another event has brought what this one wanted",
}

var leftOutWords = map[string]string{
	"left_out":     "the payload: the record was too large for the topic, and lies where it was read",
	"all_left_out": "payload, key and headers: the record was too large for the topic, and lies where it was read",
}

// indented gives JSON for people, in its own order.
func indented(text []byte) string {
	var raw strings.Builder
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(json.RawMessage(text)) != nil {
		return clean(string(text))
	}
	shown := strings.Split(strings.TrimRight(raw.String(), "\n"), "\n")
	for i := range shown {
		shown[i] = clean(shown[i])
	}
	return strings.Join(slices.Clip(shown), "\n")
}

// quantity gives a number with commas between its thousands.
func quantity(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func upper(name string) string { return strings.ToUpper(name) }
