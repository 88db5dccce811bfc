package bridge

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/breaker"
)

// numbers gives what the gate tells, for the registry.
func (g *gate) numbers() []prometheus.Collector {
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
			Help:        "1 for the state that the breaker before the API is in: closed (all may work), open (it is only probed), slow (beginning again).",
			ConstLabels: prometheus.Labels{"state": s.String()},
		}, func() float64 {
			if g.breaker.State() == s {
				return 1
			}
			return 0
		}))
	}
	return all
}

// register makes the gate's numbers known to a registry until unregister is called.
func (g *gate) register(r prometheus.Registerer) (unregister func(), err error) {
	if r == nil {
		return func() {}, nil
	}
	var errs []error
	all := g.numbers()
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return func() {
		for _, c := range all {
			r.Unregister(c)
		}
	}, errors.Join(errs...)
}
