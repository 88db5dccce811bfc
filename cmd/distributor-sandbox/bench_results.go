package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
)

// middleRate gives how many a second there were between the 10th and the 90th percent. It sorts times, which are in
// nanoseconds.
func middleRate(times []int64) float64 {
	slices.Sort(times)
	from, to := len(times)/10, len(times)*9/10
	if to <= from || times[to] <= times[from] {
		return 0
	}
	return float64(to-from) / time.Duration(times[to]-times[from]).Seconds()
}

// tail is a topic from where it ended when the tail was made.
type tail struct {
	client *kafka.Client
	topic  string
	at     map[int]int64
}

func (b *bench) tail(ctx context.Context, topic string) (*tail, error) {
	ends, err := b.client.EndOffset(ctx, topic)
	return &tail{client: b.client, topic: topic, at: ends}, err
}

// waiting gives how many records have not been read.
func (t *tail) waiting(ctx context.Context) (int, error) {
	ends, err := t.client.EndOffset(ctx, t.topic)
	n := 0
	for p, end := range ends {
		n += int(end - t.at[p])
	}
	return n, err
}

// read gives the records that have not been read.
func (t *tail) read(ctx context.Context, each func(kafka.Record)) error {
	ends, err := t.client.EndOffset(ctx, t.topic)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		err := t.client.Read(ctx, t.topic, p, t.at[p], ends[p], func(r kafka.Record) error {
			each(r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	t.at = ends
	return nil
}

const (
	// stalled is how long nothing may happen.
	stalled = time.Minute
	// look is between two looks. They ask for offsets only: what is measured shall not have to share the processor.
	look = 100 * time.Millisecond
)

// watch is what somebody who awaits results wants to know. Each may be nil.
type watch struct {
	counts   func(kafka.Record) bool // whether a result counts
	take     func(kafka.Record)      // is given each that counts, at the end
	progress func(done int) error    // is told at each look how many results there are, whether or not they count
}

// await waits until there are n more results that count.
func (b *bench) await(ctx context.Context, what string, c *child, results *tail, n int, w watch) error {
	bar := newMeter(b.t, what, n)
	defer bar.end()
	done := 0
	for last, moved := 0, time.Now(); done < n; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended:
			return c.trouble()
		case <-time.After(look):
		}
		waiting, err := results.waiting(ctx)
		if err != nil {
			return err
		}
		if now := done + waiting; now != last {
			last, moved = now, time.Now()
		}
		bar.set(last)
		if time.Since(moved) > stalled {
			return fmt.Errorf("no result for %s, after %d of %d", stalled, last, n)
		}
		if w.progress != nil {
			if err := w.progress(last); err != nil {
				return err
			}
		}
		if last < n {
			continue
		}
		err = results.read(ctx, func(r kafka.Record) {
			if w.counts != nil && !w.counts(r) {
				return
			}
			done++
			if w.take != nil {
				w.take(r)
			}
		})
		if err != nil {
			return err
		}
	}
	if done > n {
		return fmt.Errorf("%d results of %d events", done, n)
	}
	return nil
}

func headerOf(r kafka.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
