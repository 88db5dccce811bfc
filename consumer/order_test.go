package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/schemas"
)

// The whole way: order of each customer, customers side by side, results with keys, everything committed.
func TestOrderPerCustomer(t *testing.T) {
	t.Parallel()
	w := sockets(t)
	const customers, each = 20, 15
	var arrived atomic.Int32
	all := make(chan struct{}) // closed when all customers are at work at once
	d := newDesk(t, func(ctx context.Context, run *attempt.Run, _ int) error {
		if strings.HasSuffix(run.Event().ID, "-00") {
			if arrived.Add(1) == customers {
				close(all)
			}
			select {
			case <-all:
			case <-ctx.Done():
			}
		}
		run.Order(strings.TrimPrefix(run.Event().Subject, "order/")).Status = "SEEN"
		return run.Publish(schemas.TypeInvestmentCreated, run.Event().Subject, schemas.InvestmentCreated{
			CustomerID: run.Event().Customer, OrderID: strings.TrimPrefix(run.Event().Subject, "order/"),
			InvestmentID: "i-" + run.Event().ID, Status: "PAID",
		})
	})
	w.start(d, true)
	want := map[string][]string{}
	for i := range each {
		var events []schemas.Event
		for c := range customers {
			id := fmt.Sprintf("c%02d-%02d", c, i)
			want[id[:3]] = append(want[id[:3]], id)
			events = append(events, w.order(id[:3], fmt.Sprintf("o%d", i%3), id))
		}
		w.emit(events...)
	}
	w.until("all have ended", func() bool { return len(d.ends()) >= customers*each })
	w.committed()
	got := map[string][]string{}
	for _, id := range d.ends() {
		got[id[:3]] = append(got[id[:3]], id)
	}
	results := map[string][]string{}
	for _, e := range w.named(schemas.TypeInvestmentCreated) {
		results[e.CustomerID] = append(results[e.CustomerID], e.CausationID)
	}
	for c, ids := range want {
		if !slices.Equal(got[c], ids) {
			t.Errorf("customer %s: ended %v, want %v", c, got[c], ids)
		}
		if !slices.Equal(results[c], ids) {
			t.Errorf("customer %s: published %v, want %v", c, results[c], ids)
		}
	}
	if letters, _ := w.letters(); len(letters) > 0 {
		t.Errorf("dead letters: %v", letters)
	}
}
