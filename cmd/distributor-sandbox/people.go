package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"distributor-bridge/schemas"
)

// display shows the demo as it goes on. What it is given holds personal data only in events' data, which it never shows.
type display interface {
	opening(s *stage)
	event(ch *chapter)
	call(ch *chapter, c call)
	result(ch *chapter, e schemas.Event, told string)
	dead(ch *chapter, l letter)
	repeated(ch *chapter) // the bridge has met an event again
	summary(s summary)
}

// people is the display for a terminal: lines of at most 80 columns. An error of writing is left to the end of the
// program, as with any pipe that closes.
type people struct {
	out     io.Writer
	style   style
	began   time.Time
	current *chapter
}

func (p *people) line(format string, args ...any) {
	fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *people) opening(s *stage) {
	p.line("%s", p.style.bold("Distributor Bridge: a demo"))
	p.line("")
	p.line("  broker   %s   (in this process)", s.broker.Addrs()[0])
	p.line("  API      %s   (a sandbox)", s.api)
	p.line("  events   go to    %s", strings.Join(upstreamTopics, ", "))
	p.line("  results  come to  %s, %s", s.cfg.Topics.Names().Results, s.cfg.Topics.Names().DeadLetters)
}

func (p *people) event(ch *chapter) {
	p.current = ch
	p.line("")
	p.line("%s  %s", p.style.bold(fmt.Sprintf("%2d", ch.number)), p.style.bold(ch.title))
	p.row(ch, p.style.yellow("event "), fmt.Sprintf("%-27s%-16s", ch.event.Name, ch.about), "to "+ch.topic)
}

func (p *people) call(ch *chapter, c call) {
	if c.shown {
		return
	}
	status := fmt.Sprint(c.Status)
	if c.Status >= 400 || c.Status == 0 {
		status = p.style.red(status)
	}
	p.row(ch, p.style.cyan("call  "), fmt.Sprintf("%-6s%-42s", c.Method, c.path), status)
}

func (p *people) result(ch *chapter, e schemas.Event, told string) {
	p.row(ch, p.style.green("result"), fmt.Sprintf("%-26s", e.Name), told)
}

func (p *people) dead(ch *chapter, l letter) {
	p.row(ch, p.style.red("dead  "), fmt.Sprintf("%-26s", l.reason), strings.TrimPrefix(l.String(), l.reason+" "))
}

func (p *people) repeated(ch *chapter) {
	p.row(ch, p.style.dim("      "), p.style.dim("known already: nothing is called, nothing published"), "")
}

// row shows what happened for an event; what belongs to another one than the current says so.
func (p *people) row(ch *chapter, what, text, more string) {
	of := ""
	if ch != p.current {
		of = p.style.dim(fmt.Sprintf("  (of %d)", ch.number))
	}
	at := p.style.dim(fmt.Sprintf("%6.2f", time.Since(p.began).Seconds()))
	p.line("%s  %s  %s %s%s", at, what, text, more, of)
}

func (p *people) summary(s summary) {
	p.line("")
	p.line("%s", p.style.bold(fmt.Sprintf("%2s  %-21s %-16s %-22s %5s %7s", "#", "event", "about", "outcome", "calls", "results")))
	var calls, results int
	for _, ch := range s.chapters {
		p.line("%2d  %-21s %-16s %s %5d %7d", ch.number, ch.event.Name, ch.about, p.outcome(ch), ch.calls, ch.published)
		calls, results = calls+ch.calls, results+ch.published
	}
	p.line("%s", p.style.dim(fmt.Sprintf("%64s %5d %7d", "", calls, results)))
	p.line("%s", p.style.dim("Calls count every GET; of each kind only an event's first one is shown above."))
	p.line("")
	if len(s.problems) > 0 {
		for _, problem := range s.problems {
			p.line("%s %s", p.style.red("not as expected:"), problem)
		}
		return
	}
	p.line("Audit of the API's ledger: %d effects, each of one event's step, %s.", s.effects, p.style.green("none twice"))
	p.line("All is as expected. It took %.1f s.", s.took.Seconds())
	p.line("")
	p.line("%s  go run ./cmd/distributor-sandbox …", p.style.bold("Try next"))
	for _, try := range [][2]string{
		{"demo --json", "the same for programs"},
		{"up --data sandbox-data", "broker and API that stay, and a bridge.yaml"},
		{"emit --samples", "send these events to them, or to any broker"},
		{"results --dead", "what became of them"},
		{"emit --stream --rate 50", "many customers, many orders"},
		{"api --help", "an API that is slow, limits, fails or loses answers"},
	} {
		p.line("  %-26s %s", try[0], p.style.dim(try[1]))
	}
}

// outcome is what became of the chapter, for people: 22 columns.
func (p *people) outcome(ch *chapter) string {
	text, paint := ch.outcome, p.style.green
	switch {
	case ch.dead != "":
		paint = p.style.red
	case ch.repeat:
		paint = p.style.dim
	}
	return paint(fmt.Sprintf("%-22s", text))
}
