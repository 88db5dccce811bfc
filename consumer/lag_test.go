package consumer

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"distributor-bridge/internal/kafka"
)

// What a look found while records came in is older than what came with them, and does not count: nothing may come after them that
// would set the number right.
func TestLagOfALateLook(t *testing.T) {
	t.Parallel()
	l, tp := newLag(prometheus.NewRegistry()), kafka.TopicPartition{Topic: "orders", Partition: 1}
	l.at(tp, 100)
	l.looked(tp, 100, 150)
	if got := testutil.ToFloat64(l.told); got != 50 {
		t.Errorf("the lag is %v, want 50", got)
	}
	l.took(kafka.Fetched{TopicPartition: tp, Next: 150, HighWatermark: 150})
	l.looked(tp, 100, 150) // asked before
	if got := testutil.ToFloat64(l.told); got != 0 {
		t.Errorf("the lag is %v, want 0", got)
	}
}
