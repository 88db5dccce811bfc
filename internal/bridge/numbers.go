package bridge

import (
	"cmp"
	"errors"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/webhook"
)

// namespace is what the names of all numbers begin with.
const namespace = "distributor_bridge"

// numbers gives what all but the engine and intake tell, for the registry.
func (b *Bridge) numbers() []prometheus.Collector {
	g := b.gate
	all := append(b.ofCalls(),
		g.probes, b.hinted.all, b.built(),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "calls_per_second_limit",
			Help: "Calls a second that this member allows itself, by configuration or as learned from refusals; +Inf if there is no limit.",
		}, g.pace.Rate),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "inbox_partitions",
			Help: "Partitions of the inbox: as many have to be owned, by all members together.",
		}, func() float64 { return float64(b.cfg.Topics.Partitions) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "ready",
			Help: "1 once the member has had all that it works with, until it stops: what /readyz says.",
		}, func() float64 { return one(len(b.missing()) == 0) }),
	)
	for _, s := range []breaker.State{breaker.Closed, breaker.Open, breaker.Slow} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "breaker_state",
			Help: "1 for the state that the breaker before the API is in: closed (all may work), open (it is only probed), slow " +
				"(beginning again).",
			ConstLabels: prometheus.Labels{"state": s.String()},
		}, func() float64 { return one(g.breaker.State() == s) }))
	}
	for host := range b.documents.Down() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "document_host_down",
			Help:        "1 while documents of this host cannot be had: it is asked for one of them now and then.",
			ConstLabels: prometheus.Labels{"host": host},
		}, func() float64 { return one(b.documents.Down()[host]) }))
	}
	return all
}

// built tells what this program was built from.
func (b *Bridge) built() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, for the program's version and the Go release that it was built with.",
		ConstLabels: prometheus.Labels{"version": cmp.Or(b.cfg.Version, "unknown"), "go_version": runtime.Version()},
	})
	info.Set(1)
	return info
}

// hinted counts the provider's hints by how they were answered.
type hinted struct {
	by  map[webhook.Answer]prometheus.Counter
	all *prometheus.CounterVec
}

func newHinted() *hinted {
	h := &hinted{by: map[webhook.Answer]prometheus.Counter{}, all: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "hints_total", Help: "Hints of the provider that this member was sent, by how they were answered.",
	}, []string{"result"})}
	for _, a := range webhook.Answers() {
		h.by[a] = h.all.WithLabelValues(string(a))
	}
	return h
}

func (h *hinted) answered(a webhook.Answer) { h.by[a].Inc() }

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// register makes the numbers known to the registry until unregister is called.
func (b *Bridge) register() (unregister func(), err error) {
	r := b.cfg.Registry
	var errs []error
	var ours []prometheus.Collector // what is refused is another bridge's, and Unregister would take that one out
	for _, c := range b.numbers() {
		err := r.Register(c)
		if err == nil {
			ours = append(ours, c)
		}
		errs = append(errs, err)
	}
	return func() {
		for _, c := range ours {
			r.Unregister(c)
		}
	}, errors.Join(errs...)
}
