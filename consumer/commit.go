package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
)

// lastCommit is how long a partition's last commit may take.
const lastCommit = 2 * time.Second

// committer is who stores offsets for the group.
type committer interface {
	Commit(ctx context.Context, offsets map[kafka.TopicPartition]int64) error
}

// commitEvery commits until ctx ends, and renews the claim while the partition is idle.
func (p *partition) commitEvery(ctx context.Context, group committer) {
	ticker := time.NewTicker(p.cfg.CommitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			limited, cancel := context.WithTimeout(ctx, patience)
			p.commit(limited, group)
			cancel()
			p.prove(ctx, p.store.Idle)
			p.prove(ctx, p.keepPauses)
		}
	}
}

// commit commits the first offset not done, if it has moved. The claim is renewed before: a member that lost the
// partition without knowing must not move the new owner's offset back.
func (p *partition) commit(ctx context.Context, group committer) {
	offset, ok := p.committable()
	if !ok {
		return
	}
	if !p.prove(ctx, p.store.Renew) {
		p.recommit()
		return
	}
	err := group.Commit(ctx, map[kafka.TopicPartition]int64{p.source.tp: offset})
	p.numbers.commits[err == nil].Inc()
	if err == nil {
		p.store.Committed(offset)
		return
	}
	p.recommit() // with the next commit; after the last one redelivery makes no call
	if !errors.Is(ctx.Err(), context.Canceled) {
		p.cfg.Log.Warn().Err(err).Int("partition", p.number).Msg("the inbox offset is not committed")
	}
}

// prove renews a partition's claim, and says whether that was done. A partition whose brokers do not answer in time is not
// committed, and goes on.
func (p *partition) prove(ctx context.Context, renew func(context.Context) error) bool {
	limited, cancel := context.WithTimeout(ctx, p.cfg.Lease/2)
	defer cancel()
	err := renew(limited)
	switch {
	case err == nil:
		return true
	case limited.Err() == nil:
		p.fail(err)
	case ctx.Err() == nil:
		p.cfg.Log.Warn().Err(err).Int("partition", p.number).Msg("state cannot be written: the partition is not committed for now")
	}
	return false
}

// limiter lets a number of things happen at once.
type limiter chan struct{}

// enter waits for a place; leave gives it back, and may be called twice. Its error is that of ctx.
func (l limiter) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return sync.OnceFunc(func() { <-l }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
