package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"distributor-bridge/internal/bridge"
)

type topicsListCommand struct {
	reading
	Partitions bool `help:"Each partition, too."`
}

// Help is what topics list --help says more.
func (topicsListCommand) Help() string {
	return `Shows the bridge's own topics and upstream's. LAG is how many records are still to be done: of upstream's topics by intake, of
the inbox by the engine; held events are not among them (see held list). RECORDS is the difference of a topic's offsets, which is more
than the records of one that was compacted.

Needs the brokers alone, changes nothing, joins no group, and works while the bridge runs and while it is down.

With --json: kind topic (topic, role, missing, denied, partitions, replication, in_sync, cleanup_policy, retention_ms, records, group,
lag; with --partitions by_partition: partition, start, end, committed, lag).

Exit codes: 0 all topics are there; 1 failed, or one is missing; 2 wrong use.`
}

// Run shows them.
func (c *topicsListCommand) Run(ctx context.Context, world surroundings) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, adminLimit, errors.New("the brokers took too long"))
	defer cancel()
	list, err := bridge.ListTopics(ctx, cfg)
	if err != nil {
		return interrupted(ctx, err, "not all was read, and nothing was changed")
	}
	show := c.table
	switch {
	case c.JSON:
		show = c.lines
	case c.Partitions:
		show = c.each
	}
	if err := show(world, list); err != nil {
		return err
	}
	for i := range list {
		if list[i].Missing {
			return errTold
		}
	}
	return nil
}

// table shows a line for each topic.
func (c *topicsListCommand) table(world surroundings, list []bridge.ListedTopic) error {
	columns := []column{
		{title: "TOPIC"}, {title: "PARTITIONS", right: true, worth: 2}, {title: "REPLICAS", right: true, worth: 2},
		{title: "KEPT", worth: 1}, {title: "RECORDS", right: true, worth: 2}, {title: "LAG", right: true, worth: 2}, {title: "GROUP"},
	}
	rows := make([][]cell, len(list))
	for i := range list {
		t := &list[i]
		if state, ink := absent(t); state != "" {
			rows[i] = plain(t.Name, "", "", state, "", "", "")
			rows[i][3].ink = ink
			continue
		}
		replicas := strconv.Itoa(t.Replication)
		if t.InSync < t.Replication {
			replicas += fmt.Sprintf(" (%d in sync)", t.InSync)
		}
		lag := ""
		if t.Group != "" {
			lag = quantity(int(t.Lag()))
		}
		rows[i] = plain(t.Name, strconv.Itoa(len(t.Partitions)), replicas, strings.TrimPrefix(t.Kept(), "kept "),
			quantity(int(t.Records())), lag, t.Group)
	}
	return screenOf(world).table(columns, rows)
}

// absent says why nothing is known of a topic; nothing if it is there.
func absent(t *bridge.ListedTopic) (string, ink) {
	switch {
	case t.Missing && t.Role == "upstream":
		return "missing", red
	case t.Missing:
		return "missing: topics create", red
	case t.Denied:
		return "may not be seen", yellow
	}
	return "", ""
}

// each shows a line for each partition.
func (c *topicsListCommand) each(world surroundings, list []bridge.ListedTopic) error {
	columns := []column{
		{title: "TOPIC"}, {title: "PARTITION", right: true, worth: 2}, {title: "START", right: true, worth: 2},
		{title: "END", right: true, worth: 2}, {title: "COMMITTED", right: true, worth: 2}, {title: "LAG", right: true, worth: 2},
		{title: "GROUP"},
	}
	var rows [][]cell
	for i := range list {
		t := &list[i]
		if state, ink := absent(t); state != "" {
			row := plain(t.Name, state, "", "", "", "", "")
			row[1].ink = ink
			rows = append(rows, row)
		}
		for _, p := range t.Partitions {
			row := plain(t.Name, strconv.Itoa(p.Number), quantity(int(p.Start)), quantity(int(p.End)), "", "", t.Group)
			if t.Group != "" {
				row[4].text, row[5].text = "none", quantity(int(p.Lag()))
			}
			if p.Committed >= 0 {
				row[4].text = quantity(int(p.Committed))
			}
			rows = append(rows, row)
		}
	}
	return screenOf(world).table(columns, rows)
}

// topicLine is a topic as JSON.
type topicLine struct {
	Kind        string          `json:"kind"`
	Topic       string          `json:"topic"`
	Role        string          `json:"role"`
	Missing     bool            `json:"missing,omitempty"`
	Denied      bool            `json:"denied,omitempty"`
	Partitions  int             `json:"partitions"`
	Replication int             `json:"replication"`
	InSync      int             `json:"in_sync"`
	Cleanup     string          `json:"cleanup_policy,omitempty"`
	RetentionMS *int64          `json:"retention_ms,omitempty"`
	Records     int64           `json:"records"`
	Group       string          `json:"group,omitempty"`
	Lag         *int64          `json:"lag,omitempty"`
	By          []partitionLine `json:"by_partition,omitempty"`
}

type partitionLine struct {
	Partition int    `json:"partition"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Committed *int64 `json:"committed,omitempty"`
	Lag       *int64 `json:"lag,omitempty"`
}

func (c *topicsListCommand) lines(world surroundings, list []bridge.ListedTopic) error {
	values := make([]topicLine, len(list))
	for i := range list {
		t := &list[i]
		v := topicLine{
			Kind: "topic", Topic: t.Name, Role: t.Role, Missing: t.Missing, Denied: t.Denied, Partitions: len(t.Partitions),
			Replication: t.Replication, InSync: t.InSync, Cleanup: t.Settings["cleanup.policy"], Records: t.Records(), Group: t.Group,
		}
		if ms, err := strconv.ParseInt(t.Settings["retention.ms"], 10, 64); err == nil {
			v.RetentionMS = &ms
		}
		reads := t.Group != "" && len(t.Partitions) > 0
		if reads {
			v.Lag = new(t.Lag())
		}
		for _, p := range t.Partitions {
			if !c.Partitions {
				break
			}
			line := partitionLine{Partition: p.Number, Start: p.Start, End: p.End}
			if reads {
				line.Lag = new(p.Lag())
			}
			if p.Committed >= 0 {
				line.Committed = new(p.Committed)
			}
			v.By = append(v.By, line)
		}
		values[i] = v
	}
	return lines(world, values)
}
