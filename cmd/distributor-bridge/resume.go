package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

// readLimit is how long brokers may take where all of state is read.
const readLimit = 10 * time.Minute

type resumeCommand struct {
	configured
	ordered
	Type string `arg:"" help:"Event type, as order.paid."`
	JSON bool   `name:"json" help:"As one line of JSON."`
}

// ordered is embedded in commands that stand in the inbox.
type ordered struct {
	Why string `required:"" placeholder:"TEXT" help:"What was mended, or why it may go on. It stays in the inbox, so no personal data."`
	By  string `placeholder:"NAME" help:"Who says so. Default: the name of the user."`
}

// who gives who gives a command, and why.
func (o ordered) who(world surroundings) (replay.Who, error) {
	by := o.By
	for _, key := range []string{"USER", "LOGNAME", "USERNAME"} {
		for _, entry := range world.environ {
			if value, is := strings.CutPrefix(entry, key+"="); is {
				by = cmp.Or(by, value)
			}
		}
	}
	if by == "" {
		return replay.Who{}, usageError{errors.New("nobody knows who gives the command: give --by")}
	}
	return replay.Who{By: by, Why: o.Why}, nil
}

// Help is what resume --help says more.
func (resumeCommand) Help() string {
	return `Where 50 or more events of a type, and half of them, are rejected within 10 minutes (rules.flood), a member pauses that
type: it holds its events, in order, and gives none of them up. The log says so as an alert, and the metric
distributor_bridge_paused_partitions counts. Find out why they are rejected (dlq_reason, dlq_step and dlq_fields of the dead
letters), have it mended, then let them go on with this command.

It reads state to see where the type has paused, and appends a command to each partition of the inbox, which is done in order
with all else: at once while the service runs, else when it starts. It needs nothing but the topics. What is held goes on
then, in order; if too many are rejected again, the type pauses again. What was rejected before stays in the dead letters.

Giving it twice is harmless: a command ends the pauses that it names, and none that began later.

Exit codes: 0 the command was written; 1 failed, and if it was cut off it may stand in some partitions: give it again; 2 wrong
use, wrong configuration or no such type, nothing was begun; 3 the type has not paused, nothing was written.`
}

// Run writes the command.
func (c *resumeCommand) Run(ctx context.Context, world surroundings) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	who, unsaid := c.who(world)
	contract, err := schemas.New(cfg.TypesPrefix)
	if err != nil {
		return err
	}
	typ, err := replay.Check(contract, c.Type, replay.Who{By: cmp.Or(who.By, "somebody"), Why: c.Why})
	switch {
	case err != nil:
		return usageError{err}
	case unsaid != nil:
		return unsaid
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readLimit, errors.New("the brokers took too long"))
	defer cancel()
	return c.writing(ctx, world, func(d *replay.Desk) error {
		done, err := d.Resume(ctx, typ, who)
		if err != nil {
			return fmt.Errorf("resume %s: %w", typ, err)
		}
		if c.JSON {
			return json.NewEncoder(world.stdout).Encode(done)
		}
		return showResumed(world.stdout, done)
	})
}

func showResumed(out io.Writer, done replay.Resumed) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "PARTITION\tPAUSED SINCE\tREJECTED\tBY\n")
	for _, p := range done.Pauses {
		fmt.Fprintf(w, "%d\t%s\t%d of %d\t%s\n", p.Partition, p.Since.UTC().Format(time.RFC3339), p.Rejected, p.Ended, p.Owner)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("show what was done: %w", err)
	}
	_, err := fmt.Fprintf(out, "command %s: %s goes on, written to all %d partitions of the inbox\n", done.Command, done.Type, done.Written)
	return err
}
