package consumer

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"distributor-bridge/internal/kafka"
)

// upstreamPartition is what intake knows, within a session, of a partition of upstream's: enough to see whether its topic was made anew.
type upstreamPartition struct {
	doubted bool // it could not be fetched: the topic may be another one since
	last    mark // of the last record that was taken; zero: none was
}

// mark tells a record from any other that may come to lie at its offset.
type mark struct {
	offset int64
	time   time.Time
	value  [sha256.Size]byte
}

func markOf(r *kafka.Record) mark {
	return mark{offset: r.Offset, time: r.Time, value: sha256.Sum256(r.Value)}
}

// took takes note of what was taken in.
func (u *upstreamPartition) took(records []kafka.Record) {
	if n := len(records); n > 0 {
		u.last = markOf(&records[n-1])
	}
}

// remade looks, after a partition could not be fetched and before anything else of it is taken, whether its topic was deleted and made
// anew meanwhile: the new one may already have as many events as had been taken of the old one.
//
// To take a topic in twice is worse than to leave the first events of a new one out, so all has to say so: the log begins at 0; what
// was taken last, if anything was in this session, is not in it any more; and the group's coordinator has no offset of it, since it
// forgets those of a deleted topic. It takes no longer than patience: other partitions wait meanwhile.
func (in *Intake) remade(ctx context.Context, a *kafka.Assignment, u *upstreamPartition, got kafka.Fetched) (bool, error) {
	if got.LogStart != 0 || got.From == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if u.last != (mark{}) {
		r, found, err := in.cfg.Client.ReadOne(ctx, got.Topic, got.Partition, u.last.offset)
		switch {
		case err != nil && !errors.Is(err, kafka.ErrOutOfRange):
			return false, err
		case found && markOf(&r) == u.last:
			return false, nil
		}
	}
	return a.Uncommitted(ctx, got.TopicPartition)
}
