package bridge

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/breaker"
)

// numbers gives what the gate and the documents' hosts tell, for the registry.
func (b *Bridge) numbers() []prometheus.Collector {
	g := b.gate
	all := []prometheus.Collector{
		g.probes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "distributor_bridge", Name: "calls_per_second_limit",
			Help: "Calls a second that this member allows itself, by configuration or as learned from refusals; +Inf if there is no limit.",
		}, g.pace.Rate),
	}
	for _, s := range []breaker.State{breaker.Closed, breaker.Open, breaker.Slow} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "distributor_bridge", Name: "breaker_state",
			Help: "1 for the state that the breaker before the API is in: closed (all may work), open (it is only probed), slow " +
				"(beginning again).",
			ConstLabels: prometheus.Labels{"state": s.String()},
		}, func() float64 { return one(g.breaker.State() == s) }))
	}
	for host := range b.documents.Down() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "distributor_bridge", Name: "document_host_down",
			Help:        "1 while documents of this host cannot be had: it is asked for one of them now and then.",
			ConstLabels: prometheus.Labels{"host": host},
		}, func() float64 { return one(b.documents.Down()[host]) }))
	}
	return all
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// register makes the numbers known to the registry, if there is one, until unregister is called.
func (b *Bridge) register() (unregister func(), err error) {
	r := b.cfg.Registry
	if r == nil {
		return func() {}, nil
	}
	var errs []error
	all := b.numbers()
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return func() {
		for _, c := range all {
			r.Unregister(c)
		}
	}, errors.Join(errs...)
}
