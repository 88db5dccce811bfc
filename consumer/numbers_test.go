package consumer_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// number gives what a registry says of a name with these labels ("name", "value", …), summed over all others.
func (w *world) number(r *prometheus.Registry, name string, labels ...string) float64 {
	w.t.Helper()
	families, err := r.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != "distributor_bridge_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			fits := true
			for i := 0; i < len(labels); i += 2 {
				fits = fits && have[labels[i]] == labels[i+1]
			}
			if !fits {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// All numbers are there after a run, say what happened, and keep Prometheus' conventions.
func TestNumbers(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	registry := prometheus.NewPedanticRegistry()
	w.cfg.Registry = registry
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		switch run.Event().ID {
		case "waits":
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		case "refused":
			return outcome.Reject(outcome.Refused)
		}
		return nil
	})
	m := w.start(d, true)
	unknown := w.linked("c1", "unknown")
	unknown.Type = "distributor.unheard.of"
	w.emit(w.linked("c1", "done"), w.order("c1", "o1", "waits"), w.order("c2", "o1", "refused"), unknown)
	w.until("all have been tried", func() bool { return d.finished("done", "refused")() && d.tried("waits") > 0 })
	w.committed()
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"events_total", []string{"stage", "intake", "outcome", "taken"}, 3},
		{"events_total", []string{"stage", "intake", "type", "other", "outcome", "skipped"}, 1},
		{"intake_lag_records", nil, 0},
		{"events_total", []string{"stage", "event", "type", "customer.linked", "outcome", "done"}, 1},
		{"events_total", []string{"stage", "event", "outcome", "waiting"}, 1},
		{"events_total", []string{"stage", "event", "outcome", "rejected"}, 1},
		{"dead_letters_total", []string{"reason", "refused"}, 1},
		{"held_events", []string{"reason", "investor_missing"}, 1},
		{"event_to_result_seconds", nil, 2},
		{"inbox_to_done_seconds", nil, 3},
		{"attempts_in_flight", nil, 0},
		{"partitions_assigned", nil, partitions},
		{"partitions_owned", nil, partitions},
		{"window_records", nil, 0},
		{"inbox_lag_records", nil, 0},
		{"lanes", []string{"state", "resting"}, 1},
		{"state_restore_duration_seconds", nil, partitions},
		{"rebalances_total", nil, 1},
		{"partitions_retaken_total", nil, 0},
		{"watchdog_cures_total", nil, 0},
	} {
		w.until(want.name+" is told", func() bool { return w.number(registry, want.name, want.labels...) == want.value })
	}
	if n := w.number(registry, "commits_total", "result", "done"); n < 1 {
		t.Errorf("%v commits", n)
	}
	m.stop()
	if n := w.number(registry, "partitions_owned"); n != 0 {
		t.Errorf("%v partitions after the end", n)
	}
}
