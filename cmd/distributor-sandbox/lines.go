package main

import (
	"encoding/json"
	"io"
	"time"

	"distributor-bridge/schemas"
)

// lines is the display for programs: a line of JSON each. Its fields are stable, and documented in the command's help.
type lines struct{ enc *json.Encoder }

func newLines(out io.Writer) *lines {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &lines{enc}
}

// line is what all lines have.
type line struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
}

func now(kind string) line { return line{kind, time.Now().UTC()} }

// write leaves an error of writing to the end of the program, as with any pipe that closes.
func (l *lines) write(v any) { _ = l.enc.Encode(v) }

func (l *lines) opening(*stage) {}

func (l *lines) repeated(*chapter) {} // nothing is called or published: the summary tells

func (l *lines) event(ch *chapter) {
	e := ch.event
	l.write(struct {
		line
		N          int    `json:"n"`
		Title      string `json:"title"`
		EventID    string `json:"event_id"`
		Source     string `json:"source"`
		Type       string `json:"type"`
		CustomerID string `json:"customer_id"`
		Topic      string `json:"topic"`
	}{now("event"), ch.number, ch.title, e.ID, e.Source, e.Type, e.CustomerID, ch.topic})
}

func (l *lines) call(ch *chapter, c call) {
	l.write(struct {
		line
		EventID   string  `json:"event_id"`
		Step      string  `json:"step,omitempty"`
		Operation string  `json:"operation"`
		Method    string  `json:"method"`
		Path      string  `json:"path"`
		Status    int     `json:"status"`
		Key       string  `json:"key,omitempty"`
		Applied   bool    `json:"applied"`
		Replayed  bool    `json:"replayed"`
		TookMS    float64 `json:"took_ms"`
	}{
		line{"call", c.Time.UTC()}, ch.event.ID, c.step, c.Operation, c.Method, c.Path, c.Status, c.Key, c.Applied, c.Replayed,
		ms(c.Took),
	})
}

func (l *lines) result(ch *chapter, e schemas.Event, told string) {
	l.write(struct {
		line
		EventID    string `json:"event_id"`
		ID         string `json:"id"`
		Type       string `json:"type"`
		CustomerID string `json:"customer_id"`
		Detail     string `json:"detail,omitempty"`
	}{now("result"), ch.event.ID, e.ID, e.Type, e.CustomerID, told})
}

func (l *lines) dead(_ *chapter, d letter) {
	l.write(struct {
		line
		EventID string   `json:"event_id"`
		Source  string   `json:"source"`
		Type    string   `json:"type"`
		Reason  string   `json:"reason"`
		Class   string   `json:"class,omitempty"`
		Step    string   `json:"step,omitempty"`
		Status  int      `json:"status,omitempty"`
		Fields  []string `json:"fields,omitempty"`
	}{now("dead_letter"), d.eventID, d.source, d.typ, d.reason, d.class, d.step, d.status, d.fields})
}

func (l *lines) summary(s summary) {
	type event struct {
		N       int    `json:"n"`
		EventID string `json:"event_id"`
		Type    string `json:"type"`
		Outcome string `json:"outcome"`
		Calls   int    `json:"calls"`
		Results int    `json:"results"`
	}
	events := make([]event, 0, len(s.chapters))
	for _, ch := range s.chapters {
		events = append(events, event{ch.number, ch.event.ID, ch.event.Type, ch.outcome, ch.calls, ch.published})
	}
	l.write(struct {
		line
		OK       bool     `json:"ok"`
		Events   []event  `json:"events"`
		Effects  int      `json:"effects"`
		Doubled  int      `json:"doubled"`
		Problems []string `json:"problems"`
		TookMS   float64  `json:"took_ms"`
	}{now("summary"), len(s.problems) == 0, events, s.effects, s.doubled, append([]string{}, s.problems...), ms(s.took)})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
