package handlers

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/schemas"
)

// customerVerified registers the customer: documents → investor → identification → benefiting persons. A customer whom
// another event has registered is brought up to date instead. One whose registration was given up on its way is registered
// by this event, going on from what is there.
func (h *Handlers) customerVerified(ctx context.Context, r *attempt.Run, e schemas.CustomerVerified) error {
	c := r.Customer()
	p := verifiedParts(e)
	if err := sameKind(c, p); err != nil {
		return err
	}
	if c.InvestorID != "" && c.Registered != r.Event().Hash() && !c.Unfinished {
		if err := h.update(ctx, r, p); err != nil {
			return err
		}
		wishWallet(r, e.Wallet)
		return nil
	}
	if err := h.register(ctx, r, p); err != nil {
		return err
	}
	r.Follow(attempt.KeyCustomer, followKYC)
	wishWallet(r, e.Wallet)
	return r.Publish(schemas.TypeCustomerRegistered, customerSubject(r), schemas.CustomerRegistered{
		CustomerID: r.Event().Customer, InvestorID: c.InvestorID,
	})
}

// register makes the customer an investor, going on from where an earlier attempt, or an earlier event, has come to.
func (h *Handlers) register(ctx context.Context, r *attempt.Run, p parts) error {
	c := r.Customer()
	// A replay of an event that has created it looks whether its data are still those.
	create := c.InvestorID == "" || r.Replayed() && r.Answered(stepInvestor)
	correct := !create && !r.Answered(stepInvestor) // another event created it, with data that was refused later
	identify := !applied(r, schemas.PartIdentification) || r.Begun(stepIdentification)
	refs := attempt.Refs{}

	if create || correct {
		if err := h.uploadProofs(ctx, r, p.company, refs); err != nil {
			return err
		}
	}
	if identify {
		if err := h.uploadProtocol(ctx, r, p.identification, refs); err != nil {
			return err
		}
	}
	switch {
	case create:
		if err := h.createInvestor(ctx, r, p, refs); err != nil {
			return err
		}
	case correct:
		c.Registered = r.Event().Hash()
		fresh, _ := fresh(r, p)
		if err := h.patch(ctx, r, fresh, p, refs); err != nil {
			return err
		}
	}
	if identify {
		if err := h.identify(ctx, r, *p.identification, refs); err != nil {
			return err
		}
	}
	if err := h.postPersons(ctx, r, p.persons); err != nil {
		return err
	}
	c.Unfinished = false
	return nil
}

// createInvestor makes the customer an investor. refs name a company's proofs.
func (h *Handlers) createInvestor(ctx context.Context, r *attempt.Run, p parts, refs attempt.Refs) error {
	created, err := attempt.Do(ctx, r, stepInvestor, refs, p.investor,
		func(ctx context.Context, key uuid.UUID, b distributor.Investor) (distributor.Created, error) {
			return h.api.CreateInvestor(ctx, distributor.Key(key), b)
		})
	if err != nil && !r.Answered(stepInvestor) {
		return err
	}
	c := r.Customer()
	if c.InvestorID == "" {
		c.InvestorID, c.Company, c.Registered, c.Unfinished = created.ID, p.company != nil, r.Event().Hash(), true
		apply(r, p.patchable()...)
	}
	return err
}

// identify adds an identification to the investor. refs names its protocol, if it has one.
func (h *Handlers) identify(ctx context.Context, r *attempt.Run, i schemas.Identification, refs attempt.Refs) error {
	refs = attempt.Refs{refInvestor: r.Customer().InvestorID, legitimationProtocol: refs[legitimationProtocol]}
	_, err := attempt.Do(ctx, r, stepIdentification, refs,
		func(refs attempt.Refs) identificationBody { return identification(i, refs) },
		func(ctx context.Context, key uuid.UUID, b identificationBody) (distributor.Created, error) {
			return h.api.CreateIdentification(ctx, distributor.Key(key), b.Investor, b.Identification)
		})
	if err != nil && !r.Answered(stepIdentification) {
		return err
	}
	apply(r, schemas.PartIdentification)
	return err
}

// postPersons adds a company's benefiting persons to the investor: once, since the API knows no way to replace them.
func (h *Handlers) postPersons(ctx context.Context, r *attempt.Run, persons []schemas.BenefitingPerson) error {
	c := r.Customer()
	if !r.Begun(stepPersons) && (len(persons) == 0 || c.Persons) {
		return nil
	}
	_, err := attempt.Do(ctx, r, stepPersons, attempt.Refs{refInvestor: c.InvestorID},
		func(refs attempt.Refs) personsBody { return benefitingPersons(persons, refs) },
		func(ctx context.Context, key uuid.UUID, b personsBody) ([]distributor.PersonID, error) {
			return h.api.CreateBenefitingPersons(ctx, distributor.Key(key), b.Investor, b.Persons)
		})
	if err != nil && !r.Answered(stepPersons) {
		return err
	}
	c.Persons = true
	apply(r, schemas.PartBenefitingPersons)
	return err
}

// wishWallet asks for the wallet that a verified customer wishes for, unless it is there: managed if nothing is said.
func wishWallet(r *attempt.Run, wish *schemas.WalletWish) {
	c := r.Customer()
	switch {
	case wish == nil || wish.Kind == schemas.WalletManaged:
		if _, ok := c.Managed(); !ok {
			r.Follow(attempt.KeyCustomer, followWallet)
		}
	case wish.Kind == schemas.WalletOwn:
		if _, ok := r.Wallet(wish.Address); !ok {
			r.Follow(attempt.KeyCustomer, followOwnWallet+strings.ToLower(wish.Address))
		}
	}
}
