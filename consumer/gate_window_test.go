package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/schemas"
)

// heavy makes an event about a customer that takes so much room.
func (w *world) heavy(customer, id string, bytes int) schemas.Event {
	return w.event(schemas.TypeCustomerLinked, id,
		fmt.Sprintf(`{"customer_id":%q,"investor_id":"16fd2706-8baf-433b-82eb-8c7fada847da","note":%q}`, customer, strings.Repeat("x", bytes)))
}

// What waits at the gate takes memory like what waits for its lane: in an outage no more is fetched than may be in hand.
func TestGateShutFillsWindow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		g := newTurnstile(t, 0)
		registry := prometheus.NewPedanticRegistry()
		w.cfg.Gate, w.cfg.Registry, w.cfg.MaxPayload = g, registry, 600<<10
		d := newDesk(t, g.passes(func(context.Context, *attempt.Run, int) error { return nil }))
		m := w.start(d, false)
		var all []string
		for i := range 300 { // 6 MB
			all = append(all, fmt.Sprint("e", i))
			w.put(w.heavy(fmt.Sprint("c", i), all[i], 20<<10))
		}
		time.Sleep(15 * time.Minute)
		if n, most := w.number(registry, "window_records"), float64(600/20+partitions*2*64/20); n > most || n < 10 {
			t.Errorf("%v records are in hand while the gate is shut, want at most %v", n, most)
		}
		if n := w.number(registry, "window_bytes"); n < 600<<10 {
			t.Errorf("the window is full with %v bytes", n)
		}
		if n := w.number(registry, "window_full"); n != partitions {
			t.Errorf("%v partitions are full", n)
		}
		g.open(10)
		w.until("all have ended", d.finished(all...))
		w.committed()
		if n := w.number(registry, "window_bytes") + w.number(registry, "window_full"); n != 0 {
			t.Errorf("%v bytes and full windows are left", n)
		}
		if n := w.number(registry, "watchdog_cures_total") + w.number(registry, "partitions_retaken_total"); n != 0 {
			t.Errorf("%v cures", n)
		}
		m.stop()
		g.empty()
	})
}

// Events that are larger than all that a partition may hold, and a customer with more than that behind one that takes long, go on
// one by one.
func TestLargerThanWindow(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		registry := prometheus.NewPedanticRegistry()
		w.cfg.Registry, w.cfg.MaxPayload = registry, 300<<10
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "long" {
				time.Sleep(3 * time.Minute)
			}
			return nil
		})
		m := w.start(d, false)
		all := []string{"long"}
		w.put(w.linked("c", "long"))
		for i := range 40 {
			small, large := fmt.Sprint("small", i), fmt.Sprint("large", i)
			w.put(w.heavy("c", small, 20<<10), w.heavy(fmt.Sprint("other", i), large, 200<<10))
			all = append(all, small, large)
		}
		w.until("all have ended", d.finished(all...))
		w.committed()
		if n := w.number(registry, "watchdog_cures_total") + w.number(registry, "partitions_retaken_total"); n != 0 {
			t.Errorf("%v cures", n)
		}
		m.stop()
	})
}
