package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
)

// chaosReport is what a run has shown. Its JSON names are stable.
type chaosReport struct {
	Kept   bool          `json:"kept"` // all promises
	Trials []trialReport `json:"trials"`

	Broker     string  `json:"broker"` // in-process or apache
	Members    int     `json:"members"`
	Partitions int     `json:"partitions"`
	Customers  int     `json:"customers"`
	Rate       float64 `json:"events_per_second"`
	InFlight   int     `json:"in_flight"`
	LatencyMS  float64 `json:"latency_ms"`
	SessionMS  float64 `json:"session_ms"`
	Seed       uint64  `json:"seed"`
}

// trialReport is what a trial has shown.
type trialReport struct {
	Trial string `json:"trial"`
	Times int    `json:"times"`
	findings
	Takeovers    int `json:"takeovers"`              // kills and freezes, and members that were put out because they were too slow
	MostRepeated int `json:"repeated_calls_at_most"` // after kills and freezes: what can have been in flight; else 0

	PauseMedian    float64  `json:"pause_ms_median"` // of the partition with the longest
	PauseWorst     float64  `json:"pause_ms_worst"`
	AllPauseMedian float64  `json:"all_partitions_pause_ms_median"`
	AllPauseWorst  float64  `json:"all_partitions_pause_ms_worst"`
	Away           *float64 `json:"broker_away_ms,omitempty"`     // longest, from the broker's kill until it answered again
	Recovery       *float64 `json:"broker_recovery_ms,omitempty"` // longest, from then until all partitions worked
	Compacted      int      `json:"compacted_state_records"`      // that the log cleaner had taken away before the fresh start
	Scaled         *scaled  `json:"scaled,omitempty"`
	TookSeconds    float64  `json:"took_seconds"`
	Broken         []string `json:"broken,omitempty"` // promises
}

func newChaosReport(c *ChaosCmd) chaosReport {
	kind := "in-process"
	if c.Libs != "" {
		kind = "apache"
	}
	return chaosReport{
		Broker: kind, Members: c.Members, Partitions: c.Partitions, Customers: c.Customers, Rate: c.Rate,
		InFlight: c.InFlight, LatencyMS: ms(c.Latency), SessionMS: ms(c.Session), Seed: c.Seed, Trials: []trialReport{},
	}
}

func newTrialReport(r *trial, times int, found findings) trialReport {
	t := trialReport{Trial: r.name, Times: times, findings: found, Compacted: r.compacted}
	if r.name == "kill" || r.name == "freeze" {
		t.Takeovers = max(times, r.takeovers)
		t.MostRepeated = t.Takeovers * r.run.cmd.InFlight
		if t.Repeated > t.MostRepeated {
			t.note("%d calls were repeated: at most %d can have been in flight", t.Repeated, t.MostRepeated)
		}
	}
	partition, all := pauses(r.times, r.disturbed)
	if len(partition) > 0 {
		t.PauseMedian, t.PauseWorst = ms(middle(partition)), ms(slices.Max(partition))
		t.AllPauseMedian, t.AllPauseWorst = ms(middle(all)), ms(slices.Max(all))
	}
	if len(r.steps) > 0 {
		t.Scaled = newScaled(r, partition, all)
		t.judge(t.Scaled)
	}
	if len(r.recovered) > 0 {
		t.Away, t.Recovery = new(ms(slices.Max(r.away))), new(ms(slices.Max(r.recovered)))
	}
	t.Broken = t.problems()
	return t
}

// verdict is an error if a promise was broken.
func (r *chaosReport) verdict() error {
	var broken []string
	for _, t := range r.Trials {
		if len(t.Broken) > 0 {
			broken = append(broken, t.Trial+": "+strings.Join(t.Broken, "\n  "))
		}
	}
	if len(broken) == 0 {
		return nil
	}
	return errors.New("a promise was broken\n" + strings.Join(broken, "\n"))
}

func (r *chaosReport) tell(t terminal, asJSON bool) error {
	r.Kept = r.verdict() == nil
	if asJSON {
		return json.NewEncoder(t.stdout).Encode(r)
	}
	fmt.Fprintf(t.stdout, "%d members with %d calls in flight each, %d partitions, broker %s\n",
		r.Members, r.InFlight, r.Partitions, r.Broker)
	fmt.Fprintf(t.stdout, "%.0f events/s of %d customers, session %s, seed %d\n\n", r.Rate, r.Customers,
		time.Duration(r.SessionMS)*time.Millisecond, r.Seed)
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "trial\tevents\teffects\tlost\ttwice\tinverted\trepeated calls\trepeated results\tpause\tstandstill\ttook\t")
	for _, l := range r.Trials {
		repeated := fmt.Sprint(l.Repeated)
		if l.MostRepeated > 0 {
			repeated += fmt.Sprintf(" of %d", l.MostRepeated)
		}
		verdict := "kept"
		if len(l.Broken) > 0 {
			verdict = "BROKEN"
		}
		fmt.Fprintf(w, "%s %d\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%s, %s\t%s, %s\t%.0fs\t%s\n", l.Trial, l.Times, l.Events, l.Effects,
			l.Missing+l.Lost+l.NoResult, l.Doubled+l.Strange, l.Inversions+l.Overtaken, repeated, l.Again,
			seconds(l.PauseMedian), seconds(l.PauseWorst), seconds(l.AllPauseMedian), seconds(l.AllPauseWorst), l.TookSeconds, verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t.stdout, "\nThe longest time without a result, median and worst: pause of a partition, standstill of all.")
	for _, l := range r.Trials {
		if l.Recovery != nil {
			fmt.Fprintf(t.stdout, "%s: it answered again %s after its kill; %s later all partitions worked.\n", l.Trial,
				seconds(*l.Away), seconds(*l.Recovery))
		}
		if l.Compacted > 0 {
			fmt.Fprintf(t.stdout, "%s: the log cleaner had taken %d records of state away; a fresh member restored the rest.\n", l.Trial,
				l.Compacted)
		}
		l.Scaled.tell(t.stdout)
	}
	return nil
}

func seconds(ms float64) string { return fmt.Sprintf("%.1fs", ms/1000) }

// newCount is a progress bar of things that are not events.
func newCount(t terminal, what string, total int) meter {
	if !isTerminal(t.stderr) {
		return meter{t: t}
	}
	return meter{t: t, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(t.stderr), progressbar.OptionSetDescription(fmt.Sprintf("%-11s", what)),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(), progressbar.OptionEnableColorCodes(styleFor(t.stderr, t).on))}
}
