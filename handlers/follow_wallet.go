package handlers

import (
	"context"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/schemas"
)

// Names of the follow-ups that create the wallet a verified customer asked for.
const (
	followWallet    = "wallet"  // managed
	followOwnWallet = "wallet/" // and the address in lower case
)

// managedWallet is what the step sends: the investor is in the path.
type managedWallet struct{ Investor string }

// followManagedWallet creates the investor's managed wallet once the KYC has succeeded, unless there is one.
func (h *Handlers) followManagedWallet(ctx context.Context, r *attempt.Run) error {
	c := r.Customer()
	if _, known := c.Managed(); known {
		return nil
	}
	if err := mayHaveWallet(r); err != nil {
		return err
	}
	a, err := attempt.Do(ctx, r, stepWallet, attempt.Refs{refInvestor: c.InvestorID},
		func(refs attempt.Refs) managedWallet { return managedWallet{refs[refInvestor]} },
		func(ctx context.Context, key uuid.UUID, b managedWallet) (distributor.Wallet, error) {
			return h.api.CreateManagedWallet(ctx, distributor.Key(key), b.Investor, new(true))
		})
	if err != nil {
		return err
	}
	w := attempt.Wallet{ID: a.ID, Address: a.Address, Managed: true}
	r.AddWallet(w)
	return publishWallet(r, w, schemas.WalletManaged)
}

// followOwnWallet adds the address that the customer was verified with once the KYC has succeeded, unless it is known.
func (h *Handlers) followOwnWallet(ctx context.Context, r *attempt.Run, address string) error {
	if _, known := r.Wallet(address); known {
		return nil
	}
	if err := mayHaveWallet(r); err != nil {
		return err
	}
	w, err := h.addWallet(ctx, r, address, true)
	if err != nil {
		return err
	}
	return publishWallet(r, w, schemas.WalletOwn)
}
