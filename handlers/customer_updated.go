package handlers

import (
	"context"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// customerUpdated brings the customer's data up to date: documents if any → PATCH → identification.
func (h *Handlers) customerUpdated(ctx context.Context, r *attempt.Run, e schemas.CustomerUpdated) error {
	return h.update(ctx, r, updatedParts(e))
}

// update applies the parts to a registered customer, each part whole, and publishes what was applied and what skipped.
// Parts older than those applied are skipped; benefiting persons are, if they have been posted already.
func (h *Handlers) update(ctx context.Context, r *attempt.Run, p parts) error {
	c := r.Customer()
	if err := sameKind(c, p); err != nil {
		return err
	}
	whole := p
	p, skipped := fresh(r, p)
	if r.Replayed() && len(p.names()) == 0 {
		return outcome.Reject(outcome.Superseded) // newer data has been applied to all of its parts
	}
	if len(p.persons) > 0 && c.Persons && !r.Begun(stepPersons) {
		p.persons, skipped = nil, append(skipped, schemas.PartBenefitingPersons)
	}
	refs := attempt.Refs{}
	if err := h.uploadProofs(ctx, r, p.company, refs); err != nil {
		return err
	}
	if err := h.uploadProtocol(ctx, r, p.identification, refs); err != nil {
		return err
	}
	if c.InvestorID == "" {
		return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
	}
	if err := h.patch(ctx, r, p, whole, refs); err != nil {
		return err
	}
	if p.identification != nil {
		if err := h.identify(ctx, r, *p.identification, refs); err != nil {
			return err
		}
		r.Follow(attempt.KeyCustomer, followKYC)
	}
	if err := h.postPersons(ctx, r, p.persons); err != nil {
		return err
	}
	return r.Publish(schemas.TypeCustomerUpdated, customerSubject(r), schemas.CustomerUpdatedResult{
		CustomerID: r.Event().Customer, InvestorID: c.InvestorID, Parts: p.names(), Skipped: skipped,
	})
}

// patch changes the investor's own parts, if there are any among p, which are those of whole that are to be applied.
func (h *Handlers) patch(ctx context.Context, r *attempt.Run, p, whole parts, refs attempt.Refs) error {
	names := p.patchable()
	if len(names) == 0 {
		return nil
	}
	_, err := attempt.Repeat(ctx, r, stepPatch, whole.investor(nil), func(ctx context.Context, key uuid.UUID) (struct{}, error) {
		return struct{}{}, h.api.PatchInvestor(ctx, distributor.Key(key), r.Customer().InvestorID, p.investor(refs))
	})
	if err != nil {
		return err
	}
	apply(r, names...)
	r.Follow(attempt.KeyCustomer, followKYC) // new data may change the verdict, whatever becomes of the rest
	return nil
}

// sameKind rejects data of a person for a company, and of a company for a person. Of a customer who is not registered
// nothing is known yet.
func sameKind(c *attempt.Customer, p parts) error {
	switch {
	case c.InvestorID == "":
		return nil
	case c.Company && p.person != nil:
		return outcome.Reject(outcome.PersonCompanyChange, schemas.PartPerson)
	case !c.Company && p.company != nil:
		return outcome.Reject(outcome.PersonCompanyChange, schemas.PartCompany)
	}
	return nil
}

// fresh gives the parts that are to be applied, and the names of those that are older than what has been. An
// identification that may have been sent already is always to be applied: only its repeat tells.
func fresh(r *attempt.Run, p parts) (_ parts, skipped []string) {
	for _, name := range p.names() {
		begun := name == schemas.PartIdentification && r.Begun(stepIdentification)
		if stale(r, name) && !begun && name != schemas.PartBenefitingPersons {
			skipped = append(skipped, name)
		}
	}
	return p.without(skipped), skipped
}

// stale says whether newer data than the event's has been applied to the part.
func stale(r *attempt.Run, part string) bool {
	return r.Event().Time.Before(r.Customer().Parts[part])
}

// applied says whether data as new as the event's, or newer, has been applied to the part.
func applied(r *attempt.Run, part string) bool {
	at, ok := r.Customer().Parts[part]
	return ok && !at.Before(r.Event().Time)
}

// apply remembers that the event's data has been applied to the parts. What is newer stays.
func apply(r *attempt.Run, names ...string) {
	r.Customer().Apply(r.Event().Time, names...)
}
