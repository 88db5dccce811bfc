package handlers

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// customerWalletAdded adds an address of the customer's own, once the KYC has succeeded [D].
func (h *Handlers) customerWalletAdded(ctx context.Context, r *attempt.Run, e schemas.CustomerWalletAdded) error {
	w, known := r.Wallet(e.Address)
	if !known {
		if err := mayHaveWallet(r); err != nil {
			return err
		}
		receiving := e.ReceivingEnabled == nil || *e.ReceivingEnabled
		var err error
		if w, err = h.addWallet(ctx, r, e.Address, receiving); err != nil {
			return err
		}
	}
	return publishWallet(r, w, schemas.WalletOwn)
}

// mayHaveWallet waits for what the API wants before it makes a wallet: an investor whose KYC has succeeded [D].
func mayHaveWallet(r *attempt.Run) error {
	c := r.Customer()
	switch {
	case r.Begun(stepWallet):
		return nil
	case c.InvestorID == "":
		return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
	case c.KYC != attempt.KYCSuccess:
		return outcome.Wait(outcome.KYCPending, attempt.KeyCustomer)
	}
	return nil
}

// ownWallet is what the step sends for an address: the investor is in the path.
type ownWallet struct {
	Investor  string
	Address   string
	Receiving bool
}

// addWallet adds a generic wallet to the investor, and to the customer.
func (h *Handlers) addWallet(ctx context.Context, r *attempt.Run, address string, receiving bool) (attempt.Wallet, error) {
	c := r.Customer()
	a, err := attempt.Do(ctx, r, stepWallet, attempt.Refs{refInvestor: c.InvestorID},
		func(refs attempt.Refs) ownWallet { return ownWallet{refs[refInvestor], address, receiving} },
		func(ctx context.Context, key uuid.UUID, b ownWallet) (distributor.Wallet, error) {
			return h.api.CreateGenericWallet(ctx, distributor.Key(key), b.Investor, b.Address, &b.Receiving)
		})
	if err != nil && !r.Answered(stepWallet) {
		return attempt.Wallet{}, err
	}
	w := attempt.Wallet{ID: a.ID, Address: strings.ToLower(address)}
	r.AddWallet(w)
	return w, err
}

// publishWallet tells that the customer has a wallet. Its subject names the address, or the ID while that is not known.
func publishWallet(r *attempt.Run, w attempt.Wallet, kind string) error {
	name := w.Address
	if name == "" {
		name = w.ID
	}
	return r.Publish(schemas.TypeWalletCreated, "wallet/"+name, schemas.WalletCreated{
		CustomerID: r.Event().Customer, InvestorID: r.Customer().InvestorID, WalletID: w.ID, Kind: kind, Address: w.Address,
	})
}
