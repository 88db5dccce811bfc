package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// link makes the bridge know the customers, by a bridge of its own.
func (b *bench) link(ctx context.Context) error {
	l, err := b.newLoader(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.links(ctx, b.load); err != nil {
		return err
	}
	results, err := b.tail(ctx, b.topics().Results)
	if err != nil {
		return err
	}
	running, err := b.startBridge(ctx)
	if err != nil {
		return err
	}
	defer running.stop()
	_, err = b.await(ctx, "linking", running, results, len(b.load.events), func(r kafka.Record) bool { return true })
	return err
}

// measure lets the bridge do all events, then some at half that rate.
func (b *bench) measure(ctx context.Context) error {
	c := b.cmd
	if err := b.audit(ctx, http.MethodDelete, nil); err != nil {
		return err
	}
	l, err := b.newLoader(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.all(ctx, b.load, c.Events, c.BlockedCustomer); err != nil {
		return err
	}
	results, err := b.tail(ctx, b.topics().Results)
	if err != nil {
		return err
	}
	var profiles []string
	if c.Profile != "" {
		profiles = append(profiles, "--profile", c.Profile)
	}
	if c.AllocProfile != "" {
		profiles = append(profiles, "--alloc-profile", c.AllocProfile)
	}
	running, err := b.startBridge(ctx, profiles...)
	if err != nil {
		return err
	}
	defer running.stop()
	done, err := b.await(ctx, "bridge", running, results, c.Events, b.counts)
	if err != nil {
		return err
	}
	var u usage
	if err := running.ask(orderUsage, &u); err != nil {
		return err
	}
	b.throughput(done, u)
	if err := b.latency(ctx, l, running, results); err != nil {
		return err
	}
	var seen sandbox.Audit
	if err := b.audit(ctx, http.MethodGet, &seen); err != nil {
		return err
	}
	b.report.saw(seen, b.load.made-b.load.events[b.load.blocked()])
	return nil
}

// counts says whether a result counts: those of the blocked customer do not.
func (b *bench) counts(r kafka.Record) bool { return string(r.Key) != customerID(b.load.blocked()) }

func (b *bench) throughput(done []result, u usage) {
	times := make([]time.Time, len(done))
	for i, d := range done {
		times[i] = d.at
		if !d.created {
			b.report.OtherResults++
		}
	}
	r := &b.report
	r.EventsPerSecond = middleRate(times)
	took := times[len(times)-1].Sub(times[0])
	r.TookSeconds = took.Seconds()
	r.CPUPer1000 = u.CPUSeconds / float64(len(done)) * 1000
	r.PeakBytes = u.PeakBytes
	if b.cmd.Skew > 1 {
		r.ShareOfOrderLimit = new(float64(b.load.busiest()) * b.cmd.Latency.Seconds() / took.Seconds())
	}
}

// latency lets events come at half the rate that was measured, or that the busiest customer's order permits.
func (b *bench) latency(ctx context.Context, l *loader, running *child, results *tail) error {
	rate := b.report.EventsPerSecond / 2
	if b.cmd.Skew > 1 && b.cmd.Latency > 0 {
		share := float64(b.load.busiest()) / float64(b.cmd.Events)
		rate = min(rate, 1/(share*b.cmd.Latency.Seconds())/2)
	}
	n := max(100, int(rate*easy.Seconds()))
	inbox, err := b.tail(ctx, b.topics().Inbox)
	if err != nil {
		return err
	}
	if err := l.paced(ctx, b.load, n, rate); err != nil {
		return err
	}
	done, err := b.await(ctx, "latency", running, results, n, b.counts)
	if err != nil {
		return err
	}
	appended := map[string]time.Time{}
	err = inbox.read(ctx, func(r kafka.Record) { appended[headerOf(r, "ce_id")] = r.Time })
	if err != nil {
		return err
	}
	took := make([]time.Duration, 0, n)
	for _, d := range done {
		at, ok := appended[d.cause]
		if !ok || !d.created {
			b.report.OtherResults++
			continue
		}
		took = append(took, d.at.Sub(at))
	}
	slices.Sort(took)
	if len(took) > 0 {
		b.report.P50, b.report.P99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
	}
	b.report.LatencyAt = rate
	return nil
}

// audit asks the API what it saw, or resets that.
func (b *bench) audit(ctx context.Context, method string, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, b.api+"/sandbox/audit", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("ask the API: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("ask the API: status %d", res.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// middleRate gives how many a second there were between the 10th and the 90th percent. It sorts times.
func middleRate(times []time.Time) float64 {
	slices.SortFunc(times, time.Time.Compare)
	from, to := len(times)/10, len(times)*9/10
	if to <= from || !times[to].After(times[from]) {
		return 0
	}
	return float64(to-from) / times[to].Sub(times[from]).Seconds()
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

// result is one of the results topic.
type result struct {
	at      time.Time // when it was sent
	cause   string    // ID of the event
	created bool      // it tells of a wallet
}

const (
	// stalled is how long nothing may happen.
	stalled = time.Minute
	// look is between two looks. They ask for offsets only: what is measured shall not have to share the processor.
	look = 100 * time.Millisecond
)

// await waits until there are n more results that count, and gives them.
func (b *bench) await(ctx context.Context, what string, c *child, results *tail, n int, counts func(kafka.Record) bool) ([]result, error) {
	bar := newMeter(b.t, what, n)
	defer bar.end()
	done := make([]result, 0, n)
	for last, moved := 0, time.Now(); len(done) < n; {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.ended:
			return nil, c.trouble()
		case <-time.After(look):
		}
		waiting, err := results.waiting(ctx)
		if err != nil {
			return nil, err
		}
		if now := len(done) + waiting; now != last {
			last, moved = now, time.Now()
		}
		bar.set(last)
		if time.Since(moved) > stalled {
			return nil, fmt.Errorf("no result for %s, after %d of %d", stalled, last, n)
		}
		if len(done)+waiting < n {
			continue
		}
		err = results.read(ctx, func(r kafka.Record) {
			if counts(r) {
				done = append(done, result{
					at: r.Time, cause: headerOf(r, "ce_causationid"),
					created: headerOf(r, "ce_type") == b.load.contract.FullType(schemas.TypeWalletCreated),
				})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if len(done) > n {
		return nil, fmt.Errorf("%d results of %d events", len(done), n)
	}
	return done, nil
}

func headerOf(r kafka.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
