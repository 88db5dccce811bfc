package documents

import (
	"context"
	"errors"
	"sync"
	"time"

	"distributor-bridge/internal/outcome"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
)

// When a host is taken for down, and for how long it is left alone then.
const (
	failuresInRow = 5
	hostPause     = 10 * time.Second
)

var (
	errHostDown = errors.New("not asked: the document's host is down")
	errGaveUp   = errors.New("the caller gave up")
)

// host is one that documents come from. While it is down it is asked for one document every hostPause, and the others fail
// without a request; other hosts do not notice.
type host struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newHost(name string, log zerolog.Logger) *host {
	return &host{gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, Timeout: hostPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresInRow },
		IsExcluded:  func(err error) bool { return errors.Is(err, errGaveUp) },
		OnStateChange: func(name string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				log.Warn().Str("host", name).Dur("pause_ms", hostPause).
					Msg("a document host is down: its documents are waited for, one of them tries now and then")
			case gobreaker.StateClosed:
				log.Info().Str("host", name).Msg("a document host is back")
			}
		},
	})}
}

// ask begins a fetch. told has to be called with how it ended; calls after the first do nothing.
func (h *host) ask() (told func(ctx context.Context, err error), err error) {
	done, err := h.breaker.Allow()
	if err != nil {
		return nil, outcome.Retry(outcome.ClassDocument, false, errHostDown)
	}
	var once sync.Once
	return func(ctx context.Context, err error) {
		once.Do(func() { done(blame(ctx, err)) })
	}, nil
}

// blame gives err if it is the host's: what it refuses, or has in another form than promised, it has answered. ctx is the
// caller's, whose end is not the host's either.
func blame(ctx context.Context, err error) error {
	var e *outcome.Error
	switch {
	case err == nil, errors.As(err, &e) && e.Verdict == outcome.Rejected:
		return nil
	case ctx.Err() != nil:
		return errGaveUp
	}
	return err
}

// Down says of each allowed host, as host:port, whether it is taken for down.
func (f *Fetcher) Down() map[string]bool {
	down := make(map[string]bool, len(f.hosts))
	for name, h := range f.hosts {
		down[name] = h.breaker.State() != gobreaker.StateClosed
	}
	return down
}
