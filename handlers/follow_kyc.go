package handlers

import (
	"context"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

const followKYC = "kyc"

// followKYC looks at the investor's KYC until it has succeeded. A refusal is news, not an end: the customer's data may be
// corrected, and the first look after that may still see the old refusal.
func (h *Handlers) followKYC(ctx context.Context, r *attempt.Run) error {
	c := r.Customer()
	investor, err := h.api.Investor(ctx, c.InvestorID)
	if err != nil {
		return unseen(err)
	}
	if setKYC(c, investor.KYCStatus) {
		err := r.Publish(schemas.TypeCustomerKYCChanged, customerSubject(r), schemas.CustomerKYCChanged{
			CustomerID: r.Event().Customer, InvestorID: c.InvestorID, KYCStatus: c.KYC,
		})
		if err != nil {
			return err
		}
	}
	if c.KYC == attempt.KYCSuccess {
		return nil
	}
	return outcome.Wait(outcome.StatusPending, "")
}

// setKYC remembers what the API tells of the KYC, and says whether that is news. Nothing told is no news.
func setKYC(c *attempt.Customer, status string) bool {
	if status == "" || status == c.KYC {
		return false
	}
	c.KYC, c.KYCSince = status, now()
	return true
}
