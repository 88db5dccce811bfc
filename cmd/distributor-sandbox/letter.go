package main

import (
	"slices"
	"strconv"
	"strings"

	"distributor-bridge/internal/kafka"
)

// takeDead notes a dead letter.
func (d *demo) takeDead(r kafka.Record) {
	l := letterOf(r)
	ch := d.byID[l.eventID]
	if ch == nil {
		d.problem("a dead letter in %s: %v", r.TopicPartition(), errNoEvent)
		return
	}
	ch.letter = l.String()
	if ch.letter != ch.dead {
		d.problem("%s: dead letter %q, expected %q", ch.event.ID, ch.letter, ch.dead)
	}
	d.show.dead(ch, l)
}

// letter is what a dead letter's headers tell.
type letter struct {
	eventID, source, typ string
	reason, class, step  string
	status               int
	fields               []string
}

// headersOf are a record's headers by key; of a key that comes twice, the last.
func headersOf(r kafka.Record) map[string]string {
	h := map[string]string{}
	for _, header := range r.Headers {
		h[header.Key] = string(header.Value)
	}
	return h
}

func letterOf(r kafka.Record) letter {
	h := headersOf(r)
	l := letter{
		eventID: h["dlq_event_id"], source: h["dlq_event_source"], typ: h["dlq_event_type"],
		reason: h["dlq_reason"], class: h["dlq_class"], step: h["dlq_step"],
	}
	l.status, _ = strconv.Atoi(h["dlq_status"]) // 0: there was no answer
	if h["dlq_fields"] != "" {
		l.fields = strings.Split(h["dlq_fields"], ",")
	}
	return l
}

// String is as expect.dead tells it.
func (l letter) String() string {
	parts := []string{l.reason, l.step}
	if l.status != 0 {
		parts = append(parts, strconv.Itoa(l.status))
	}
	return strings.Join(slices.DeleteFunc(append(parts, l.fields...), func(p string) bool { return p == "" }), " ")
}
