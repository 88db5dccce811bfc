package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Command is one that stands in the inbox, or a record that was put back: who, when, why, and about what.
type Command struct {
	Kind       string // replay, or the command's name: resume, resolve, discard
	ID         string // of the command; of a replay, of the run that put it back
	At         time.Time
	By, Why    string
	Type       string // of the event; of a resume, the one that goes on
	Customer   string
	Subject    string
	EventID    string
	Source     string
	Follow     string
	Step       string
	Round      int    // of a replay
	Happened   string // of a resolve: yes or no
	ProviderID string
	Partitions int   // in how many it stands: of a resume all
	Place      Place // the first one's
}

// CommandQuery says which are wanted. Its zero value: all that the inbox still has.
type CommandQuery struct {
	Since     time.Time
	Customers []string
	By        []string
	Events    []string
	Kinds     []string
}

// KindReplay is the Kind of what was put back.
const KindReplay = "replay"

// Commands gives the commands and replays that stand in the inbox, oldest first.
func (d *Desk) Commands(ctx context.Context, q CommandQuery) ([]Command, error) {
	if err := d.fit(ctx); err != nil {
		return nil, err
	}
	var list []Command
	everywhere := map[string]int{} // of commands in every partition: where in the list
	err := d.read(ctx, "inbox", d.cfg.Inbox, q.Since, nil, func(r kafka.Record) {
		c, ok := d.commandIn(r)
		if !ok || !q.takes(&c) {
			return
		}
		if at, known := everywhere[c.ID]; known && c.Kind != KindReplay {
			list[at].Partitions++
			return
		}
		everywhere[c.ID] = len(list)
		list = append(list, c)
	})
	slices.SortStableFunc(list, func(a, b Command) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Place.Partition, b.Place.Partition), cmp.Compare(a.Place.Offset, b.Place.Offset))
	})
	return list, err
}

func (q *CommandQuery) takes(c *Command) bool {
	return among(q.Customers, c.Customer) && among(q.By, c.By) && among(q.Events, c.EventID) && among(q.Kinds, c.Kind) &&
		!c.At.Before(q.Since)
}

// commandIn reads a command or a replay; false: the record is neither, or a command that upstream cannot have given and nobody
// can read.
func (d *Desk) commandIn(r kafka.Record) (Command, bool) {
	told := headersOf(r)
	c := Command{Place: Place{r.Topic, r.Partition, r.Offset}, Partitions: 1, At: r.Time.UTC(), Customer: string(r.Key)}
	if round, ok := told[producer.HeaderReplays]; ok {
		c.Kind, c.ID, c.By, c.Why = KindReplay, told[HeaderRun], told[HeaderBy], told[HeaderWhy]
		c.Round, _ = strconv.Atoi(round)
		if at, err := time.Parse(time.RFC3339, told[HeaderAt]); err == nil {
			c.At = at.UTC()
		}
	} else if !d.cfg.Contract.IsCommandType([]byte(told[schemas.HeaderType])) {
		return c, false
	}
	e, err := d.cfg.Contract.Decode(r.Value, r.Headers)
	if c.Kind == KindReplay {
		c.EventID, c.Source, c.Follow = told["ce_id"], told["ce_source"], told[producer.HeaderFollow]
		c.Type = strings.TrimPrefix(told[schemas.HeaderType], d.cfg.Contract.FullType(""))
		if err == nil {
			c.Subject = d.cfg.Contract.Subject(e)
		}
		return c, true
	}
	if err != nil || d.cfg.Contract.ValidateCommand(e) != nil {
		return c, false
	}
	return c, c.read(e, d.cfg.Contract.FullType(""))
}

// read takes what a command says, whatever its kind.
func (c *Command) read(e schemas.Event, prefix string) bool {
	var data struct {
		schemas.CommandResolve
		Happened *bool  `json:"happened"` // missing of others
		Type     string `json:"type"`     // of a resume
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return false
	}
	_, c.Kind, _ = strings.Cut(e.Name, ".")
	c.ID, c.At, c.By, c.Why = e.ID, e.Time, data.By, data.Why
	c.Type, c.Customer, c.Subject = data.Type, data.CustomerID, data.Object
	c.EventID, c.Source, c.Follow, c.Step = data.Event.ID, data.Event.Source, data.FollowUp, data.Step
	c.ProviderID = data.ProviderID
	if c.Type == "" {
		c.Type = strings.TrimPrefix(data.Event.Type, prefix)
	}
	if data.Happened != nil {
		c.Happened = map[bool]string{true: "yes", false: "no"}[*data.Happened]
	}
	return true
}
