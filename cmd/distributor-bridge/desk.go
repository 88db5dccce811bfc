package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/replay"
)

// moment is a time on the command line: how long ago, or which.
type moment struct{ time.Time }

// UnmarshalText reads it.
func (m *moment) UnmarshalText(text []byte) (err error) {
	m.Time, err = replay.ParseMoment(string(text), time.Now())
	return err
}

// notFoundError is that nothing is known of what was asked for.
type notFoundError struct{ error }

// reading is embedded in commands that only read the bridge's topics.
type reading struct {
	configured
	JSON bool `name:"json" help:"JSON for programs, with all IDs in full."`
}

// readingHelp is what commands that only read have in common.
const readingHelp = `Reads topics only, changes nothing, needs the brokers alone, and works while the bridge runs and while it is down;
what it tells is how things stood as it began. It can be interrupted at any time. Times are UTC.`

const foundCodes = "Exit codes: 0 shown; 1 failed or interrupted; 2 wrong use; 3 nothing is known of what was asked for."

// desk opens the desk, lets do read, and ends the progress bar before anything is shown.
func (c reading) desk(ctx context.Context, world surroundings, do func(*replay.Desk) error) error {
	return interrupted(ctx, c.writing(ctx, world, do), "not all was read, and nothing was changed")
}

// writing opens the desk for a command that writes, and lets do tell what was written.
func (c configured) writing(ctx context.Context, world surroundings, do func(*replay.Desk) error) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	tell, end := progress(world, "reading")
	defer end()
	desk, err := bridge.OpenDesk(ctx, cfg, tell)
	if err != nil {
		return err
	}
	defer desk.Close()
	return do(desk)
}

// interrupted says of an error that an interrupt has caused that it did.
func interrupted(ctx context.Context, err error, what string) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted: " + what)
	}
	return err
}

// filters are the flags that choose letters and what is held.
type filters struct {
	Reason   []string `placeholder:"REASON" help:"Of these reasons only. This and the next flags can be repeated, or list values with commas."`
	Type     []string `placeholder:"TYPE" help:"Of these event types only: order.paid."`
	Customer []string `placeholder:"ID" help:"Of these customers only."`
	Subject  []string `placeholder:"SUBJECT" help:"About these only, within their customers: customer, order/ID, wallet/0x…, positions."`
	Step     []string `placeholder:"STEP" help:"In these steps only: investor, investment, …."`
	Since    moment   `placeholder:"WHEN" help:"Not before: how long ago (2h, 7d), a date, or a time of RFC 3339."`
	Until    moment   `placeholder:"WHEN" help:"Before."`
}

// Validate refuses what no letter can have: a slip would read as good news.
func (f filters) Validate() error {
	for _, reason := range f.Reason {
		if !slices.Contains(replay.Reasons(), reason) {
			return fmt.Errorf("--reason: there is no %q: there are %s", reason, strings.Join(replay.Reasons(), ", "))
		}
	}
	return nil
}

// errAll is that of a command that would do something to all there is.
var errAll = usageError{errors.New("which? with --yes it takes an event, or flags that choose; --since 365d chooses all of a year")}

// choose says whether anything is chosen.
func (f filters) choose() bool {
	return len(f.Reason)+len(f.Type)+len(f.Customer)+len(f.Subject)+len(f.Step) > 0 || !f.Since.IsZero() || !f.Until.IsZero()
}

func (f filters) filter() replay.Filter {
	return replay.Filter{
		Reasons: f.Reason, Types: f.Type, Customers: f.Customer, Subjects: f.Subject, Steps: f.Step,
		Since: f.Since.Time, Until: f.Until.Time,
	}
}

// lines writes values as JSON, a line each.
func lines[T any](world surroundings, values []T) error {
	enc := json.NewEncoder(world.stdout)
	enc.SetEscapeHTML(false)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// groupLine is a group as JSON.
type groupLine struct {
	Kind   string            `json:"kind"`
	By     map[string]string `json:"by"`
	Count  int               `json:"count"`
	Oldest time.Time         `json:"oldest,omitzero"`
	Newest time.Time         `json:"newest,omitzero"`
}

// groups shows how many there are of what, oldest and newest.
func groups(world surroundings, asJSON bool, by []string, list []replay.Group) error {
	if asJSON {
		values := make([]groupLine, len(list))
		for i, g := range list {
			values[i] = groupLine{"group", map[string]string{}, g.Count, g.Oldest, g.Newest}
			for n, name := range by {
				values[i].By[name] = g.Values[n]
			}
		}
		return lines(world, values)
	}
	columns := []column{{title: "COUNT", right: true, worth: 2}}
	for _, name := range by {
		columns = append(columns, column{title: strings.ToUpper(name)})
	}
	columns = append(columns, column{title: "OLDEST", worth: 2}, column{title: "NEWEST", worth: 2})
	rows := make([][]cell, len(list))
	for i, g := range list {
		texts := []string{strconv.Itoa(g.Count)}
		for _, value := range g.Values {
			if value == "" {
				value = "-"
			}
			texts = append(texts, value)
		}
		rows[i] = plain(append(texts, stamp(g.Oldest), stamp(g.Newest))...)
	}
	return screenOf(world).table(columns, rows)
}

// place is where a record is, as JSON.
type place struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
}

func placeOf(p replay.Place) place { return place(p) }
