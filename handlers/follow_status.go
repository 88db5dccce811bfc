package handlers

import (
	"context"
	"strings"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

const followStatus = "status"

// followStatus looks at an order's investment until its status is final. One that nobody knows is not.
func (h *Handlers) followStatus(ctx context.Context, r *attempt.Run) error {
	id := orderID(r)
	if err := h.lookAtInvestment(ctx, r, id); err != nil {
		return err
	}
	if h.isFinal(r.Order(id).Status) {
		return nil
	}
	return outcome.Wait(outcome.StatusPending, "")
}

// lookAtInvestment reads an order's investment, and publishes its status if that has changed.
func (h *Handlers) lookAtInvestment(ctx context.Context, r *attempt.Run, id string) error {
	o := r.Order(id)
	a, err := h.api.Investment(ctx, o.InvestmentID)
	if err != nil {
		return unseen(err)
	}
	if a.Status == o.Status {
		return nil
	}
	previous := o.Status
	o.Status, o.Since = a.Status, now()
	return r.Publish(schemas.TypeInvestmentStatusChanged, attempt.KeyOrder(id), schemas.InvestmentStatusChanged{
		CustomerID: r.Event().Customer, OrderID: id, InvestmentID: o.InvestmentID, Status: a.Status, PreviousStatus: previous,
	})
}

// orderID gives the ID of the order that a follow-up is about.
func orderID(r *attempt.Run) string {
	return strings.TrimPrefix(r.Event().Subject, attempt.KeyOrder(""))
}
