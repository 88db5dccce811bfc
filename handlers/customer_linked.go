package handlers

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// customerLinked takes over an investor, and wallets of it, that the provider has already. Nothing is created.
func (h *Handlers) customerLinked(ctx context.Context, r *attempt.Run, e schemas.CustomerLinked) error {
	c := r.Customer()
	if c.InvestorID != "" && c.InvestorID != e.InvestorID {
		return outcome.Reject(outcome.Conflict, "investor_id")
	}
	investor, err := h.api.Investor(ctx, e.InvestorID)
	if v := outcome.Of(err); v != nil {
		if v.Reason == outcome.NotRegistered {
			return outcome.Reject(outcome.NotRegistered, "investor_id")
		}
		return err
	}
	wallets := make([]attempt.Wallet, len(e.Wallets))
	for i, linked := range e.Wallets {
		w, ok := linkedWallet(linked, investor.Wallets)
		if !ok {
			return outcome.Reject(outcome.NotRegistered, "wallets")
		}
		wallets[i] = w
	}
	if c.InvestorID == "" {
		c.InvestorID, c.Registered = e.InvestorID, r.Event().Hash()
	}
	c.Company = investor.Company
	setKYC(c, investor.KYCStatus)
	if c.KYC != attempt.KYCSuccess {
		r.Follow(attempt.KeyCustomer, followKYC)
	}
	err = r.Publish(schemas.TypeCustomerRegistered, customerSubject(r), schemas.CustomerRegistered{
		CustomerID: r.Event().Customer, InvestorID: c.InvestorID,
	})
	if err != nil {
		return err
	}
	for _, w := range wallets {
		r.AddWallet(w)
		if err := publishWallet(r, w, schemas.WalletLinked); err != nil {
			return err
		}
	}
	return nil
}

// linkedWallet gives the wallet that upstream names, completed from what the API tells; ok is false if the API tells the
// investor's wallets [A], and it is none of them.
func linkedWallet(linked schemas.LinkedWallet, told []distributor.Wallet) (w attempt.Wallet, ok bool) {
	w = attempt.Wallet{ID: linked.ID, Address: strings.ToLower(linked.Address), Managed: linked.Managed}
	if told == nil {
		return w, true
	}
	i := slices.IndexFunc(told, func(t distributor.Wallet) bool { return strings.EqualFold(t.ID, linked.ID) })
	if i < 0 {
		return attempt.Wallet{}, false
	}
	w.Address = cmp.Or(strings.ToLower(told[i].Address), w.Address)
	if told[i].Kind != "" {
		w.Managed = told[i].Managed()
	}
	return w, true
}
