package handlers

import (
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// chooseWallet gives the wallet that an order or a position is about: the address that the event names, else the
// customer's only wallet, else the managed one.
func chooseWallet(r *attempt.Run, address string) (attempt.Wallet, error) {
	c := r.Customer()
	if address != "" {
		if w, ok := r.Wallet(address); ok {
			return w, nil
		}
		return attempt.Wallet{}, outcome.Wait(outcome.WalletMissing, attempt.KeyCustomer)
	}
	if len(c.Wallets) == 0 {
		return attempt.Wallet{}, outcome.Wait(outcome.WalletMissing, attempt.KeyCustomer)
	}
	if len(c.Wallets) == 1 {
		return c.Wallets[0], nil
	}
	if w, ok := c.Managed(); ok {
		return w, nil
	}
	return attempt.Wallet{}, outcome.Reject(outcome.AmbiguousWallet, "wallet")
}
