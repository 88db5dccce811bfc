package consumer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"distributor-bridge/internal/kafka"
)

// session is one generation of the group: the partitions that this member has in it, and what they share.
type session struct {
	engine    *Engine
	a         *kafka.Assignment
	fetcher   *kafka.Fetcher
	places    *places
	following *places
	lives     map[int]*life
	untaken   atomic.Int64            // of them, those that were not taken over yet
	end       context.CancelCauseFunc // ends the session, for a reason
}

// Why a session ends by itself.
var (
	errLost   = errors.New("the membership is lost")
	errRejoin = errors.New("the group is joined anew")
)

func newSession(e *Engine, a *kafka.Assignment, numbers []int, end context.CancelCauseFunc) *session {
	s := &session{
		engine: e, a: a, end: end, lives: map[int]*life{},
		fetcher: e.cfg.Client.Fetcher(kafka.FetcherConfig{ReadCommitted: true, PartitionMaxBytes: fetchBytes, MaxBytes: 16 * fetchBytes}),
		places:  newPlaces(e.cfg.MaxInFlight, len(numbers)), following: newFollowing(e.cfg.MaxInFlight, len(numbers)),
	}
	for _, number := range numbers {
		s.lives[number] = &life{session: s, number: number}
	}
	s.untaken.Store(int64(len(numbers)))
	if len(numbers) == 0 { // there are more members than partitions
		e.vitals.all()
	}
	return s
}

// owned gives the partitions that are owned now.
func (s *session) owned() []*partition {
	var owned []*partition
	for _, l := range s.lives {
		if p := l.now(); p != nil {
			owned = append(owned, p)
		}
	}
	return owned
}

// fetchBytes is how much of a partition is fetched in one go: little, since a window that is full still takes what was under
// way, and records take some times as much room in memory.
const fetchBytes = 64 << 10

// fetch delivers the inbox's records until ctx ends. It waits for no lane: a partition whose window is full pauses itself.
func (s *session) fetch(ctx context.Context) {
	for {
		fetched, err := s.fetcher.Poll(ctx)
		if err != nil {
			return // ctx has ended
		}
		for _, got := range fetched {
			p := s.lives[got.Partition].now()
			log := &s.engine.cfg.Log
			switch {
			case p == nil:
			case errors.Is(got.Err, kafka.ErrOutOfRange):
				log.Error().Err(got.Err).Int("partition", got.Partition).Int64("wanted", got.Next).Int64("start", got.LogStart).
					Msg("the first offset not done is not in the inbox any more: events were lost; the partition stands still")
				p.lose()
			case got.Err != nil:
				log.Warn().Err(got.Err).Int("partition", got.Partition).Msg("inbox cannot be fetched")
			default:
				p.deliver(got)
			}
		}
	}
}

// lost ends the session when it is known that others have its partitions. What is in hand may go on for as long as the lease
// lets calls matter; a partition that another owner has taken already is told so by its next write, and gives up then.
func (s *session) lost(over <-chan struct{}, cut context.CancelCauseFunc) {
	select {
	case <-over:
		return
	case <-s.a.Lost():
	}
	s.engine.cfg.Log.Warn().Dur("limit_ms", s.engine.cfg.Lease).
		Msg("the membership is lost, others own the partitions: what is in hand is given up when they have taken them, or soon")
	s.end(errLost)
	timer := time.AfterFunc(s.engine.cfg.Lease, func() { cut(errLost) })
	defer timer.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var proofs sync.WaitGroup
	for _, l := range s.lives {
		proofs.Go(func() { l.doubt(ctx) })
	}
	<-over
	cancel()
	proofs.Wait()
}

// isLost says whether the membership is known to be lost.
func (s *session) isLost() bool {
	select {
	case <-s.a.Lost():
		return true
	default:
		return false
	}
}
