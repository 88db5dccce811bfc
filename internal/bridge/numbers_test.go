package bridge_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
)

// number gives the value of a number with these labels.
func number(t *testing.T, r *prometheus.Registry, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			fits := f.GetName() == "distributor_bridge_"+name && len(m.GetLabel()) == len(labels)
			for _, l := range m.GetLabel() {
				fits = fits && labels[l.GetName()] == l.GetValue()
			}
			if fits {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no %s %v", name, labels)
	return 0
}

// The numbers say what stands between the bridge and the API, are gone when it ends, and keep Prometheus' conventions.
func TestNumbers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		quietly(w)
		o := &outage{answer: says(503)}
		w.intercept(o.handler)
		registry := prometheus.NewPedanticRegistry()
		l := under(w, 400*time.Millisecond)
		m := w.start(l.watch, func(cfg *bridge.Config) {
			cfg.Registry, cfg.Documents.AllowedHosts = registry, []string{"docs.example.com"}
		})
		l.begin()
		time.Sleep(10 * time.Second)
		is := func(state string, want float64) {
			t.Helper()
			if got := number(t, registry, "breaker_state", map[string]string{"state": state}); got != want {
				t.Errorf("breaker_state %s is %v, want %v", state, got, want)
			}
		}
		is("closed", 1)
		is("open", 0)
		if got := number(t, registry, "calls_per_second_limit", nil); !math.IsInf(got, 1) {
			t.Errorf("a limit of %v where none is known", got)
		}
		if got := number(t, registry, "document_host_down", map[string]string{"host": "docs.example.com:443"}); got != 0 {
			t.Errorf("a host that nobody asked is down: %v", got)
		}
		o.on.Store(true)
		time.Sleep(20 * time.Second)
		is("open", 1)
		is("closed", 0)
		if got := number(t, registry, "breaker_probes_total", nil); got < 5 || got > 20 {
			t.Errorf("%v probes", got)
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		o.on.Store(false)
		l.end()
		l.await(10 * time.Second)
		is("closed", 1)
		m.stop()
		if n, err := testutil.GatherAndCount(registry, "distributor_bridge_breaker_state"); err != nil || n != 0 {
			t.Errorf("%d states after the end: %v", n, err)
		}
		l.audit()
	})
}
