package consumer

import (
	"context"
	"errors"
	"time"
)

// restart is how long a stage waits before it takes its partitions anew after a trouble.
const restart = time.Second

var errDrained = errors.New("the time for draining is over")

// draining gives a context for what is in hand: it ends drain after ctx does. release ends it, and must be called.
func draining(ctx context.Context, drain time.Duration) (work context.Context, release func()) {
	return drainingIn(context.WithoutCancel(ctx), ctx, drain)
}

// drainingIn is draining within root, at whose end what is in hand ends at once.
func drainingIn(root, ctx context.Context, drain time.Duration) (work context.Context, release func()) {
	work, give := context.WithCancelCause(root)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			give(errDrained)
		case <-work.Done():
		}
	})
	return work, func() {
		stop()
		give(nil)
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
