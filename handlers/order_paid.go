package handlers

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// orderPaid makes the order an investment: signed documents → waits for investor and wallet → investment. An order that
// has one already makes no call, and one that came before with other data is rejected.
func (h *Handlers) orderPaid(ctx context.Context, r *attempt.Run, e schemas.OrderPaid) error {
	offering, ok := h.offerings[e.Offering]
	if !ok && !r.Begun(stepInvestment) {
		return outcome.Reject(outcome.UnknownOffering, "offering")
	}
	digest, err := orderDigest(e)
	if err != nil {
		return err
	}
	o, hash := r.Order(e.OrderID), r.Event().Hash()
	answered := r.Answered(stepInvestment) // then it is made, whatever the data of a replay say
	before := begun{digest: o.Digest, event: o.Event, unknown: o.GivenUp && o.InvestmentID == "", made: o.InvestmentID != ""}
	if err := before.allows(r, digest, answered, "order_id"); err != nil {
		return err
	}
	if o.InvestmentID == "" || answered && r.Replayed() {
		if o.Event == "" {
			o.Digest, o.Event = digest, hash
		}
		if err := h.invest(ctx, r, e, offering); err != nil {
			if o.Event == hash && outcome.Of(err).Verdict == outcome.Rejected && !answered {
				*o = attempt.Order{} // a corrected event may have other data
			}
			return err
		}
	}
	if err := h.knowStatus(ctx, o); err != nil {
		return err
	}
	if o.Event == hash {
		h.followOrder(r, e.OrderID)
	}
	return r.Publish(schemas.TypeInvestmentCreated, attempt.KeyOrder(e.OrderID), schemas.InvestmentCreated{
		CustomerID: r.Event().Customer, OrderID: e.OrderID, InvestmentID: o.InvestmentID, Status: o.Status,
	})
}

// knowStatus looks up the status of an investment of which a person has told.
func (h *Handlers) knowStatus(ctx context.Context, o *attempt.Order) error {
	if o.Status != "" {
		return nil
	}
	known, err := h.api.Investment(ctx, o.InvestmentID)
	if err != nil {
		return unseen(err)
	}
	o.Status, o.Since = known.Status, now()
	return nil
}

// followOrder asks for what is still to come for an order with an investment.
func (h *Handlers) followOrder(r *attempt.Run, id string) {
	o := r.Order(id)
	if !h.isFinal(o.Status) {
		r.Follow(attempt.KeyOrder(id), followStatus)
	}
	if o.Credit && o.CreditTask == "" && o.CreditStatus == "" && !h.creditByHand {
		r.Follow(attempt.KeyOrder(id), followCredit)
	}
}

// placed is the answer of the step: the wallet is kept with it, since a repeat's is that of the intent.
type placed struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Wallet string `json:"wallet"`
}

// invest creates the investment of an order that has none.
func (h *Handlers) invest(ctx context.Context, r *attempt.Run, e schemas.OrderPaid, offering Offering) error {
	refs, err := h.orderRefs(ctx, r, e, offering)
	if err != nil {
		return err
	}
	a, err := attempt.Do(ctx, r, stepInvestment, refs,
		func(refs attempt.Refs) distributor.Investment { return investment(e, refs) },
		func(ctx context.Context, key uuid.UUID, b distributor.Investment) (placed, error) {
			a, err := h.api.CreateInvestment(ctx, distributor.Key(key), b)
			return placed{a.ID, a.Status, b.Wallet}, err
		})
	if err != nil && !r.Answered(stepInvestment) {
		return err
	}
	o := r.Order(e.OrderID)
	if o.InvestmentID != "" {
		return err
	}
	o.Event = r.Event().Hash() // of two events with the same data, the one that caused it follows it up
	o.InvestmentID, o.WalletID, o.Status, o.Since = a.ID, a.Wallet, a.Status, now()
	o.Credit = e.Credit == nil || *e.Credit
	o.GivenUp = false
	return err
}

// orderRefs gives what the investment takes from elsewhere, or waits for it. Once the call may have been made the refs of
// its intent hold, and nothing is chosen again.
func (h *Handlers) orderRefs(ctx context.Context, r *attempt.Run, e schemas.OrderPaid, offering Offering) (attempt.Refs, error) {
	if r.Begun(stepInvestment) {
		return nil, nil
	}
	refs := attempt.Refs{refCampaign: offering.Campaign}
	for i, d := range e.SignedDocuments {
		if err := h.upload(ctx, r, signedDocument(i), d.Document, refs); err != nil {
			return nil, err
		}
	}
	c := r.Customer()
	if c.InvestorID == "" {
		return nil, outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
	}
	w, err := chooseWallet(r, e.Wallet)
	if err != nil {
		return nil, err
	}
	refs[refInvestor], refs[refWallet] = c.InvestorID, w.ID
	return refs, nil
}

// signedDocument names the step and the ref of an order's document, counted from 0 as in the event.
func signedDocument(i int) string { return stepDocument + "signed/" + strconv.Itoa(i) }

// investment gives the body of POST investments/ [G2].
func investment(e schemas.OrderPaid, refs attempt.Refs) distributor.Investment {
	b := distributor.Investment{
		CampaignID: refs[refCampaign], InvestorID: refs[refInvestor], Units: e.Units,
		SignedAt: e.SignedAt, AcceptedAt: e.AcceptedAt, PaidAt: e.PaidAt, Wallet: refs[refWallet],
	}
	for i, d := range e.SignedDocuments {
		b.SignedDocuments = append(b.SignedDocuments, distributor.SignedDocument{
			DocumentID: refs[signedDocument(i)], Category: d.Category, Subject: d.Subject,
		})
	}
	return b
}

func (h *Handlers) isFinal(status string) bool { return slices.Contains(h.final, status) }
