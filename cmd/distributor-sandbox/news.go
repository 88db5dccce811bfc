package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Kinds of news.
const (
	newsResult = "result"
	newsDead   = "dead_letter"
	newsOther  = "unreadable" // a record of the results topic that is no CloudEvent
)

// news is what a result or a dead letter tells, without its payload. Its JSON is what results --json documents.
type news struct {
	Kind       string    `json:"kind"`
	At         time.Time `json:"at"`
	EventID    string    `json:"event_id"`
	ID         string    `json:"id,omitempty"`
	Source     string    `json:"source,omitempty"`
	Type       string    `json:"type,omitempty"`
	CustomerID string    `json:"customer_id,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Class      string    `json:"class,omitempty"`
	Step       string    `json:"step,omitempty"`
	Status     int       `json:"status,omitempty"`
	Fields     []string  `json:"fields,omitempty"`
	Where      string    `json:"where,omitempty"`
	Topic      string    `json:"topic"`
	Partition  int       `json:"partition"`
	Offset     int64     `json:"offset"`

	name string // the type without prefix, or all of it if it has another one
	told string // step, status and fields of a dead letter
}

// resultOf reads a record of the results topic.
func resultOf(contract *schemas.Contract, r kafka.Record) news {
	n := news{Kind: newsOther, At: r.Time.UTC(), Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	e, err := contract.Decode(r.Value, r.Headers)
	if err != nil {
		return n
	}
	n.Kind, n.At, n.EventID, n.ID = newsResult, e.Time, e.CausationID, e.ID
	n.Type, n.CustomerID, n.Subject, n.Detail = e.Type, e.CustomerID, e.Subject, detail(e)
	if address, ok := strings.CutPrefix(e.Subject, "wallet/"); ok { // whose it is, is nobody's business
		n.Subject = "wallet/" + narrow(address, 13)
	}
	n.name = cmp.Or(e.Name, e.Type)
	return n
}

// deadOf reads the headers of a dead letter, and nothing else of it: its payload may hold anything.
func deadOf(r kafka.Record) news {
	l, h := letterOf(r), headersOf(r)
	n := news{
		Kind: newsDead, At: r.Time.UTC(), EventID: l.eventID, Source: l.source, Type: l.typ, Reason: l.reason, Class: l.class,
		Step: l.step, Status: l.status, Fields: l.fields, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		told: strings.TrimSpace(strings.TrimPrefix(l.String(), l.reason)),
	}
	if at, err := time.Parse(time.RFC3339Nano, h[producer.HeaderFailed]); err == nil {
		n.At = at
	}
	n.Where = place(h, producer.HeaderSourceTopic, producer.HeaderSourcePartition, producer.HeaderSourceOffset)
	if n.Where == "" { // intake's: it was read from upstream
		n.Where = place(h, producer.HeaderTopic, producer.HeaderPartition, producer.HeaderOffset)
	}
	return n
}

// place tells where a record lies by those three headers; "" if there are none.
func place(h map[string]string, topic, partition, offset string) string {
	if h[topic] == "" {
		return ""
	}
	return fmt.Sprintf("%s/%s@%s", h[topic], h[partition], h[offset])
}

// newsShow shows news.
type newsShow interface {
	news(n news)
	summary(results, dead int, withDead bool)
}

// newsLines shows a line each, for people: at most 80 columns. An error of writing is left to the end of the program, as
// with any pipe that closes.
type newsLines struct {
	out   io.Writer
	style style
	day   string
}

// Widths of the columns; the last one takes what is left.
const (
	typeWidth    = 25 // investment.status_changed
	subjectWidth = 17 // order-5001-093012
	statusWidth  = 9  // DELIVERED; longer ones take from the cause …
	statusMost   = 16 // … up to this: investor_missing
	reasonWidth  = 11
	toldWidth    = 22
	whereWidth   = 14
)

func (l *newsLines) news(n news) {
	if day := n.At.UTC().Format(time.DateOnly); day != l.day {
		l.day = day
		fmt.Fprintln(l.out, l.style.dim(day+" (UTC)"))
	}
	fmt.Fprintln(l.out, l.style.dim(n.At.UTC().Format(time.TimeOnly))+" "+strings.TrimRight(l.row(n, columns-9), " "))
}

// row gives the news in width columns.
func (l *newsLines) row(n news, width int) string {
	switch n.Kind {
	case newsOther:
		return l.style.red(fit(fmt.Sprintf("no result, at %s/%d@%d", clean(n.Topic), n.Partition, n.Offset), width))
	case newsDead:
		// dead REASON TOLD EVENT WHERE, with a space between each
		id := width - len("dead") - reasonWidth - toldWidth - whereWidth - 4
		reason := pad(narrow(clean(cmp.Or(n.Reason, "-")), reasonWidth), reasonWidth)
		return l.style.red("dead "+reason) + " " + column(n.told, toldWidth) + " " + column(cmp.Or(n.EventID, "-"), id) + " " +
			narrow(clean(n.Where), whereWidth)
	}
	paint := l.style.green
	if strings.HasPrefix(n.name, "event.") || strings.HasSuffix(n.name, ".failed") {
		paint = l.style.yellow // it did not go on as it was meant to
	}
	_, subject, ok := strings.Cut(n.Subject, "/")
	if !ok {
		subject = n.Subject
	}
	status := pad(narrow(clean(n.Detail), statusMost), statusWidth)
	left := width - typeWidth - subjectWidth - utf8.RuneCountInString(status) - 3
	return paint(column(n.name, typeWidth)) + " " + column(cmp.Or(subject, "-"), subjectWidth) + " " + status + " " +
		narrow(clean(n.EventID), left)
}

// column gives text in exactly width columns.
func column(text string, width int) string { return pad(narrow(clean(text), width), width) }

func (l *newsLines) summary(results, dead int, withDead bool) {
	text := count(results, "result")
	if withDead {
		text += ", " + count(dead, "dead letter")
	} else {
		text += " (--dead shows the dead letters too)"
	}
	if results+dead == 0 {
		text += ": is the bridge running, and were events sent?"
	}
	fmt.Fprintln(l.out, l.style.bold(text))
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// newsJSON shows a line of JSON each, for programs.
type newsJSON struct{ enc *json.Encoder }

func (j newsJSON) news(n news) { _ = j.enc.Encode(n) } // as newsLines: the end of the program

func (j newsJSON) summary(results, dead int, withDead bool) {
	s := struct {
		line
		Results     int  `json:"results"`
		DeadLetters *int `json:"dead_letters,omitempty"`
	}{line: now("summary"), Results: results}
	if withDead {
		s.DeadLetters = &dead
	}
	_ = j.enc.Encode(s)
}
