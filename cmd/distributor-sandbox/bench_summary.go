package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// benchSummary is what several runs have shown: medians, and the sums of what is to be none.
type benchSummary struct {
	benchReport
	Runs   []benchReport         `json:"run_reports,omitempty"` // all, in their order; none if there was one
	Spread map[string][2]float64 `json:"spread,omitempty"`      // least and most, of those that the medians are of
	Pairs  []benchPair           `json:"pairs,omitempty"`
	Slow   *float64              `json:"slow_down_percent,omitempty"` // median of the pairs'
}

// benchPair is a run without the blocked customer and one with it.
type benchPair struct {
	Without float64 `json:"without_per_second"`
	With    float64 `json:"with_per_second"`
	Slow    float64 `json:"slow_down_percent"` // of the other customers' events
}

// figures are the numbers of a report that have a median.
func (r *benchReport) figures() map[string]*float64 {
	return map[string]*float64{
		"events_per_second": &r.EventsPerSecond, "share_of_bare_client": &r.ShareOfBare, "p50_ms": &r.P50, "p99_ms": &r.P99,
		"cpu_seconds_per_1000_events": &r.CPUPer1000, "gc_share_of_cpu": &r.GCShare,
		"allocations_per_event": &r.Allocations, "allocated_bytes_per_event": &r.AllocatedBytes, "peak_memory_bytes": &r.PeakBytes,
		"bare_client_per_second": &r.BarePerSecond, "most_in_flight": &r.MostInFlight, "mean_in_flight": &r.MeanInFlight,
		"latency_at_events_per_second": &r.LatencyAt, "took_seconds": &r.TookSeconds, "state_objects": &r.StateObjects,
		"heap_bytes": &r.HeapBytes, "bytes_per_object": &r.BytesPerObject, "order_limit_seconds": &r.OrderLimitSeconds,
		"order_permits_per_second": &r.OrderPermits, "share_of_order_limit": &r.ShareOfOrderLimit,
	}
}

// summarize makes one of the runs' reports, of which there is at least one.
func summarize(c *BenchCmd, runs []benchReport) benchSummary {
	if len(runs) == 1 {
		return benchSummary{benchReport: runs[0]}
	}
	of := runs
	if c.Pairs > 0 {
		of = slices.DeleteFunc(slices.Clone(runs), func(r benchReport) bool { return !r.BlockedCustomer })
	}
	s := benchSummary{benchReport: of[0], Runs: runs, Spread: map[string][2]float64{}}
	s.pair(c)
	for name, figure := range s.figures() {
		all := make([]float64, len(of))
		for i := range of {
			all[i] = *of[i].figures()[name]
		}
		*figure = median(all)
		if most := slices.Max(all); most > 0 { // else it was not measured
			s.Spread[name] = [2]float64{slices.Min(all), most}
		}
	}
	s.Inversions, s.Doubled, s.Repeats, s.Lost, s.OtherResults = 0, 0, 0, 0, 0
	for _, r := range runs {
		s.Inversions += r.Inversions
		s.Doubled += r.Doubled
		s.Repeats += r.Repeats
		s.Lost += r.Lost
		s.OtherResults += r.OtherResults
	}
	return s
}

// pair takes the runs two by two.
func (s *benchSummary) pair(c *BenchCmd) {
	if c.Pairs == 0 {
		return
	}
	var slow []float64
	for two := range slices.Chunk(s.Runs, 2) {
		without, with := two[0], two[1]
		if without.BlockedCustomer {
			without, with = with, without
		}
		p := benchPair{Without: without.EventsPerSecond, With: with.EventsPerSecond}
		p.Slow = (1 - p.With/p.Without) * 100
		s.Pairs = append(s.Pairs, p)
		slow = append(slow, p.Slow)
	}
	s.Slow = new(median(slow))
}

// median gives the one in the middle, or what is between the two there.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func (s *benchSummary) tell(t terminal, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(t.stdout).Encode(s)
	}
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	r := &s.benchReport
	row("work", "%d events of %d customers, %d partitions, broker %s", r.Events, r.Customers, r.Partitions, r.Broker)
	if len(s.Spread) > 0 {
		row("runs", "%d: medians (least to most)", len(s.Runs))
	}
	if r.WarmUp > 0 {
		row("warm-up", "%d runs before, which do not count", r.WarmUp)
	}
	row("API", "%d calls in flight allowed, %.0f ms each; it saw %.1f on average, %.0f at most",
		r.InFlight, r.LatencyMS, r.MeanInFlight, r.MostInFlight)
	row("events/s", "%.0f%s", r.EventsPerSecond, s.spread("events_per_second", "%.0f"))
	row("bare client", "%.0f calls/s: the bridge reaches %.2f%s of it",
		r.BarePerSecond, r.ShareOfBare, s.spread("share_of_bare_client", "%.2f"))
	if r.OrderLimitSeconds > 0 {
		row("order's limit", "the busiest customer's calls, one after the other, take %.1f s: %.0f events/s at most",
			r.OrderLimitSeconds, r.OrderPermits)
		row("", "the bridge reaches %.2f%s of it", r.ShareOfOrderLimit, s.spread("share_of_order_limit", "%.2f"))
	}
	for i, p := range s.Pairs {
		row(strings.Repeat("blocked customer", 1-min(i, 1)), "without %.0f events/s, with %.0f: %+.1f %%", p.Without, p.With, -p.Slow)
	}
	if s.Slow != nil {
		row("", "the others are slowed down by %.1f %% (median)", *s.Slow)
	}
	row("order inversions", "%d", r.Inversions)
	row("effects twice", "%d (%d calls repeated)", r.Doubled, r.Repeats)
	row("lost", "%d", r.Lost)
	row("inbox to result", "p50 %.0f ms, p99 %.0f%s ms, at %.0f events/s", r.P50, r.P99, s.spread("p99_ms", "%.0f"), r.LatencyAt)
	row("processor", "%.3f%s s per 1,000 events", r.CPUPer1000, s.spread("cpu_seconds_per_1000_events", "%.3f"))
	row("", "%.0f %% of it in the garbage collector; %.0f allocations, %.1f KB an event",
		r.GCShare*100, r.Allocations, r.AllocatedBytes/1e3)
	row("memory", "%.0f MB at most%s", r.PeakBytes/1e6, s.resident())
	row("state", "%.0f objects, %.0f bytes of heap each, all else that it keeps included", r.StateObjects, r.BytesPerObject)
	return w.Flush()
}

// spread tells from where to where a figure goes, if there were several runs.
func (s *benchSummary) spread(name, format string) string {
	ends, ok := s.Spread[name]
	if !ok {
		return ""
	}
	return fmt.Sprintf(" ("+format+" to "+format+")", ends[0], ends[1])
}

// resident tells how the memory went along.
func (s *benchSummary) resident() string {
	var b strings.Builder
	for _, share := range []float64{0.25, 0.5, 0.75, 1} {
		if p, ok := at(s.Memory, s.Events, share); ok {
			fmt.Fprintf(&b, ", %.0f at %.0f %%", float64(p.Bytes)/1e6, share*100)
		}
	}
	return b.String()
}
