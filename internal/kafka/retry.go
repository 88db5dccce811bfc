package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The pauses between two attempts: first and longest.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(minBackoff),
		backoff.WithMaxInterval(maxBackoff),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0),
	)
}

// retry repeats try while its error is temporary: a fresh cluster answers 14, 15 and 16 for a second or two, leaders
// move, brokers restart. It ends with try's last error when ctx ends.
func (c *Client) retry(ctx context.Context, what string, try func() error) error {
	pause := newBackoff()
	var waited bool
	var last error // of a try that ctx left its time: it says more than that the time is over
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !over(ctx) {
			last = err
		} else if last != nil && interrupted(err) {
			err = last
		}
		if !temporary(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ctx.Err() == nil && !waited {
			c.log.Debug().Str("doing", what).Err(err).Msg("kafka: trying again")
			waited = true
		}
		if wait(ctx, pause.NextBackOff()) != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(context.Cause(ctx), err))
		}
	}
}

// over says whether ctx's time is over: connections may know it a moment before ctx does.
func over(ctx context.Context) bool {
	end, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(end)
}

// interrupted says whether an error tells only that somebody's time was over.
func interrupted(err error) bool {
	var late net.Error
	return errors.Is(err, context.Canceled) || errors.As(err, &late) && late.Timeout()
}

// ask is retry for questions and administration, which a person may be waiting for: at most three timeouts long.
func (c *Client) ask(ctx context.Context, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*c.cfg.Timeout)
	defer cancel()
	return c.retry(ctx, what, func() error { return try(ctx) })
}

// final is an error that retry does not repeat, whatever is in it.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// wait pauses; its error is ctx's.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
