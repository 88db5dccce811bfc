package main

import (
	"context"
	"encoding/json"
	"fmt"
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
	if err := b.loading("customers", len(b.load.events), func(m meter) error { return l.links(ctx, b.load, m) }); err != nil {
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
	return b.await(ctx, "linking", running, results, len(b.load.events), watch{})
}

// loading shows a meter while load runs.
func (b *bench) loading(what string, total int, load func(meter) error) error {
	m := newMeter(b.t, what, total)
	defer m.end()
	return load(m)
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
	err = b.loading("load", c.Events, func(m meter) error { return l.all(ctx, b.load, c.Events, c.BlockedCustomer, m) })
	if err != nil {
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
	if err := b.throughput(ctx, running, results); err != nil {
		return err
	}
	if err := b.latency(ctx, l, running, results); err != nil {
		return err
	}
	seen, err := b.seen(ctx)
	if err != nil {
		return err
	}
	b.report.saw(seen, b.load.made-b.load.events[b.load.blocked()])
	return nil
}

// counts says whether a result counts: those of the blocked customer do not.
func (b *bench) counts(r kafka.Record) bool { return string(r.Key) != customerID(b.load.blocked()) }

// throughput waits until all events are done, and notes how fast that was and what it took.
func (b *bench) throughput(ctx context.Context, running *child, results *tail) error {
	r, n := &b.report, b.cmd.Events
	times := make([]int64, 0, n)
	var busy inFlight
	memory := memorySeries{process: running.cmd.Process.Pid, total: n}
	err := b.await(ctx, "bridge", running, results, n, watch{
		counts: b.counts,
		take: func(d kafka.Record) {
			times = append(times, d.Time.UnixNano())
			if !b.created(d) {
				r.OtherResults++
			}
		},
		progress: func(done int) error {
			memory.note(done)
			return busy.note(ctx, b, done, n)
		},
	})
	if err != nil {
		return err
	}
	var u usage
	if err := running.ask(orderUsage, &u); err != nil {
		return err
	}
	r.EventsPerSecond = middleRate(times)
	r.TookSeconds = time.Duration(times[len(times)-1] - times[0]).Seconds()
	r.MeanInFlight = busy.mean()
	r.spent(u.spent, n)
	r.PeakBytes, r.HeapBytes, r.Memory = float64(u.PeakBytes), float64(u.HeapBytes), memory.points
	if b.cmd.Skew > 1 {
		r.OrderLimitSeconds = float64(b.load.busiest()) * b.cmd.Latency.Seconds()
	}
	objects, err := b.stateObjects(ctx)
	r.StateObjects = float64(objects)
	r.BytesPerObject = float64(u.HeapBytes) / float64(max(objects, 1))
	return err
}

// inFlight finds how many calls were in flight on average while the middle of the events got done.
type inFlight struct {
	from, to     time.Time
	began, ended float64 // the API's seconds of calls, at these times
}

func (f *inFlight) note(ctx context.Context, b *bench, done, n int) error {
	if done < n/10 || !f.to.IsZero() {
		return nil
	}
	seen, err := b.seen(ctx)
	if f.from.IsZero() {
		f.from, f.began = time.Now(), seen.CallSeconds
		return err
	}
	if done >= n*9/10 {
		f.to, f.ended = time.Now(), seen.CallSeconds
	}
	return err
}

// mean is 0 where all went too fast to see it.
func (f *inFlight) mean() float64 {
	if f.to.IsZero() {
		return 0
	}
	return (f.ended - f.began) / f.to.Sub(f.from).Seconds()
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
	sent := make(map[string]time.Time, n) // by the event's ID
	err = b.await(ctx, "latency", running, results, n, watch{counts: b.counts, take: func(d kafka.Record) {
		if !b.created(d) {
			b.report.OtherResults++
			return
		}
		sent[headerOf(d, "ce_causationid")] = d.Time
	}})
	if err != nil {
		return err
	}
	took := make([]time.Duration, 0, n)
	err = inbox.read(ctx, func(r kafka.Record) {
		if at, ok := sent[headerOf(r, "ce_id")]; ok {
			took = append(took, at.Sub(r.Time))
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	if len(took) > 0 {
		b.report.P50, b.report.P99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
	}
	b.report.LatencyAt = rate
	return nil
}

// created says whether a result tells of a wallet, as it should.
func (b *bench) created(r kafka.Record) bool {
	return headerOf(r, "ce_type") == b.load.contract.FullType(schemas.TypeWalletCreated)
}

// seen gives what the API saw.
func (b *bench) seen(ctx context.Context) (sandbox.Audit, error) {
	var seen sandbox.Audit
	err := b.audit(ctx, http.MethodGet, &seen)
	return seen, err
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
