package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"distributor-bridge/schemas"
)

// offering is what the samples sell.
const offering = "solar-2026"

// Upstream's systems, as sources of events.
const (
	onboarding = "/onboarding"
	payments   = "/payments"
	depot      = "/depot"
)

// sample is an event, and what is to come of it.
type sample struct {
	title string
	event schemas.Event
	about string // the order, redemption, …; else the customer

	expect
}

// expect is what is to come of a sample. Results are told as "type", or "type detail" where the detail matters: a status,
// a reason, a kind.
type expect struct {
	results []string // as soon as the sample is sent
	later   []string // once another sample has been sent
	frees   string   // ID of the earlier sample whose later results come now
	dead    string   // how it ends in the dead letters: "reason step status fields"; empty: it does not
	repeat  bool     // it is an earlier event again, and nothing comes of it
	effects []string // operations at the API
	outcome string   // for people
}

const (
	done    = "done"
	delayed = "waited, then done"
)

// kit builds samples: their IDs end in suffix, so that each run has customers, orders and wallets of its own.
type kit struct {
	contract *schemas.Contract
	suffix   string
	began    time.Time
	events   int
}

func (k *kit) id(name string) string { return name + k.suffix }

// event builds an event. They are a second apart.
func (k *kit) event(name, source, id, customer string, data any) (schemas.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return schemas.Event{}, fmt.Errorf("build sample %s: %w", name, err)
	}
	k.events++
	return schemas.Event{
		ID: id, Source: source, Type: k.contract.FullType(name), Name: name,
		Time: k.began.Add(time.Duration(k.events) * time.Second).UTC().Truncate(time.Second), CustomerID: customer,
		DataContentType: "application/json", Data: raw,
	}, nil
}

// samples are one event of each kind, in the order in which they tell a story.
func (k *kit) samples() ([]sample, error) {
	var all []sample
	var again sample
	for _, d := range slices.Concat(k.customers(), k.orders(), k.early(), k.positions(), k.troubles()) {
		e, err := k.event(d.name, d.source, d.id, d.customer, d.data)
		if err != nil {
			return nil, err
		}
		s := sample{title: d.title, event: e, about: cmp.Or(d.about, d.customer), expect: d.expect}
		if d.about == k.id("order-5001") {
			again = s
		}
		all = append(all, s)
	}
	again.title = "the same event again: upstream repeats itself"
	again.expect = expect{repeat: true, outcome: "repeat: no effect"}
	return append(all, again), nil
}

// draft is a sample before its event is built.
type draft struct {
	title, name, source, id, customer, about string
	data                                     any
	expect
}

var (
	registered = []string{"customer.registered", "customer.kyc_changed SUCCESS"}
	invested   = []string{"investment.created", "credit.started", "credit.succeeded", "investment.status_changed DELIVERED"}
	investing  = []string{"create_document", "create_document", "create_investment"}
)

func with(list []string, more ...string) []string {
	return append(append([]string(nil), list...), more...)
}

func (k *kit) customers() []draft {
	anna, firm := k.id("customer-1001"), k.id("company-2001")
	moved := k.own(erika).natural()
	moved.Street, moved.Zip, moved.City = "Neue Deichstraße 5", "26382", "Wilhelmshaven"
	return []draft{
		{
			title: "a person, who gets a managed wallet",
			name:  schemas.TypeCustomerVerified, source: onboarding, id: anna + "-verified", customer: anna,
			data: k.own(erika).verified(anna, ""),
			expect: expect{
				results: with(registered, "wallet.created managed"), outcome: done,
				effects: []string{"create_document", "create_investor", "create_identification", "create_managed_wallet"},
			},
		},
		{
			title: "a company: two proofs, a benefiting person",
			name:  schemas.TypeCustomerVerified, source: onboarding, id: firm + "-verified", customer: firm,
			data: k.own(moritz).verifiedCompany(firm, "Musterwerke Sonnenschein GmbH"+k.suffix, k.own(ottilie)),
			expect: expect{
				results: with(registered, "wallet.created managed"), outcome: done,
				effects: []string{
					"create_document", "create_document", "create_document", "create_investor", "create_identification",
					"create_benefiting_persons", "create_managed_wallet",
				},
			},
		},
		{
			title: "a self-custody wallet for the person",
			name:  schemas.TypeCustomerWalletAdded, source: onboarding, id: anna + "-wallet", customer: anna,
			data:   schemas.CustomerWalletAdded{CustomerID: anna, Address: address(anna)},
			expect: expect{results: []string{"wallet.created own"}, effects: []string{"create_generic_wallet"}, outcome: done},
		},
		{
			title: "the person has moved",
			name:  schemas.TypeCustomerUpdated, source: onboarding, id: anna + "-moved", customer: anna,
			data:   schemas.CustomerUpdated{CustomerID: anna, Person: &moved},
			expect: expect{results: []string{"customer.updated"}, effects: []string{"update_investor"}, outcome: done},
		},
	}
}

func (k *kit) order(id, customer string, units int64) schemas.OrderPaid {
	return schemas.OrderPaid{
		CustomerID: customer, OrderID: id, Offering: offering, Units: units,
		SignedAt: "2026-01-16T10:00:00+01:00", AcceptedAt: "2026-01-16T12:00:00Z", PaidAt: "2026-01-19T08:00:00Z",
		SignedDocuments: signed(id),
	}
}

func (k *kit) orders() []draft {
	anna, firm := k.id("customer-1001"), k.id("company-2001")
	first, held := k.id("order-5001"), k.id("order-5002")
	uncredited := k.order(held, firm, 1200)
	uncredited.Credit = new(false)
	return []draft{
		{
			title: "an order and its two signed documents, credited",
			name:  schemas.TypeOrderPaid, source: payments, id: first + "-paid", customer: anna, about: first,
			data:   k.order(first, anna, 300),
			expect: expect{results: invested, effects: with(investing, "create_credit"), outcome: done},
		},
		{
			title: "the company's order, not to be credited yet",
			name:  schemas.TypeOrderPaid, source: payments, id: held + "-paid", customer: firm, about: held,
			data: uncredited,
			expect: expect{
				results: []string{"investment.created", "investment.status_changed PAID"},
				later:   []string{"investment.status_changed DELIVERED"}, effects: investing, outcome: done,
			},
		},
		{
			title: "its credit is released",
			name:  schemas.TypeOrderCreditReleased, source: payments, id: held + "-released", customer: firm, about: held,
			data: schemas.OrderCreditReleased{CustomerID: firm, OrderID: held},
			expect: expect{
				results: []string{"credit.started", "credit.succeeded"}, frees: held + "-paid",
				effects: []string{"create_credit"}, outcome: done,
			},
		},
	}
}

// early is an order that comes before its customer.
func (k *kit) early() []draft {
	late, order := k.id("customer-3001"), k.id("order-5003")
	own := k.order(order, late, 80)
	own.Wallet = address(late)
	return []draft{
		{
			title: "an order that arrives before its customer",
			name:  schemas.TypeOrderPaid, source: payments, id: order + "-paid", customer: late, about: order,
			data: own,
			expect: expect{
				results: []string{"event.waiting investor_missing"}, later: invested,
				effects: with(investing, "create_credit"), outcome: delayed,
			},
		},
		{
			title: "the customer, with an own wallet: it goes on",
			name:  schemas.TypeCustomerVerified, source: onboarding, id: late + "-verified", customer: late,
			data: k.own(frieda).verified(late, address(late)),
			expect: expect{
				results: with(registered, "wallet.created own"), frees: order + "-paid", outcome: done,
				effects: []string{"create_document", "create_investor", "create_identification", "create_generic_wallet"},
			},
		},
	}
}

func (k *kit) positions() []draft {
	anna := k.id("customer-1001")
	redemption, transfer := k.id("redemption-7001"), k.id("transfer-8001")
	return []draft{
		{
			title: "100 of the person's 300 units are redeemed",
			name:  schemas.TypePositionRedeemed, source: depot, id: redemption, customer: anna, about: redemption,
			data: schemas.PositionRedeemed{CustomerID: anna, RedemptionID: redemption, Offering: offering, Units: 100},
			expect: expect{
				results: []string{"redemption.started", "redemption.succeeded"}, effects: []string{"create_redemption"}, outcome: done,
			},
		},
		{
			title: "50 units go to the self-custody wallet",
			name:  schemas.TypePositionTransferred, source: depot, id: transfer, customer: anna, about: transfer,
			data: schemas.PositionTransferred{
				CustomerID: anna, TransferID: transfer, Offering: offering, Units: 50, TargetAddress: address(anna),
			},
			expect: expect{
				results: []string{"transfer.started", "transfer.succeeded"}, effects: []string{"create_transfer"}, outcome: done,
			},
		},
	}
}

func (k *kit) troubles() []draft {
	anna, wrong, toomuch := k.id("customer-1001"), k.id("customer-4001"), k.id("redemption-7002")
	typo := k.own(moritz).verified(wrong, "")
	typo.BankAccount.IBAN = "DE" + "00" + typo.BankAccount.IBAN[4:] // check digits that no account has
	return []draft{
		{
			title: "an invalid event: an IBAN's check digits",
			name:  schemas.TypeCustomerVerified, source: onboarding, id: wrong + "-verified", customer: wrong,
			data:   typo,
			expect: expect{dead: "invalid /data/bank_account/iban format", outcome: "dead letter: invalid"},
		},
		{
			title: "a redemption that the API refuses: too few units",
			name:  schemas.TypePositionRedeemed, source: depot, id: toomuch, customer: anna, about: toomuch,
			data: schemas.PositionRedeemed{CustomerID: anna, RedemptionID: toomuch, Offering: offering, Units: 9000},
			expect: expect{
				results: []string{"event.rejected refused"}, dead: "refused redemption 400 units", outcome: "dead letter: refused",
			},
		},
	}
}
