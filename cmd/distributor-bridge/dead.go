package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type deadCommand struct {
	List   deadListCommand   `cmd:"" help:"List or count dead letters: events that were given up."`
	Show   deadShowCommand   `cmd:"" help:"Show one dead letter whole: why, when, where it was read."`
	Replay deadReplayCommand `cmd:"" help:"Put dead letters back into the inbox, mended if need be; without --yes only tell what would happen."`
}

type deadListCommand struct {
	reading
	filters
	letterFilters
	Open   bool     `xor:"state" help:"Open ones only: the default."`
	Closed bool     `xor:"state" help:"Closed ones only."`
	All    bool     `xor:"state" help:"Open and closed ones."`
	By     []string `placeholder:"NAME" help:"Count them, by one or more of reason, class, type, step, field, customer, subject, source, closed."`
	Limit  int      `default:"100" help:"How many to show, the newest; 0: all. JSON shows all."`
}

// letterFilters are the flags that choose letters beyond those of filters.
type letterFilters struct {
	Field  []string `placeholder:"FIELD" help:"With one of these fields to blame only: a name, or a JSON Pointer as /data/contact/email."`
	Event  []string `placeholder:"ID" sep:"none" help:"Of these events only."`
	Source string   `placeholder:"SOURCE" help:"Of events of this source only."`
}

func (l letterFilters) letters(f replay.Filter) replay.Filter {
	f.Fields, f.IDs, f.Source = l.Field, l.Event, l.Source
	return f
}

// Help is what dead list --help says more.
func (deadListCommand) Help() string {
	return `Reads the topic of dead letters, oldest letter first. A letter is closed, so that nobody need look at it any more, if

  newer_letter  the same event died again later: that letter counts
  held_again    the same event is at work, or held, again
  replayed      it was put back, and has not been given up again
  done_since    another event has brought what this one wanted: the order
                has its investment, the customer its wallet, newer data
                of the same parts was applied

Else, or if it cannot be told, it is open. A conflict is never done_since: only a person can say which of the two is right.

With --by a letter with several fields counts in the group of each. With --json each line is an object of "kind":
  dead_letter  event_id, source, type, customer, subject, emitted_at, reason,
               class, step, follow, status, fields, attempts, first_failed_at,
               failed_at, closed, replays, version, left_out; letter, read,
               upstream (with topic, partition, offset)
  group        by, count, oldest, newest

` + readingHelp + `

Exit codes: 0 shown, be there letters or not; 1 failed or interrupted; 2 wrong use.`
}

// query gives what the flags ask for.
func (c *deadListCommand) query() replay.Query {
	return replay.Query{Filter: c.letters(c.filter()), All: c.All, Closed: c.Closed}
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
	Follow      string    `json:"follow,omitempty"`
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
		EmittedAt: l.Emitted, Reason: string(l.Reason), Class: string(l.Class), Step: l.Step, Follow: l.Follow, Status: l.Status,
		Fields:   l.Fields,
		Attempts: l.Attempts, FirstFailed: l.FirstFailed, FailedAt: l.Failed, Closed: string(l.Closed), Replays: l.Replays,
		Version: l.Version, LeftOut: l.LeftOut, Letter: placeOf(l.Place), Read: placeOf(l.Read), Upstream: placeOf(l.Upstream),
	}
}
