package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"distributor-bridge/internal/kafka"
)

// life is that of a partition within a session: taken, at work, and, when something fails, given up and taken again, with
// growing pauses. It ends with the session, and no other partition notices anything of it.
//
//	take     state is taken over and restored (restore.go)
//	flow     records are delivered from the group's committed offset on, lanes work, offsets are committed (commit.go)
//	drain    no more is begun, what is in hand comes to its end
//	give up  after a failure the store is dropped: nobody knows what became of a write that failed
type life struct {
	session *session
	number  int
	taken   int // how often it was, in this session

	once sync.Once // it was taken over for the first time, or cannot be

	mu sync.Mutex // guards at
	at *partition // nil while it is not owned
}

// now gives the partition while it is owned, else nil.
func (l *life) now() *partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

func (l *life) set(p *partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = p
}

// settled takes note that the partition was taken over, or stands still until a person does something.
func (l *life) settled() {
	l.once.Do(func() {
		if l.session.untaken.Add(-1) == 0 {
			l.session.engine.vitals.all()
		}
	})
}

// Pauses between giving a partition up and taking it again.
const mostPause = time.Minute

// run lives until take ends. What is in hand has root's time at most.
func (l *life) run(take, root context.Context) {
	log := l.session.engine.cfg.Log.With().Int("partition", l.number).Logger()
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(restart), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(mostPause), backoff.WithMaxElapsedTime(0))
	for take.Err() == nil {
		began := time.Now()
		p, err := l.take(take)
		if err == nil {
			err = l.flow(take, root, p)
		}
		switch {
		case take.Err() != nil:
			return
		case final(err):
			l.session.end(err)
			return
		case errors.Is(err, errAnew):
			log.Error().Err(err).Msg("the partition stands still")
			l.settled() // a member that is never ready would keep a new release from mending it
			<-take.Done()
			return
		}
		if time.Since(began) > 2*mostPause { // the trouble before it is over
			pauses.Reset()
		}
		wait := pauses.NextBackOff()
		log.Error().Err(err).Dur("pause_ms", wait).Msg("the partition is given up and taken anew; the others go on")
		pause(take, wait)
		if errors.Is(err, kafka.ErrFenced) {
			l.session.engine.numbers.fenced.Inc()
			l.listed(take, pauses)
		}
		if take.Err() == nil {
			l.session.engine.numbers.retaken.WithLabelValues(because(err)).Inc()
		}
	}
}

// because gives the reason for the numbers.
func because(err error) string {
	switch {
	case errors.Is(err, kafka.ErrFenced):
		return becauseFenced
	case errors.Is(err, errStuck):
		return becauseStuck
	case errors.Is(err, errStalled):
		return becauseStalled
	}
	return becauseFailed
}

// listed waits until the group says that this member is still one of this generation: then the partition is its own, and who
// fenced it was one of before, which had been held up. If the group says otherwise the session ends: a newer owner is right.
func (l *life) listed(take context.Context, pauses *backoff.ExponentialBackOff) {
	for take.Err() == nil {
		ctx, cancel := context.WithTimeout(take, patience)
		err := l.session.a.Alive(ctx)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, kafka.ErrLost):
			l.session.end(errLost)
			return
		}
		l.session.engine.cfg.Log.Warn().Err(err).Int("partition", l.number).
			Msg("the group does not say whether the partition is still ours: it is not taken")
		pause(take, pauses.NextBackOff())
	}
}

// patience is how long a question to the group, and a commit, may take.
const patience = 5 * time.Second

// flow works on a partition until take ends or it fails.
func (l *life) flow(take, root context.Context, p *partition) error {
	e := l.session.engine
	take, stop := context.WithCancel(take)
	defer stop()
	work, release := drainingIn(root, take, e.cfg.Drain)
	defer release()
	next := p.next // before others know p
	l.set(p)
	l.settled()
	l.session.fetcher.Set(p.source.tp, next)
	var committing sync.WaitGroup
	committing.Go(func() { p.commitEvery(take, l.session.a) })

	err := p.run(take, work, stop, release)

	l.session.fetcher.Remove(p.source.tp)
	committing.Wait()
	l.last(p)
	l.set(nil)
	if err == nil {
		err = p.failure()
	}
	if err != nil || work.Err() != nil {
		e.drop(l.number)
	}
	return err
}

// last commits what ended, with a time of its own: also when something else took longer than the drain.
func (l *life) last(p *partition) {
	if errors.Is(p.failure(), kafka.ErrFenced) || l.session.isLost() {
		return // it is others' to commit
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastCommit)
	defer cancel()
	p.prove(ctx, p.keepPauses)
	p.commit(ctx, l.session.a)
}

// doubt proves the partition, so that it is known soon if others have taken it.
func (l *life) doubt(ctx context.Context) {
	if p := l.now(); p != nil {
		p.prove(ctx, p.store.Renew)
	}
}
