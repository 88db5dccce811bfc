package distributor

import (
	"context"
	"strings"
)

// Wallet is a wallet of an investor. An address is no personal data of its own: state keeps it, to find the wallet that
// an order names.
type Wallet struct {
	ID      string `json:"id"`
	Address string `json:"address,omitempty"` // empty as long as the API does not tell a managed one's [A]
	Kind    string `json:"kind,omitempty"`    // eth-managed or eth-generic [A]; empty where an answer does not say
}

// Managed says whether the provider manages the wallet. It is false if the API did not tell the kind.
func (w Wallet) Managed() bool { return strings.Contains(strings.ToLower(w.Kind), "managed") }

// The kinds of a wallet [A], named as in their paths [G1][D].
const (
	kindManaged = "eth-managed"
	kindGeneric = "eth-generic"
)

type managedWallet struct {
	ReceivingEnabled bool `json:"receiving_enabled"`
}

type genericWallet struct {
	Address          string `json:"address"`
	ReceivingEnabled *bool  `json:"receiving_enabled,omitempty"`
}

// CreateManagedWallet creates the investor's managed wallet, of which there can be one: POST
// investors/{id}/wallets/eth-managed/. With nil the call has no body [G2], else it says whether the wallet can receive
// [G1]. The answer's Kind is always set.
func (c *Client) CreateManagedWallet(ctx context.Context, key Key, investorID string, receivingEnabled *bool) (Wallet, error) {
	r := request{op: opCreateManagedWallet, ids: ids{investorID}, key: key}
	if receivingEnabled != nil {
		r.json = managedWallet{*receivingEnabled}
	}
	var a Wallet
	if err := c.do(ctx, r, &a); err != nil {
		return Wallet{}, err
	}
	a.Kind = kindManaged
	return a, nil
}

// CreateGenericWallet adds a wallet that the investor holds itself: POST investors/{id}/wallets/eth-generic/ [G2][D]. An
// address belongs to one investor only. The answer's Address and Kind are always set.
func (c *Client) CreateGenericWallet(ctx context.Context, key Key, investorID, address string, receivingEnabled *bool) (Wallet, error) {
	r := request{op: opCreateGenericWallet, ids: ids{investorID}, key: key}
	r.json = genericWallet{address, receivingEnabled}
	var a Wallet
	if err := c.do(ctx, r, &a); err != nil {
		return Wallet{}, err
	}
	a.Kind, a.Address = kindGeneric, address
	return a, nil
}
