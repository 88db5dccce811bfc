package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// Kinds of wallet, as the paths name them.
const (
	kindManaged = "eth-managed"
	kindGeneric = "eth-generic"
)

// wallet is an address that belongs to an investor.
type wallet struct {
	id        string
	kind      string
	address   string // as it was given
	receiving bool
	investor  *investor
}

// createManagedWallet makes an address; an investor has one managed wallet at most [D].
func (s *Server) createManagedWallet(c *call) reply {
	body := struct {
		Receiving *bool `json:"receiving_enabled"`
	}{}
	i, r := s.walletOwner(c)
	if r != nil {
		return *r
	}
	if len(c.body) > 0 {
		if r := c.decode(&body); r != nil {
			return *r
		}
	}
	for _, w := range i.wallets {
		if w.kind == kindManaged {
			return detail(http.StatusBadRequest, "This investor has a managed wallet already.")
		}
	}
	return s.addWallet(c, &wallet{kind: kindManaged, address: randomAddress(), investor: i}, body.Receiving)
}

// createGenericWallet takes an address that belongs to no investor yet [D].
func (s *Server) createGenericWallet(c *call) reply {
	body := struct {
		Address   string `json:"address"`
		Receiving *bool  `json:"receiving_enabled"`
	}{}
	i, r := s.walletOwner(c)
	if r != nil {
		return *r
	}
	if r := c.decode(&body); r != nil {
		return *r
	}
	if s.world.addresses[strings.ToLower(body.Address)] != nil {
		return refused("address", "This address is in use.")
	}
	return s.addWallet(c, &wallet{kind: kindGeneric, address: body.Address, investor: i}, body.Receiving)
}

// walletOwner finds the investor, who must have passed its KYC and told its tax information [D].
func (s *Server) walletOwner(c *call) (*investor, *reply) {
	i, r := s.investorOf(c)
	if r != nil {
		return nil, r
	}
	if state, _ := i.kyc.state(c.now); state != KYCSuccess {
		r := detail(http.StatusBadRequest, "The investor's KYC has not succeeded.")
		return nil, &r
	}
	if i.parts["tax_information"] == nil {
		r := refused("tax_information", "The investor's tax information is missing.")
		return nil, &r
	}
	return i, nil
}

func (s *Server) addWallet(c *call, w *wallet, receiving *bool) reply {
	w.id = newID()
	w.receiving = receiving == nil || *receiving
	w.investor.wallets = append(w.investor.wallets, w)
	s.world.wallets[w.id] = w
	s.world.addresses[strings.ToLower(w.address)] = w
	s.effect(c, w.id, w.investor.id)
	return created(s.bare(object{
		"id": w.id, "address": w.address, "kind": w.kind, "receiving_enabled": w.receiving,
	}))
}

func randomAddress() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return "0x" + hex.EncodeToString(b[:])
}

// only is the wallet that an investment without one is credited to: the managed one, or else the only one [A].
func (i *investor) only() *wallet {
	for _, w := range i.wallets {
		if w.kind == kindManaged {
			return w
		}
	}
	if len(i.wallets) == 1 {
		return i.wallets[0]
	}
	return nil
}
