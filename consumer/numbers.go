package consumer

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// namespace is what the names of all numbers begin with.
const namespace = "distributor_bridge"

// otherType stands for the types of events that no handler knows: upstream chooses them, and a label must not.
const otherType = "other"

// eventTypes are all that an event can be counted by.
var eventTypes = []string{
	schemas.TypeCustomerVerified, schemas.TypeCustomerUpdated, schemas.TypeCustomerWalletAdded, schemas.TypeCustomerLinked,
	schemas.TypeOrderPaid, schemas.TypeOrderCreditReleased, schemas.TypePositionRedeemed, schemas.TypePositionTransferred,
	otherType,
}

// Outcomes that are no verdicts.
const (
	outcomeRepeated = "repeated"
	outcomeBehind   = "behind"
	outcomeTaken    = "taken"
	outcomeSkipped  = "skipped"
)

// numbers are what an engine counts as it happens; what stands still to be looked at is in the gauges.
type numbers struct {
	events   map[reported]prometheus.Counter // all there can be, so that an event costs no search for labels
	dead     map[outcome.Reason]prometheus.Counter
	told     prometheus.Histogram
	done     prometheus.Histogram
	restores prometheus.Histogram
	attempts prometheus.Gauge
	opening  prometheus.Gauge
	retries  map[outcome.Class]prometheus.Counter

	rebalances prometheus.Counter
	fenced     prometheus.Counter
	retaken    *prometheus.CounterVec
	cures      *prometheus.CounterVec
	commits    map[bool]prometheus.Counter // by whether it was done
}

// reported is what a Report is counted by.
type reported struct{ stage, typ, outcome string }

// Why partitions were taken anew.
const (
	becauseFenced  = "fenced"
	becauseFailed  = "failed"
	becauseStuck   = "stuck"
	becauseStalled = "stalled"
)

// What the watchdog does about it.
const (
	curePartition = "partition" // the partition is taken anew
	cureRejoin    = "rejoin"    // the group is joined anew
)

// newNumbers makes the numbers, and registers them if there is a registry. Who registers them again, as a program does that
// runs an engine anew, goes on counting the same.
func newNumbers(r prometheus.Registerer) *numbers {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels))
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		}))
	}
	n := &numbers{
		told: histogram("event_to_result_seconds",
			"Time from an event's own time to the acknowledgement of its result, for events that came to their end.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600}),
		done: histogram("inbox_to_done_seconds",
			"Time from an event's append to the inbox until its offset was done: ended, or held.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600}),
		restores: histogram("state_restore_duration_seconds",
			"Time that taking a partition's state over took, reading it included.",
			[]float64{.01, .05, .1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}),
		attempts: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "attempts_in_flight",
			Help: "Handlers at work: each has at most one call of the API in flight.",
		})),
		opening: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "partitions_restoring",
			Help: "Inbox partitions whose state is being taken over, or waits for its turn to be.",
		})),
		retries:    map[outcome.Class]prometheus.Counter{},
		rebalances: counter("rebalances_total", "Generations of the inbox group that this member was in.").WithLabelValues(),
		fenced: counter("partitions_fenced_total",
			"Partitions that were dropped because another owner had taken their state over.").WithLabelValues(),
		retaken: counter("partitions_retaken_total", "Partitions that were given up and taken anew within a generation.", "reason"),
		cures:   counter("watchdog_cures_total", "What the watchdog did about work that did not go on.", "cause", "cure"),
		events:  map[reported]prometheus.Counter{}, dead: map[outcome.Reason]prometheus.Counter{},
		commits: map[bool]prometheus.Counter{},
	}
	n.count(counter)
	return n
}

// count makes all counters that have labels: as many as there can be, so that nobody looks for them later, and a first event is an
// increase that alerts can see.
func (n *numbers) count(counter func(name, help string, labels ...string) *prometheus.CounterVec) {
	events := counter("events_total", "Events and follow-ups by what became of them in one go; those of intake likewise.",
		"stage", "type", "outcome")
	for _, typ := range eventTypes {
		for _, stage := range []string{StageIntake, StageEvent, StageFollow} {
			for _, word := range outcomesOf(stage) {
				n.events[reported{stage, typ, word}] = events.WithLabelValues(stage, typ, word)
			}
		}
	}
	for _, typ := range schemas.CommandTypes() {
		for _, word := range []string{outcome.Done.String(), outcomeSkipped, outcomeRepeated} {
			n.events[reported{StageCommand, typ, word}] = events.WithLabelValues(StageCommand, typ, word)
		}
	}
	letters := counter("dead_letters_total", "Events that were given up, by reason.", "reason")
	for _, reason := range rejections {
		n.dead[reason] = letters.WithLabelValues(string(reason))
	}
	retries := counter("retries_total", "Attempts at events and follow-ups that are to be repeated, by what was observed.", "class")
	for _, class := range outcome.Classes() {
		n.retries[class] = retries.WithLabelValues(string(class))
	}
	commits := counter("commits_total", "Commits of inbox offsets, by whether they were acknowledged.", "result")
	n.commits[true], n.commits[false] = commits.WithLabelValues("done"), commits.WithLabelValues("failed")
	for _, reason := range []string{becauseFenced, becauseFailed, becauseStuck, becauseStalled} {
		n.retaken.WithLabelValues(reason)
	}
	n.cures.WithLabelValues(becauseStuck, curePartition)
	n.cures.WithLabelValues(becauseStalled, curePartition)
	n.cures.WithLabelValues(becauseStalled, cureRejoin)
}

// outcomesOf gives the words that a stage's events can be counted by.
func outcomesOf(stage string) []string {
	if stage == StageIntake {
		return []string{outcomeTaken, outcomeSkipped, outcome.Rejected.String()}
	}
	return []string{
		outcome.Done.String(), outcome.Retrying.String(), outcome.Waiting.String(), outcome.Rejected.String(),
		outcome.Unresolved.String(), outcomeRepeated, outcomeBehind,
	}
}

// rejections are the reasons that dead letters can have.
var rejections = []outcome.Reason{
	outcome.Invalid, outcome.Refused, outcome.Conflict, outcome.AmbiguousWallet, outcome.UnknownOffering,
	outcome.PersonCompanyChange, outcome.DocumentGone, outcome.DocumentTooLarge, outcome.DocumentMismatch,
	outcome.DocumentRefusedLink, outcome.NotRegistered, outcome.Expired, outcome.Bug, outcome.TooLarge,
	outcome.Undecodable, outcome.UnknownType, outcome.ForeignCommand, outcome.NeverResolved, outcome.StepChanged, outcome.Discarded,
}

// register gives c, registered, or what is registered in its place.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if known, ok := already.ExistingCollector.(C); ok {
			return known
		}
	}
	if err != nil {
		panic(err) // two numbers of one name: a mistake in this file
	}
	return c
}

// counting gives what counts a report, then passes it on.
func (n *numbers) counting(next func(Report)) func(Report) {
	return func(r Report) {
		n.report(r)
		next(r)
	}
}

func (n *numbers) report(r Report) {
	word := r.Verdict.String()
	switch {
	case r.Repeated:
		word = outcomeRepeated
	case r.Behind:
		word = outcomeBehind
	case r.Stage == StageIntake && r.Error == nil:
		word = outcomeTaken
	case r.Stage == StageIntake && r.Verdict == outcome.Done, r.Stage == StageCommand && r.Error != nil:
		word = outcomeSkipped
	}
	c := n.events[reported{r.Stage, r.Event.Type, word}]
	if c == nil {
		c = n.events[reported{r.Stage, otherType, word}]
	}
	if c != nil {
		c.Inc()
	}
	if r.Error != nil && (r.Verdict == outcome.Rejected || r.Error.Reason == outcome.NeverResolved) {
		if c := n.dead[r.Error.Reason]; c != nil {
			c.Inc()
		}
	}
}

// retried counts an attempt that is to be repeated.
func (n *numbers) retried(class outcome.Class) {
	if c := n.retries[class]; c != nil {
		c.Inc()
	}
}

// finished counts a record whose offset is done.
func (n *numbers) finished(took time.Duration) { n.done.Observe(took.Seconds()) }

// cured counts what the watchdog did.
func (n *numbers) cured(cause, cure string) { n.cures.WithLabelValues(cause, cure).Inc() }
