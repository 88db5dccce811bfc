package handlers

import (
	"context"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// orderCreditReleased allows the credit of an order that has an investment. One that failed is asked for again, by the
// key of this event; one that succeeded, or is under way, is not. It has no result of its own.
func (h *Handlers) orderCreditReleased(_ context.Context, r *attempt.Run, e schemas.OrderCreditReleased) error {
	o := r.Order(e.OrderID)
	if o.InvestmentID == "" {
		return outcome.Wait(outcome.InvestmentMissing, attempt.KeyOrder(e.OrderID))
	}
	o.Credit = true
	if o.CreditStatus == attempt.TaskFailed {
		o.CreditTask, o.CreditStatus = "", ""
	}
	if o.CreditTask == "" && o.CreditStatus == "" && !h.creditByHand {
		r.Follow(attempt.KeyOrder(e.OrderID), followCredit)
	}
	return nil
}
