package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type auditCommand struct {
	reading
	Since    moment   `placeholder:"WHEN" help:"Not before: how long ago (2h, 7d), a date, or a time of RFC 3339."`
	Customer []string `placeholder:"ID" help:"About these customers only. This and the next flags can be repeated, or list values with commas."`
	By       []string `placeholder:"NAME" help:"Given by these only."`
	Event    []string `placeholder:"ID" sep:"none" help:"About these events only."`
	Kind     []string `placeholder:"KIND" help:"Only replay, resume, resolve or discard."`
	Limit    int      `default:"100" help:"How many to show, the newest; 0: all. JSON shows all."`
}

// Help is what audit --help says more.
func (auditCommand) Help() string {
	return `Lists what operators wrote into the inbox, oldest first, as far back as the topic reaches: what was put back by dead replay, and
the commands of resume, held resolve and held discard. What became of them: status, dead show, and the bridge's log.

With --json each line is an object of "kind" command: command (replay, resume, resolve, discard), id, at, by, why, type, customer,
subject, event_id, source, follow, step, round, happened, provider_id, partitions, inbox

` + readingHelp + `

Exit codes: 0 shown, be there any or not; 1 failed or interrupted; 2 wrong use.`
}

// auditKinds are the kinds of commands.
var auditKinds = []string{replay.KindReplay, "resume", "resolve", "discard"}

// Run lists them.
func (c *auditCommand) Run(ctx context.Context, world surroundings) error {
	for _, kind := range c.Kind {
		if !slices.Contains(auditKinds, kind) {
			return usageError{fmt.Errorf("--kind: no %q; there are %s", kind, strings.Join(auditKinds, ", "))}
		}
	}
	var list []replay.Command
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		list, err = d.Commands(ctx, replay.CommandQuery{
			Since: c.Since.Time, Customers: c.Customer, By: c.By, Events: c.Event, Kinds: c.Kind,
		})
		return err
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		values := make([]commandLine, len(list))
		for i := range list {
			values[i] = commandLineOf(&list[i])
		}
		return lines(world, values)
	case len(list) == 0:
		_, err := fmt.Fprintln(world.stdout, "no commands")
		return err
	}
	if more := len(list) - c.Limit; c.Limit > 0 && more > 0 {
		fmt.Fprintf(world.stdout, "%s older ones are not shown: --limit 0 shows them\n\n", quantity(more))
		list = list[more:]
	}
	rows := make([][]cell, len(list))
	for i := range list {
		a := &list[i]
		rows[i] = plain(minute(a.At), a.By, a.Kind, commandWords(a), a.Customer, a.EventID, a.Why)
	}
	return screenOf(world).table([]column{
		{title: "GIVEN", worth: 2}, {title: "BY", worth: 1}, {title: "COMMAND", worth: 2}, {title: "WHAT"}, {title: "CUSTOMER", worth: 1},
		{title: "EVENT", worth: 1}, {title: "WHY", worth: 1},
	}, rows)
}

// commandWords says in short what a command is about, and what it says.
func commandWords(a *replay.Command) string {
	switch {
	case a.Kind == replay.KindReplay:
		return a.Type + ", round " + strconv.Itoa(a.Round)
	case a.Happened == "yes":
		return a.Step + " happened"
	case a.Happened == "no":
		return a.Step + " did not happen"
	case a.Subject != "":
		return a.Subject
	}
	return a.Type
}

// commandLine is a command as JSON.
type commandLine struct {
	Kind       string    `json:"kind"`
	Command    string    `json:"command"`
	ID         string    `json:"id,omitempty"`
	At         time.Time `json:"at"`
	By         string    `json:"by,omitempty"`
	Why        string    `json:"why,omitempty"`
	Type       string    `json:"type,omitempty"`
	Customer   string    `json:"customer,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	EventID    string    `json:"event_id,omitempty"`
	Source     string    `json:"source,omitempty"`
	Follow     string    `json:"follow,omitempty"`
	Step       string    `json:"step,omitempty"`
	Round      int       `json:"round,omitempty"`
	Happened   string    `json:"happened,omitempty"`
	ProviderID string    `json:"provider_id,omitempty"`
	Partitions int       `json:"partitions"`
	Inbox      place     `json:"inbox"`
}

func commandLineOf(a *replay.Command) commandLine {
	return commandLine{
		Kind: "command", Command: a.Kind, ID: a.ID, At: a.At, By: a.By, Why: a.Why, Type: a.Type, Customer: a.Customer,
		Subject: a.Subject, EventID: a.EventID, Source: a.Source, Follow: a.Follow, Step: a.Step, Round: a.Round,
		Happened: a.Happened, ProviderID: a.ProviderID, Partitions: a.Partitions, Inbox: placeOf(a.Place),
	}
}
