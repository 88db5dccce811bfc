package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Stopped between an outcome's write and its publication: what a follow-up finds then is told after it, not before.
func TestNewsAfterItsCause(t *testing.T) {
	t.Parallel()
	w := inProcess(t)
	w.cfg.Drain = 300 * time.Millisecond
	changed := make(chan struct{})
	d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
		run.Customer().InvestorID = "inv"
		run.Follow(attempt.KeyCustomer, "kyc")
		return registered(run)
	})
	d.looks = func(_ context.Context, run *attempt.Run, _ int) error {
		select {
		case <-changed:
		default:
			return outcome.Wait(outcome.StatusPending, "")
		}
		run.Customer().KYC = attempt.KYCSuccess
		return run.Publish(schemas.TypeCustomerKYCChanged, "customer", schemas.CustomerKYCChanged{
			CustomerID: run.Event().Customer, InvestorID: "16fd2706-8baf-433b-82eb-8c7fada847da", KYCStatus: attempt.KYCSuccess,
		})
	}
	m := w.start(d, false)
	h := w.broker.Cluster().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Topic: w.results, Count: -1, Err: kerr.NotLeaderForPartition,
	})
	w.put(w.linked("c1", "register"))
	if err := h.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	m.stop()
	h.Remove()
	close(changed)
	w.start(d, false)
	w.until("both are told", func() bool { return len(w.published()) >= 2 })
	var names []string
	for _, e := range w.published() {
		names = append(names, e.Name)
	}
	if names[0] != schemas.TypeCustomerRegistered || names[len(names)-1] != schemas.TypeCustomerKYCChanged {
		t.Errorf("told in the order %v", names)
	}
}
