package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// Engine reads the inbox as a member of its consumer group, and works on what it finds.
type Engine struct {
	cfg    Config
	stores map[int]*state.Store // of the last generation, to be kept if its partitions are; used by one session at a time
}

// NewEngine starts nothing.
func NewEngine(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	cfg.Group.Topics = []string{cfg.Inbox}
	cfg.Group.Drain = cfg.Drain
	return &Engine{cfg: cfg, stores: map[int]*state.Store{}}
}

// Run works until ctx ends and what is then in hand is done (at most for Drain). It returns early with an error that no
// new try can mend, such as an inbox with another number of partitions than the state was made for.
func (e *Engine) Run(ctx context.Context) error {
	defer func() {
		for number := range e.stores {
			e.drop(number)
		}
	}()
	return e.cfg.Client.Group(e.cfg.Group).Run(ctx, e.session)
}

// session works on the partitions of one generation. Losing partitions and stopping are one path: fetch no more, let the
// calls in flight end, commit, give the partitions back.
func (e *Engine) session(ctx context.Context, a *kafka.Assignment) error {
	take, end := context.WithCancel(ctx)
	defer end()
	work, release := draining(take, e.cfg.Drain)
	defer release()

	parts, err := e.open(ctx, a)
	if err != nil {
		return e.verdict(ctx, err)
	}
	errs := make(chan error, len(parts)+2)
	var running sync.WaitGroup
	for _, p := range parts {
		running.Go(func() {
			if err := p.run(take, work); err != nil {
				errs <- fmt.Errorf("inbox partition %d: %w", p.number, err)
				end()
			}
		})
	}
	running.Go(func() {
		if err := e.fetch(take, parts, a); err != nil {
			errs <- err
			end()
		}
	})
	running.Go(func() {
		if err := e.watch(take, parts); err != nil {
			errs <- err
			end()
		}
	})
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		e.commitEvery(take, parts, a)
	}()
	running.Wait()
	<-committed
	close(errs)
	// With a time of its own: what ended is committed also when something else took longer than the drain.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
	defer cancel()
	e.commit(last, parts, a)
	for number, p := range parts {
		// Nobody knows what became of a write that failed or was given up: all is read again from the start.
		if p.failure() != nil || work.Err() != nil {
			e.drop(number)
		}
	}
	return e.verdict(ctx, <-errs)
}

// watch looks for lanes that have been at one thing for longer than any handler may take, until ctx ends. Such a handler
// is given up like all that is in hand when a session ends, and its event attempted again by the partition's next owner.
func (e *Engine) watch(ctx context.Context, parts map[int]*partition) error {
	for {
		pause(ctx, e.cfg.Stuck/4)
		if ctx.Err() != nil {
			return nil
		}
		for _, p := range parts {
			if since := p.longest(time.Now()); since > e.cfg.Stuck {
				return fmt.Errorf("inbox partition %d: a handler has been at one event for %s", p.number, since)
			}
		}
	}
}

// lastCommit is how long a generation's last commit may take.
const lastCommit = 2 * time.Second

// verdict says which errors end the program. All others are cured by taking the partitions anew.
func (e *Engine) verdict(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil:
		return nil
	case errors.Is(err, state.ErrPartitions), errors.Is(err, errInbox):
		return err
	}
	e.cfg.Log.Error().Err(err).Msg("the partitions are given up and taken anew")
	pause(ctx, restart)
	return nil
}

// lanesPerCall is how many lanes of a partition may be at work for one call in flight: the others write to Kafka. With more
// of them intents would be written long before their call's turn, which eats the lease. (The API's client limits the calls,
// over all partitions.)
const lanesPerCall = 2

// errInbox is that of an inbox that does not fit the configuration.
var errInbox = errors.New("the inbox does not fit the configuration")

// open takes over the partitions of a generation.
func (e *Engine) open(ctx context.Context, a *kafka.Assignment) (map[int]*partition, error) {
	parts := map[int]*partition{}
	topics, err := e.cfg.Client.Topics(ctx, e.cfg.Inbox, e.cfg.State)
	if err != nil {
		return nil, fmt.Errorf("look at the topics: %w", err)
	}
	for _, topic := range []string{e.cfg.Inbox, e.cfg.State} {
		info, ok := topics[topic]
		if !ok {
			return nil, fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic)
		}
		if info.Partitions != e.cfg.Partitions {
			return nil, fmt.Errorf("%w: topic %s has %d partitions, topics.partitions says %d; the number is fixed for ever",
				errInbox, topic, info.Partitions, e.cfg.Partitions)
		}
	}
	for number := range e.stores {
		if !slices.Contains(a.Partitions[e.cfg.Inbox], number) {
			e.drop(number)
		}
	}
	for _, number := range a.Partitions[e.cfg.Inbox] {
		began := time.Now()
		store, err := e.store(ctx, number)
		if err != nil {
			return nil, err
		}
		e.cfg.Log.Info().Int("partition", number).Int("objects", store.Len()).Dur("took_ms", time.Since(began)).Msg("partition taken")
		ends, err := e.cfg.Client.EndOffset(ctx, e.cfg.Inbox) // after the last owner has written its last
		if err != nil {
			return nil, fmt.Errorf("look at the inbox: %w", err)
		}
		if highest := store.Highest(); highest >= ends[number] {
			// Its events would be taken for repeats of others at the same offsets.
			e.cfg.Log.Error().Int("partition", number).Int64("known", highest).Int64("end", ends[number]).
				Msg("the inbox ends before what was taken from it: it was made anew, or truncated; the partition stands still")
			e.drop(number)
			continue
		}
		parts[number] = newPartition(&e.cfg, number, store)
	}
	return parts, nil
}

// store takes a partition's state over. That of a partition that was kept over a rebalance is in memory already.
func (e *Engine) store(ctx context.Context, number int) (*state.Store, error) {
	if store := e.stores[number]; store != nil {
		err := store.Retake(ctx)
		if err == nil {
			return store, nil
		}
		e.cfg.Log.Info().Err(err).Int("partition", number).Msg("state is read from its start: others have owned the partition")
		e.drop(number)
	}
	store, err := state.Open(ctx, state.Config{
		Client: e.cfg.Client, Topic: e.cfg.State, Partition: number, Partitions: e.cfg.Partitions,
		TransactionalID: fmt.Sprintf("%s-%s-%d", e.cfg.Group.ID, e.cfg.State, number),
		Owner:           e.cfg.Owner, Lease: e.cfg.Lease, MaxBytes: e.cfg.MaxState,
	})
	if err != nil {
		return nil, err
	}
	e.stores[number] = store
	return store, nil
}

// drop closes a partition's state, and forgets it.
func (e *Engine) drop(number int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := e.stores[number].Close(ctx); err != nil {
		e.cfg.Log.Warn().Err(err).Msg("a write was given up: whoever owns the partition next is in doubt about it")
	}
	delete(e.stores, number)
}

// fetch delivers the inbox's records until ctx ends. A partition whose window is full is not fetched; no lane is waited
// for.
func (e *Engine) fetch(ctx context.Context, parts map[int]*partition, a *kafka.Assignment) error {
	starts, err := e.cfg.Client.StartOffset(ctx, e.cfg.Inbox)
	if err != nil {
		return stopping(ctx, err)
	}
	f := e.cfg.Client.Fetcher(kafka.FetcherConfig{ReadCommitted: true})
	defer f.Close()
	for number := range parts {
		tp := kafka.TopicPartition{Topic: e.cfg.Inbox, Partition: number}
		offset, ok := a.Committed(tp)
		if !ok {
			offset = starts[number]
		}
		f.Set(tp, offset)
	}
	full := map[int]bool{}
	for {
		for number := range full {
			if parts[number].fullness(len(parts)) <= 0.5 {
				f.Resume(kafka.TopicPartition{Topic: e.cfg.Inbox, Partition: number})
				delete(full, number)
			}
		}
		fetched, err := e.poll(ctx, f, len(full) > 0 && len(full) == len(parts))
		if err != nil {
			return stopping(ctx, err)
		}
		for _, got := range fetched {
			p := parts[got.Partition]
			if errors.Is(got.Err, kafka.ErrOutOfRange) {
				e.cfg.Log.Error().Err(got.Err).Int("partition", got.Partition).
					Msg("the first offset not done is not in the inbox any more: events were lost; the partition stands still")
				continue
			}
			if got.Err != nil {
				e.cfg.Log.Warn().Err(got.Err).Int("partition", got.Partition).Msg("inbox cannot be fetched")
				continue
			}
			if len(got.Records) == 0 {
				continue
			}
			p.deliver(got.Records)
			if p.fullness(len(parts)) >= 1 {
				f.Pause(got.TopicPartition)
				full[got.Partition] = true
			}
		}
	}
}

// poll asks the brokers, or, while every window is full, waits for a moment.
func (e *Engine) poll(ctx context.Context, f *kafka.Fetcher, full bool) ([]kafka.Fetched, error) {
	if !full {
		return f.Poll(ctx)
	}
	pause(ctx, 10*time.Millisecond)
	return nil, ctx.Err()
}

// commitEvery commits until ctx ends, and renews the claims of idle partitions.
func (e *Engine) commitEvery(ctx context.Context, parts map[int]*partition, a *kafka.Assignment) {
	ticker := time.NewTicker(e.cfg.CommitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			e.commit(ctx, parts, a)
			var idle sync.WaitGroup
			for _, p := range parts {
				idle.Go(func() { e.prove(ctx, p, p.store.Idle) })
			}
			idle.Wait()
		}
	}
}

// prove renews a partition's claim, and says whether that was done. A partition whose brokers do not answer in time holds
// back nothing but its own commit.
func (e *Engine) prove(ctx context.Context, p *partition, renew func(context.Context) error) bool {
	limited, cancel := context.WithTimeout(ctx, e.cfg.Lease/2)
	defer cancel()
	err := renew(limited)
	switch {
	case err == nil:
		return true
	case limited.Err() == nil:
		p.fail(err)
	case ctx.Err() == nil:
		e.cfg.Log.Warn().Err(err).Int("partition", p.number).Msg("state cannot be written: the partition is not committed for now")
	}
	return false
}

// commit commits of each partition the first offset not done, if it has moved. The claim is renewed before: a member
// that lost the partition without knowing must not move the new owner's offset back.
func (e *Engine) commit(ctx context.Context, parts map[int]*partition, a *kafka.Assignment) {
	var mu sync.Mutex // guards offsets
	offsets := map[kafka.TopicPartition]int64{}
	var proofs sync.WaitGroup
	for number, p := range parts {
		offset, ok := p.committable()
		if !ok {
			continue
		}
		proofs.Go(func() {
			if !e.prove(ctx, p, p.store.Renew) {
				p.recommit()
				return
			}
			mu.Lock()
			defer mu.Unlock()
			offsets[kafka.TopicPartition{Topic: e.cfg.Inbox, Partition: number}] = offset
		})
	}
	proofs.Wait()
	if len(offsets) == 0 {
		return
	}
	err := a.Commit(ctx, offsets)
	if err == nil {
		return
	}
	for tp := range offsets { // with the next commit; after the last one redelivery makes no call
		parts[tp.Partition].recommit()
	}
	if ctx.Err() == nil {
		e.cfg.Log.Warn().Err(err).Msg("inbox offsets are not committed")
	}
}

// stopping gives nil for an error after the end of ctx, else the error.
func stopping(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
