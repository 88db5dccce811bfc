package consumer

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/kafka"
)

// lag tells how many of upstream's records are still to be taken in.
type lag struct{ *prometheus.GaugeVec }

func newLag(r prometheus.Registerer) lag {
	return lag{register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "intake_lag_records", Help: "Upstream's records that are not taken in yet.",
	}, []string{"topic", "partition"}))}
}

// took takes note of what a partition gave, and has still to give.
func (l lag) took(got kafka.Fetched) {
	if got.HighWatermark >= 0 {
		l.WithLabelValues(got.Topic, strconv.Itoa(got.Partition)).Set(float64(max(0, got.HighWatermark-got.Next)))
	}
}
