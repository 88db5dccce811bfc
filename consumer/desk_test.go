package consumer_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// desk is fake handlers that accuse: the test fails when two events of a customer run at once, or when an event that
// has ended is handled again, but for a replay of one that was given up.
type desk struct {
	t *testing.T
	// on does an event; nth counts its attempts from 1 on. nil is done.
	on func(ctx context.Context, run *attempt.Run, nth int) error
	// looks does a follow-up; nil is done.
	looks func(ctx context.Context, run *attempt.Run, nth int) error

	mu      sync.Mutex // guards what follows
	running map[string]string
	ended   map[string]outcome.Verdict
	nth     map[string]int
	calls   []string // event IDs of attempts, in their order
	order   []string // event IDs as they ended, in their order
	reports []consumer.Report
}

func newDesk(t *testing.T, on func(ctx context.Context, run *attempt.Run, nth int) error) *desk {
	return &desk{t: t, on: on, running: map[string]string{}, ended: map[string]outcome.Verdict{}, nth: map[string]int{}}
}

func (d *desk) handle(ctx context.Context, run *attempt.Run) error {
	return d.work(ctx, run, run.Event().ID, d.on)
}

func (d *desk) follow(ctx context.Context, run *attempt.Run) error {
	return d.work(ctx, run, run.Event().ID+" "+run.FollowUp(), d.looks)
}

func (d *desk) work(ctx context.Context, run *attempt.Run, id string, do func(context.Context, *attempt.Run, int) error) error {
	customer := run.Event().Customer
	d.mu.Lock()
	if other, busy := d.running[customer]; busy {
		d.t.Errorf("%s and %s of customer %s run at once", other, id, customer)
	}
	if end, ended := d.ended[id]; ended && (end != outcome.Rejected || !run.Replayed()) {
		d.t.Errorf("%s is handled again after its end", id)
	}
	d.running[customer] = id
	d.nth[id]++
	nth := d.nth[id]
	d.calls = append(d.calls, id)
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, customer)
	}()
	if do == nil {
		return nil
	}
	return do(ctx, run, nth)
}

// report learns of ends: they are told after state has them.
func (d *desk) report(r consumer.Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reports = append(d.reports, r)
	if r.Stage == consumer.StageIntake || r.Repeated || r.Behind {
		return
	}
	id := r.Event.ID
	if r.Follow != "" {
		id += " " + r.Follow
	}
	switch r.Verdict {
	case outcome.Done, outcome.Rejected, outcome.Unresolved:
		d.ended[id] = r.Verdict
		d.order = append(d.order, id)
	}
}

// again allows that an event is handled once more.
func (d *desk) again(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ended, id)
}

// attempts gives the event IDs of all attempts so far, in their order.
func (d *desk) attempts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// ends gives the event IDs of all that has ended so far, in that order.
func (d *desk) ends() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.order)
}

// tried says how often an event, or a follow-up ("ID name"), was attempted.
func (d *desk) tried(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nth[id]
}

// finished says whether all of these have ended.
func (d *desk) finished(ids ...string) func() bool {
	return func() bool {
		ends := d.ends()
		return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(ends, id) })
	}
}

// told gives the reports that fit.
func (d *desk) told(fits func(consumer.Report) bool) []consumer.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.reports), func(r consumer.Report) bool { return !fits(r) })
}

func mustDecode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
