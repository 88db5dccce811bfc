package consumer

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// gauges tell what the engine has in hand, when they are asked. It costs a look at every lane, and at the records of those
// customers who have something to be done; nothing while nobody asks.
type gauges struct {
	engine *Engine
	all    []*prometheus.Desc

	assigned, owned, lanes, heldEvents, heldAge                          *prometheus.Desc
	windowRecords, windowBytes, lag, oldest, stateObjects, paused, types *prometheus.Desc
	heldFull, unresolved, lost                                           *prometheus.Desc
}

func newGauges(e *Engine) *gauges {
	g := &gauges{engine: e}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
		g.all = append(g.all, d)
		return d
	}
	g.assigned = desc("partitions_assigned", "Inbox partitions that the group has given to this member.")
	g.owned = desc("partitions_owned", "Inbox partitions whose state this member has taken over: they are worked on.")
	g.lanes = desc("lanes", "Customers with something to be done, by whether their lane is at work, ready and waiting for a "+
		"place among those at work, gated while the API is down or takes no more, paused in a short trouble, or resting until "+
		"something held is due.", "state")
	g.heldEvents = desc("held_events", "Events and follow-ups that cannot finish now, by reason.", "reason")
	g.heldAge = desc("held_oldest_age_seconds", "Time since the oldest held event was held, by reason.", "reason")
	g.unresolved = desc("unresolved_events", "Held events of which nobody knows whether they happened: a person has to look "+
		"(distributor-bridge held list --verdict unknown).")
	g.windowRecords = desc("window_records", "Inbox records that were taken, from the first on that is not done.", "partition")
	g.windowBytes = desc("window_bytes", "Memory that the records take which were taken and are not done.", "partition")
	g.paused = desc("window_full", "1 while the window is so full that nothing is fetched.", "partition")
	g.heldFull = desc("held_full", "1 while so many events are held that nothing is fetched.", "partition")
	g.lost = desc("inbox_lost", "1 while the partition stands still, since events that were not done are not in the inbox any more.",
		"partition")
	g.lag = desc("inbox_lag_records", "Inbox records that are not done: in the window, and not fetched yet.", "partition")
	g.oldest = desc("oldest_event_age_seconds", "Age in the inbox of the oldest fetched event that is not done; 0 if all are.", "partition")
	g.stateObjects = desc("state_objects", "Objects in the partition's state.", "partition")
	g.types = desc("paused_partitions", "Owned partitions in which events of the type are not attempted, since too many of them "+
		"were rejected: an operator has to let them go on (distributor-bridge resume).", "type")
	return g
}

// Describe is for the registry.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.all {
		ch <- d
	}
}

// Collect is for the registry.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var assigned int
	var owned []*partition
	g.engine.mu.Lock()
	if s := g.engine.present; s != nil {
		assigned, owned = len(s.lives), s.owned()
	}
	g.engine.mu.Unlock()
	tell(g.assigned, float64(assigned))
	tell(g.owned, float64(len(owned)))
	now := time.Now()
	lanes := map[string]int{"working": 0, "ready": 0, "gated": 0, "paused": 0, "resting": 0}
	all, halted := held{reasons: map[string]heldReason{}}, map[string]int{}
	for _, typ := range eventTypes {
		halted[typ] = 0
	}
	for _, p := range owned {
		for typ := range p.store.Control().Paused {
			halted[typ]++
		}
		v := p.view(now, lanes)
		name := strconv.Itoa(p.number)
		tell(g.windowRecords, float64(v.window), name)
		tell(g.windowBytes, float64(v.bytes), name)
		tell(g.paused, v.full, name)
		tell(g.heldFull, v.brimful, name)
		tell(g.lost, v.lost, name)
		tell(g.lag, float64(v.lag), name)
		tell(g.oldest, v.oldest.Seconds(), name)
		tell(g.stateObjects, float64(p.store.Len()), name)
		for _, customer := range v.customers {
			all.add(p, customer)
		}
	}
	for typ, n := range halted {
		tell(g.types, float64(n), typ)
	}
	for state, n := range lanes {
		tell(g.lanes, float64(n), state)
	}
	tell(g.unresolved, float64(all.unresolved))
	for reason, h := range all.reasons {
		tell(g.heldEvents, float64(h.count), reason)
		if !h.since.IsZero() {
			tell(g.heldAge, max(0, now.Sub(h.since).Seconds()), reason)
		}
	}
}

// view is what a partition has in hand at a moment.
type view struct {
	window, bytes       int
	full, brimful, lost float64
	lag                 int64
	oldest              time.Duration
	customers           []string // who have a lane
}

// view looks, and counts the lanes by what they are at.
func (p *partition) view(now time.Time, lanes map[string]int) view {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := view{window: p.window.open(), bytes: p.bytes, lag: int64(p.window.undone()) + max(0, p.known-p.next)}
	if p.full {
		v.full = 1
	}
	if p.brimful {
		v.brimful = 1
	}
	if p.lost {
		v.lost = 1
	}
	if _, written, ok := p.window.oldest(); ok {
		v.oldest = max(0, now.Sub(written))
	}
	for customer, l := range p.lanes {
		v.customers = append(v.customers, customer)
		switch {
		case l.running:
			lanes["working"]++
		case l.queued, l.waits:
			lanes["ready"]++
		case l.gated, l.seated:
			lanes["gated"]++
		case l.paused:
			lanes["paused"]++
		default:
			lanes["resting"]++
		}
	}
	return v
}

// held counts held events by reason, and those that are unknown.
type held struct {
	reasons    map[string]heldReason
	unresolved int
}

type heldReason struct {
	count int
	since time.Time // of the oldest
}

// add counts what a customer has. Records in a store are never changed, so they can be looked at beside the lane.
func (h *held) add(p *partition, customer string) {
	for _, e := range p.store.Live(customer) { // among them is all that is held
		r := e.Record
		for i := range r.Work {
			w := &r.Work[i]
			if w.Held == outcome.Done {
				continue
			}
			h.count(reasonOf(w), 1, w.Since)
			if w.Held == outcome.Unresolved {
				h.unresolved++
			}
		}
		if n := len(r.Behind); n > 0 {
			h.count(outcomeBehind, n, time.Time{})
		}
	}
}

func reasonOf(w *attempt.Work) string {
	if w.Reason == "" { // it was taken up again, and not held since
		return string(outcome.Temporary)
	}
	return string(w.Reason)
}

func (h *held) count(reason string, n int, since time.Time) {
	of := h.reasons[reason]
	of.count += n
	if !since.IsZero() && (of.since.IsZero() || since.Before(of.since)) {
		of.since = since
	}
	h.reasons[reason] = of
}
