package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"distributor-bridge/internal/sandbox"
)

// benchReport is what a run has shown, or several. Its JSON names are stable.
type benchReport struct {
	EventsPerSecond float64 `json:"events_per_second"`
	ShareOfBare     float64 `json:"share_of_bare_client"`
	Inversions      int     `json:"order_inversions"`
	Doubled         int     `json:"duplicate_effects"`
	P50             float64 `json:"p50_ms"`
	P99             float64 `json:"p99_ms"`
	CPUPer1000      float64 `json:"cpu_seconds_per_1000_events"`
	GCShare         float64 `json:"gc_share_of_cpu"`
	Allocations     float64 `json:"allocations_per_event"`
	AllocatedBytes  float64 `json:"allocated_bytes_per_event"`
	PeakBytes       float64 `json:"peak_memory_bytes"`
	BarePerSecond   float64 `json:"bare_client_per_second"`
	MostInFlight    float64 `json:"most_in_flight"` // as the API saw it
	MeanInFlight    float64 `json:"mean_in_flight"` // between the 10th and the 90th percent; 0: too few to see it
	Repeats         int     `json:"repeated_calls"` // with the same key: no effect
	Lost            int     `json:"lost_events"`    // with a result and without an effect
	OtherResults    int     `json:"other_results"`  // than wallet.created
	LatencyAt       float64 `json:"latency_at_events_per_second"`
	TookSeconds     float64 `json:"took_seconds"` // from the first result to the last

	StateObjects   float64       `json:"state_objects"`
	HeapBytes      float64       `json:"heap_bytes"` // after the last result, without garbage, more than at the start
	BytesPerObject float64       `json:"bytes_per_object"`
	Memory         []memoryPoint `json:"memory_series,omitempty"`

	// With a skew.
	OrderLimitSeconds float64 `json:"order_limit_seconds,omitempty"` // the busiest customer's calls, one after the other
	OrderPermits      float64 `json:"order_permits_per_second,omitempty"`
	ShareOfOrderLimit float64 `json:"share_of_order_limit,omitempty"`

	Broker          string  `json:"broker"` // in-process, apache or external
	WarmUp          int     `json:"warm_up"`
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
		WarmUp: c.WarmUp, Events: c.Events, Customers: c.Customers, Skew: c.Skew, Partitions: c.Partitions, InFlight: c.InFlight,
		LatencyMS: ms(c.Latency), BlockedCustomer: c.BlockedCustomer,
	}
}

// spent takes over what the bridge has used up for n events.
func (r *benchReport) spent(s spent, n int) {
	r.CPUPer1000, r.GCShare = s.CPUSeconds/float64(n)*1000, s.GCSeconds/s.CPUSeconds
	r.Allocations, r.AllocatedBytes = float64(s.Allocations)/float64(n), float64(s.AllocatedBytes)/float64(n)
}

// saw takes over what the API saw, of events that have a result.
func (r *benchReport) saw(a sandbox.Audit, events int) {
	r.Inversions, r.Doubled, r.Repeats, r.MostInFlight = a.Inversions, a.Doubled, a.Repeats, float64(a.InFlight)
	r.Lost = max(0, events-(a.Effects-a.Doubled)) // the blocked customer's effects can hide as many
}

// compare takes over the bare client's rate.
func (r *benchReport) compare(bare float64) {
	r.BarePerSecond = bare
	r.ShareOfBare = r.EventsPerSecond / bare
	if r.OrderLimitSeconds > 0 {
		r.OrderPermits = min(bare, float64(r.Events)/r.OrderLimitSeconds)
		// Not the rate in the middle, which the other customers' events make: the busiest one's go on to the end.
		r.ShareOfOrderLimit = float64(r.Events) / r.TookSeconds / r.OrderPermits
	}
}

// verdict is an error if a promise was broken.
func (r *benchReport) verdict() error {
	if r.Inversions+r.Doubled+r.Lost+r.OtherResults == 0 {
		return nil
	}
	return fmt.Errorf("%d order inversions, %d effects twice, %d events lost, %d other results: want none",
		r.Inversions, r.Doubled, r.Lost, r.OtherResults)
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

// count sets the meter now and then: it is called for every single one.
func (m meter) count(n int) {
	if n%500 == 0 {
		m.set(n)
	}
}

func (m meter) end() {
	if m.bar != nil {
		_ = m.bar.Clear()
		_ = m.bar.Exit()
	}
}
