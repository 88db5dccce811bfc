package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"
)

// terminal writes the log for people. An event's line is what became of it, so that the eye runs down one column:
//
//	21:02:16.313 WRN rejected position.redeemed     redemption-7001: refused, 2ms customer=c-1001 status=400 step=redemption
//
// What only programs need is in JSON alone: offsets, sources, trace IDs.
func terminal(out io.Writer) io.Writer {
	return zerolog.ConsoleWriter{Out: out, TimeFormat: "15:04:05.000", NoColor: !isTerminal(out), FormatPrepare: readable}
}

// forPrograms are fields of an event's line that people are not shown.
var forPrograms = []string{
	"stage", "event_id", "event_source", "event_type", "offset", "outcome", "reason", "follow_up", "repeated", "superseded", "behind",
	"took_ms", "trace_id", "span_id",
}

// readable rewrites the fields of a line.
func readable(line map[string]any) error {
	text := func(key string) string {
		s, _ := line[key].(string)
		return s
	}
	if text("event_id") != "" && text("outcome") != "" {
		line[zerolog.MessageFieldName] = story(text, line["took_ms"])
		for _, key := range forPrograms {
			delete(line, key)
		}
		if line["tries"] == json.Number("0") {
			delete(line, "tries")
		}
	}
	for key, value := range line {
		if short, is := strings.CutSuffix(key, "_ms"); is {
			delete(line, key)
			line[short] = took(value)
		}
	}
	return nil
}

// story tells what became of an event.
func story(text func(key string) string, ms any) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%-8s %-21s %s", text("outcome"), printable(text("event_type")), printable(text("event_id")))
	if follow := text("follow_up"); follow != "" {
		fmt.Fprintf(&s, " %s", follow)
	}
	switch message := text(zerolog.MessageFieldName); {
	case text("reason") != "":
		fmt.Fprintf(&s, ": %s", text("reason"))
	case message != "event" && message != "follow-up": // "known already"
		fmt.Fprintf(&s, ": %s", message)
	}
	fmt.Fprintf(&s, ", %s", took(ms))
	return s.String()
}

// printable quotes what upstream has named so that a terminal would do more than show it.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// took gives milliseconds as people write them.
func took(ms any) string {
	n, is := ms.(json.Number)
	f, err := n.Float64()
	if !is || err != nil {
		return fmt.Sprint(ms)
	}
	d := time.Duration(f * float64(time.Millisecond))
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
