package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"distributor-bridge/internal/replay"
)

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
		{"class", string(l.Class), ""}, {"step", l.Step, ""}, {"follow-up", l.Follow, ""}, {"answer", status, ""},
		{"fields", strings.Join(l.Fields, ", "), ""},
		{"given up", stamp(l.Failed), ""}, {"failed first", stamp(l.FirstFailed), ""}, {"tries", strconv.Itoa(l.Attempts), ""},
		{"replays before", strconv.Itoa(l.Replays), ""},
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
	replay.ClosedNewer:    "the same event died again later",
	replay.ClosedHeld:     "the same event is at work, or held, again",
	replay.ClosedReplayed: "it was put back, and has not been given up again",
	replay.ClosedDone:     "another event has brought what this one wanted",
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
