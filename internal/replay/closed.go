package replay

import (
	"encoding/json"
	"slices"
	"strings"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// Closed says why a letter needs nobody any more. The set is closed.
type Closed string

// Why a letter is closed.
const (
	Open           Closed = ""
	ClosedNewer    Closed = "newer_letter" // the same event died again later: that letter counts
	ClosedHeld     Closed = "held_again"   // the same event is at work, or held, again
	ClosedReplayed Closed = "replayed"     // it was put back, and ended otherwise
	ClosedDone     Closed = "done_since"   // another event has brought its subject what this one wanted
)

// wish is what the judgement needs to know of an event's data, kept when the data is not.
type wish struct {
	object   string   // key of the object that it is about
	parts    []string // of a customer's data
	address  string   // of a wallet, in lower case; of customer.verified, which may wish for one
	investor string   // of customer.linked
}

// partNames are those parts of a customer's data whose last change state remembers.
var partNames = []string{
	schemas.PartPerson, schemas.PartCompany, schemas.PartBankAccount, schemas.PartTax, schemas.PartContact,
	schemas.PartIdentification,
}

func wishOf(e schemas.Event) wish {
	var data map[string]json.RawMessage
	if json.Unmarshal(e.Data, &data) != nil {
		return wish{}
	}
	text := func(name string) (s string) { _ = json.Unmarshal(data[name], &s); return s } // "" if it is no text
	w := wish{object: attempt.KeyCustomer}
	switch e.Name {
	case schemas.TypeCustomerVerified, schemas.TypeCustomerUpdated:
		for _, name := range partNames {
			if data[name] != nil {
				w.parts = append(w.parts, name)
			}
		}
		var wallet struct {
			Address string `json:"address"`
		}
		_ = json.Unmarshal(data["wallet"], &wallet) // "" if it is no wish
		w.address = strings.ToLower(wallet.Address)
	case schemas.TypeCustomerLinked:
		w.investor = text("investor_id")
	case schemas.TypeCustomerWalletAdded:
		w.address = strings.ToLower(text("address"))
		w.object = attempt.KeyWallet(w.address)
	case schemas.TypeOrderPaid, schemas.TypeOrderCreditReleased:
		w.object = attempt.KeyOrder(text("order_id"))
	case schemas.TypePositionRedeemed:
		w.object = attempt.KeyRedemption(text("redemption_id"))
	case schemas.TypePositionTransferred:
		w.object = attempt.KeyTransfer(text("transfer_id"))
	default:
		return wish{}
	}
	return w
}

// keys gives the keys of the records that the judgement looks at.
func (l *Letter) keys() []string {
	return []string{l.wanted.object, l.Subject, attempt.KeyCustomer}
}

// closed is all the judgement on whether a letter, of which there is no newer one, is still open, by what state knows of its
// customer. Closed is only what is certain: of its own replays the record of its subject tells (of the last 64 rejections); of
// an event that intake had refused, and that has no rejection there, that it is known at all. Which event brought a part of a
// customer's data state does not know, only how new it is. A conflict, where the object is there with other data, stays open
// but for its replay, since nobody but a person can say which of the two is right. Of a type that is not known, or without a
// customer, nothing is known: open.
func closed(l *Letter, record func(key string) *state.Record) Closed {
	hash := attempt.Event{Source: l.Source, ID: l.ID}.Hash()
	for _, key := range l.keys() {
		if r := record(key); r != nil && slices.ContainsFunc(r.Work, func(w attempt.Work) bool { return l.again(w, hash) }) {
			return ClosedHeld
		}
	}
	if r := record(l.Subject); r != nil && l.ID != "" {
		switch rejection := r.Rejection(hash, l.Follow); {
		case rejection != nil && rejection.Closed, rejection == nil && !l.fromInbox() && r.Knows(hash):
			return ClosedReplayed
		}
	}
	if l.Reason == outcome.Conflict || l.wanted.object == "" {
		return Open
	}
	if granted(l, hash, record) {
		return ClosedDone
	}
	return Open
}

// again says whether work is what the letter's was: the event itself, or that follow-up of it. Work with an outcome alone is
// the letter being written, and a follow-up that was given up as unknown stays beside its letter.
func (l *Letter) again(w attempt.Work, hash string) bool {
	follow, _, _ := strings.Cut(w.Follow, "/") // a letter has no more than that
	return follow == l.Follow && (w.Held != outcome.Done || w.Outcome == nil) && !givenUp(w) && w.Event.Hash() == hash
}

// Follow-ups that can be given up for good, of which a letter bears the event that caused them.
const (
	followCredit = "credit" // of order.paid and order.credit_released
	followWallet = "wallet" // of customer.verified
	followTask   = "task"   // of position.redeemed and position.transferred
)

// granted says whether what the letter's event or follow-up wanted has been brought about: by another event, or by hand.
func granted(l *Letter, hash string, record func(key string) *state.Record) bool {
	var o attempt.Object
	if r := record(l.wanted.object); r != nil {
		o = r.Object
	}
	var c attempt.Customer
	if r := record(attempt.KeyCustomer); r != nil && r.Customer != nil {
		c = *r.Customer
	}
	credited := o.Order != nil && o.Order.CreditStatus == attempt.TaskSucceeded
	_, wallet := c.Wallet(l.wanted.address)
	if l.Follow != "" {
		return followed(l, o, &c, wallet)
	}
	switch l.Type {
	case schemas.TypeCustomerVerified, schemas.TypeCustomerUpdated:
		return c.InvestorID != "" && !c.Unfinished && overtaken(l, &c)
	case schemas.TypeCustomerLinked:
		return l.wanted.investor != "" && strings.EqualFold(c.InvestorID, l.wanted.investor)
	case schemas.TypeCustomerWalletAdded:
		return wallet || o.Wallet != nil
	case schemas.TypeOrderPaid:
		return o.Order != nil && o.Order.InvestmentID != "" && o.Order.Event != hash
	case schemas.TypeOrderCreditReleased:
		return credited
	case schemas.TypePositionRedeemed, schemas.TypePositionTransferred:
		return moved(o.Position, hash)
	}
	return false
}

// followed says whether what a follow-up was to bring about is there: of a task, that it has ended, one way or the other. wallet says
// that the customer has the one that was wanted.
func followed(l *Letter, o attempt.Object, c *attempt.Customer, wallet bool) bool {
	ended := func(status string) bool { return status == attempt.TaskSucceeded || status == attempt.TaskFailed }
	switch l.Follow {
	case followCredit:
		return o.Order != nil && ended(o.Order.CreditStatus)
	case followTask:
		return o.Position != nil && ended(o.Position.Status)
	case followWallet:
		_, managed := c.Managed()
		return wallet || l.wanted.address == "" && managed
	}
	return false
}

// overtaken says whether newer data has been applied to each part that the letter's event carries.
func overtaken(l *Letter, c *attempt.Customer) bool {
	return len(l.wanted.parts) > 0 && !slices.ContainsFunc(l.wanted.parts, func(part string) bool {
		return !c.Parts[part].After(l.Emitted)
	})
}

// moved says whether another event than that of the hash has begun a redemption or a transfer, which has not failed.
func moved(p *attempt.Position, hash string) bool {
	return p != nil && p.TaskID != "" && p.Status != attempt.TaskFailed && p.Event != hash
}
