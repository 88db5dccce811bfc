package replay

import (
	"context"
	"fmt"
	"strconv"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
)

// turn is a replay that stands in the inbox and is not done yet.
type turn struct {
	round             int
	offset            int64
	customer, subject string
}

// pending gives the replays that stand in the inbox and are not done yet, by their event's identity and follow-up: the last
// one of each.
func (d *Desk) pending(ctx context.Context) (map[string]turn, error) {
	ends, err := d.cfg.Client.EndOffset(ctx, d.cfg.Inbox)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.cfg.Inbox, err)
	}
	starts, err := d.cfg.Client.StartOffset(ctx, d.cfg.Inbox)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.cfg.Inbox, err)
	}
	done, err := d.cfg.Client.GroupOffsets(ctx, d.cfg.Group, d.cfg.Inbox)
	if err != nil {
		return nil, fmt.Errorf("look how far the inbox is done: %w", err)
	}
	found := map[string]turn{}
	for p, end := range ends {
		from := max(starts[p], done[p])
		err := d.cfg.Client.Read(ctx, d.cfg.Inbox, p, from, end, func(r kafka.Record) error {
			told := headersOf(r)
			if round, err := strconv.Atoi(told[producer.HeaderReplays]); err == nil {
				name := told["ce_source"] + "\x00" + told["ce_id"] + "\x00" + told[producer.HeaderFollow]
				found[name] = turn{round, r.Offset, string(r.Key), d.subject(r)}
			}
			d.cfg.Progress("inbox", r.Offset-from, end-from)
			return nil
		})
		if err != nil {
			return nil, err
		}
		d.cfg.Progress("inbox", end-from, end-from)
	}
	return found, nil
}

// subject gives what a record of the inbox is about; empty if it does not tell.
func (d *Desk) subject(r kafka.Record) string {
	e, err := d.cfg.Contract.Decode(r.Value, r.Headers)
	if err != nil {
		return ""
	}
	return d.cfg.Contract.Subject(e)
}

func headersOf(r kafka.Record) map[string]string {
	told := make(map[string]string, len(r.Headers))
	for _, h := range r.Headers {
		told[h.Key] = string(h.Value)
	}
	return told
}
