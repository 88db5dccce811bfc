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

// Engine reads the inbox as a member of its consumer group, and works on what it finds: a session a generation of the
// group, in it a life for each partition.
type Engine struct {
	cfg     Config
	numbers *numbers
	floods  *floods
	opening limiter // how many partitions are taken over at once

	successes successes
	vitals    vitals

	mu      sync.Mutex           // guards what follows
	stores  map[int]*state.Store // of partitions that are or were owned, to be kept over a rebalance
	stalls  map[int]int          // how often a partition without progress was cured since its last progress
	present *session             // nil between generations
}

// NewEngine starts nothing.
func NewEngine(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	cfg.Group.Topics = []string{cfg.Inbox}
	cfg.Group.Drain = cfg.Drain
	e := &Engine{
		cfg: cfg, numbers: newNumbers(cfg.Registry), floods: newFloods(cfg), opening: make(limiter, mostOpening),
		stores: map[int]*state.Store{}, stalls: map[int]int{},
	}
	e.cfg.Report = e.numbers.counting(cfg.Report)
	return e
}

// Run works until ctx ends and what is then in hand is done (at most for Drain). It returns early with an error that no
// new try can mend, such as an inbox with another number of partitions than the state was made for.
func (e *Engine) Run(ctx context.Context) error {
	if r := e.cfg.Registry; r != nil {
		g := newGauges(e)
		if err := r.Register(g); err != nil {
			return fmt.Errorf("register the engine's gauges: %w", err)
		}
		defer r.Unregister(g)
	}
	defer e.keep(nil)
	return e.cfg.Client.Group(e.cfg.Group).Run(ctx, e.session)
}

// session works on the partitions of one generation. Losing partitions and stopping are one path: fetch no more, let the
// calls in flight end, commit, give the partitions back.
func (e *Engine) session(ctx context.Context, a *kafka.Assignment) error {
	e.numbers.rebalances.Inc()
	ending, over := e.vitals.begin()
	defer over()
	defer context.AfterFunc(ctx, ending)()
	numbers := a.Partitions[e.cfg.Inbox]
	e.keep(numbers)
	if err := e.fits(ctx); err != nil {
		return stopping(ctx, err)
	}
	take, end := context.WithCancelCause(ctx)
	defer end(nil)
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	s := newSession(e, a, numbers, end)
	defer s.fetcher.Close()
	e.show(s)
	defer e.show(nil)

	var lives, others sync.WaitGroup
	for _, l := range s.lives {
		lives.Go(func() { l.run(take, work) })
	}
	drained := make(chan struct{})
	others.Go(func() { s.fetch(take) })
	others.Go(func() { s.watch(take) })
	others.Go(func() { s.lost(drained, cut) })
	<-take.Done()
	ending()
	lives.Wait()
	close(drained)
	others.Wait()
	if cause := context.Cause(take); ctx.Err() == nil && final(cause) {
		return cause
	}
	return nil
}

// final says which errors end the program. All others are cured by taking the partition anew.
func final(err error) bool { return errors.Is(err, state.ErrPartitions) || errors.Is(err, errInbox) }

// errInbox is that of an inbox that does not fit the configuration.
var errInbox = errors.New("the inbox does not fit the configuration")

// fits waits until the topics are there, and sees to it that they fit. Its error is final, or that of the end of ctx.
func (e *Engine) fits(ctx context.Context) error {
	for {
		err := e.look(ctx)
		if err == nil || final(err) || ctx.Err() != nil {
			return err
		}
		e.cfg.Log.Error().Err(err).Msg("no partition can be taken: it is tried again")
		pause(ctx, restart)
	}
}

func (e *Engine) look(ctx context.Context) error {
	topics, err := e.cfg.Client.Topics(ctx, e.cfg.Inbox, e.cfg.State)
	if err != nil {
		return fmt.Errorf("look at the topics: %w", err)
	}
	for _, topic := range []string{e.cfg.Inbox, e.cfg.State} {
		info, ok := topics[topic]
		if !ok {
			return fmt.Errorf("topic %s does not exist: run distributor-bridge topics create", topic)
		}
		if info.Partitions != e.cfg.Partitions {
			return fmt.Errorf("%w: topic %s has %d partitions, topics.partitions says %d; the number is fixed for ever",
				errInbox, topic, info.Partitions, e.cfg.Partitions)
		}
	}
	return nil
}

// show makes a session the present one, for the gauges.
func (e *Engine) show(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.present = s
}

// keep drops all stores but those of these partitions.
func (e *Engine) keep(numbers []int) {
	e.mu.Lock()
	var others []int
	for number := range e.stores {
		if !slices.Contains(numbers, number) {
			others = append(others, number)
		}
	}
	e.mu.Unlock()
	for _, number := range others {
		e.drop(number)
	}
}

// kept gives the store of a partition, nil if there is none.
func (e *Engine) kept(number int) *state.Store {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stores[number]
}

// drop closes a partition's store, and forgets it.
func (e *Engine) drop(number int) {
	e.mu.Lock()
	store := e.stores[number]
	delete(e.stores, number)
	e.mu.Unlock()
	if store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := store.Close(ctx); err != nil {
		e.cfg.Log.Warn().Err(err).Msg("a write was given up: whoever owns the partition next is in doubt about it")
	}
}

// stopping gives nil for an error after the end of ctx, else the error.
func stopping(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
