package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"distributor-bridge/internal/sandbox"
)

// benchReport is what a run has shown. Its JSON names are stable.
type benchReport struct {
	EventsPerSecond   float64  `json:"events_per_second"`
	ShareOfBare       float64  `json:"share_of_bare_client"`
	Inversions        int      `json:"order_inversions"`
	Doubled           int      `json:"duplicate_effects"`
	P50               float64  `json:"p50_ms"`
	P99               float64  `json:"p99_ms"`
	CPUPer1000        float64  `json:"cpu_seconds_per_1000_events"`
	PeakBytes         int64    `json:"peak_memory_bytes"`
	BarePerSecond     float64  `json:"bare_client_per_second"`
	MostInFlight      int      `json:"most_in_flight"` // as the API saw it
	Repeats           int      `json:"repeated_calls"` // with the same key: no effect
	Lost              int      `json:"lost_events"`    // with a result and without an effect
	OtherResults      int      `json:"other_results"`  // than wallet.created
	ShareOfOrderLimit *float64 `json:"share_of_order_limit,omitempty"`
	LatencyAt         float64  `json:"latency_at_events_per_second"`
	TookSeconds       float64  `json:"took_seconds"` // from the first result to the last

	Broker          string  `json:"broker"` // in-process, apache or external
	Events          int     `json:"events"`
	Customers       int     `json:"customers"`
	Skew            float64 `json:"skew"`
	Partitions      int     `json:"partitions"`
	InFlight        int     `json:"in_flight"`
	LatencyMS       float64 `json:"latency_ms"`
	BlockedCustomer bool    `json:"blocked_customer"`
}

func newBenchReport(c *BenchCmd) benchReport {
	return benchReport{
		Events: c.Events, Customers: c.Customers, Skew: c.Skew, Partitions: c.Partitions, InFlight: c.InFlight,
		LatencyMS: ms(c.Latency), BlockedCustomer: c.BlockedCustomer,
	}
}

// saw takes over what the API saw, of events that have a result.
func (r *benchReport) saw(a sandbox.Audit, events int) {
	r.Inversions, r.Doubled, r.Repeats, r.MostInFlight = a.Inversions, a.Doubled, a.Repeats, a.InFlight
	r.Lost = max(0, events-(a.Effects-a.Doubled)) // the blocked customer's effects can hide as many
}

// verdict is an error if a promise was broken.
func (r *benchReport) verdict() error {
	if r.Inversions+r.Doubled+r.Lost+r.OtherResults == 0 {
		return nil
	}
	return fmt.Errorf("%d order inversions, %d effects twice, %d events lost, %d other results: want none",
		r.Inversions, r.Doubled, r.Lost, r.OtherResults)
}

func (r *benchReport) tell(t terminal, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(t.stdout).Encode(r)
	}
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("work", "%d events of %d customers, %d partitions, broker %s", r.Events, r.Customers, r.Partitions, r.Broker)
	row("API", "%d calls in flight, %.0f ms each; it saw at most %d", r.InFlight, r.LatencyMS, r.MostInFlight)
	row("events/s", "%.0f", r.EventsPerSecond)
	row("bare client", "%.0f calls/s: the bridge reaches %.2f of it", r.BarePerSecond, r.ShareOfBare)
	if r.ShareOfOrderLimit != nil {
		row("order's limit", "%.2f of what the busiest customer permits", *r.ShareOfOrderLimit)
	}
	row("order inversions", "%d", r.Inversions)
	row("effects twice", "%d (%d calls repeated)", r.Doubled, r.Repeats)
	row("lost", "%d", r.Lost)
	row("inbox to result", "p50 %.0f ms, p99 %.0f ms, at %.0f events/s", r.P50, r.P99, r.LatencyAt)
	row("processor", "%.3f s per 1,000 events", r.CPUPer1000)
	row("peak memory", "%.0f MB", float64(r.PeakBytes)/1e6)
	return w.Flush()
}

// meter is a progress bar on a terminal, else nothing.
type meter struct {
	bar *progressbar.ProgressBar
	t   terminal
}

func newMeter(t terminal, what string, total int) meter {
	if !isTerminal(t.stderr) {
		return meter{t: t}
	}
	return meter{t: t, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(t.stderr), progressbar.OptionSetDescription(fmt.Sprintf("%-11s", what)),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionEnableColorCodes(styleFor(t.stderr, t).on))}
}

func (m meter) set(n int) {
	if m.bar != nil {
		_ = m.bar.Set(min(n, m.bar.GetMax())) // a terminal that cannot be written to
	}
}

func (m meter) end() {
	if m.bar != nil {
		_ = m.bar.Clear()
		_ = m.bar.Exit()
	}
}
