package bridge_test

import "distributor-bridge/schemas"

// Values that must be seen nowhere but at the API: personal data, each with a mark that a test looks for.
const mark = "Marked"

// addresses of wallets, without the mixed case of a checksum.
const (
	ownAddress    = "0x52908400098527886e0f7030069857d2e4169ee7"
	addedAddress  = "0x8617e340b3d01fa5f11f306f4090fd50e238070d"
	targetAddress = "0xde709f2102306220921060314715629080e2fb77"
)

const emitted = "2026-11-20T10:00:00Z"

func person() *schemas.Person {
	no := false
	return &schemas.Person{
		Salutation: schemas.SalutationMS, Forename: mark + "Forename", Surname: mark + "Surname",
		BirthDate: "1980-02-29", BirthPlace: mark + "Birthplace", Citizenship: "DEU", Street: mark + "Street 1",
		City: mark + "City", Zip: "60311", Country: "DEU", Phone: "+49 69 1234567", IsPEP: &no,
	}
}

func verified(customer string) schemas.CustomerVerified {
	protocol := document("protocol.pdf")
	return schemas.CustomerVerified{
		CustomerID: customer,
		Person:     person(),
		BankAccount: schemas.BankAccount{
			AccountHolder: mark + "Holder", IBAN: "DE89370400440532013000", BIC: "COBADEFFXXX", Bank: mark + "Bank",
			Country: "DEU", Currency: "EUR",
		},
		Tax:     schemas.Tax{TaxIdentificationNumber: mark + "12345", IsSubjectToGermanTax: true},
		Contact: schemas.Contact{Email: mark + "@example.org", EmailConfirmed: true},
		Identification: schemas.Identification{
			DocumentType: "IDCARD", DocumentID: mark + "L01X00T47", DocumentIssuer: mark + "Issuer",
			DocumentValidFrom: "2015-01-01", DocumentValidTo: "2025-01-01", IdentityProvider: "POSTIDENT",
			LegitimationProcessID: mark + "process", LegitimationProtocol: &protocol, VerifiedAt: "2024-05-01T12:00:00Z",
		},
	}
}

func company(customer string) schemas.CustomerVerified {
	v := verified(customer)
	representative := *v.Person
	v.Person = nil
	v.Company = &schemas.Company{
		CompanyName: mark + "Company", Street: mark + "Street 2", Zip: "10115", City: mark + "Town", Country: "DEU",
		Phone: "+49 30 7654321", CommercialRegister: mark + "Register", CommercialRegisterNumber: "HRB " + mark,
		IdentityProof: document("identity.pdf"), StructureProof: document("structure.pdf"), Representative: representative,
	}
	v.BenefitingPersons = []schemas.BenefitingPerson{{
		Salutation: schemas.SalutationMR, Forename: mark + "Owner", Surname: mark + "Benefit", Street: mark + "Street 3",
		Zip: "10115", City: mark + "Village", Country: "DEU", BirthDate: "1970-12-31", BirthPlace: mark + "Place",
		Citizenship: "DEU",
	}}
	return v
}

func order(customer, id string, units int64) schemas.OrderPaid {
	return schemas.OrderPaid{
		CustomerID: customer, OrderID: id, Offering: "solar-2026", Units: units, SignedAt: emitted,
		AcceptedAt: emitted, PaidAt: emitted,
		SignedDocuments: []schemas.SignedDocument{
			{Document: document("subscription.pdf"), Category: "SUBSCRIPTION", Subject: "Subscription form"},
			{Document: document("kid.pdf"), Category: "INFORMATION", Subject: "Key information document"},
		},
	}
}

// story is a sequence of events with every call of the API but linking, and what has to be published for it.
func story() (events []schemas.Event, want []string) {
	no := false
	released := order("p1", "o2", 50)
	released.Credit = &no
	contact := schemas.Contact{Email: mark + "new@example.org", EmailConfirmed: true}
	return []schemas.Event{
			event("order-early", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)),
			event("person", schemas.TypeCustomerVerified, emitted, verified("p1")),
			event("company", schemas.TypeCustomerVerified, emitted, company("c1")),
			event("update", schemas.TypeCustomerUpdated, "2026-11-20T11:00:00Z",
				schemas.CustomerUpdated{CustomerID: "p1", Contact: &contact}),
			event("wallet", schemas.TypeCustomerWalletAdded, emitted,
				schemas.CustomerWalletAdded{CustomerID: "c1", Address: addedAddress}),
			event("order-held", schemas.TypeOrderPaid, emitted, released),
			event("release", schemas.TypeOrderCreditReleased, emitted,
				schemas.OrderCreditReleased{CustomerID: "p1", OrderID: "o2"}),
		}, []string{
			"order-early investment.created", "order-early credit.succeeded",
			"person customer.registered", "person customer.kyc_changed", "person wallet.created",
			"company customer.registered", "company customer.kyc_changed", "company wallet.created",
			"update customer.updated", "wallet wallet.created",
			"order-held investment.created", "release credit.succeeded",
		}
}

// positions are the events that follow the story, once its credits have succeeded.
func positions() (events []schemas.Event, want []string) {
	return []schemas.Event{
			event("redeem", schemas.TypePositionRedeemed, emitted, schemas.PositionRedeemed{
				CustomerID: "p1", RedemptionID: "r1", Offering: "solar-2026", Units: 100,
			}),
			event("transfer", schemas.TypePositionTransferred, emitted, schemas.PositionTransferred{
				CustomerID: "p1", TransferID: "t1", Offering: "solar-2026", Units: 20, TargetAddress: targetAddress,
			}),
		}, []string{
			"redeem redemption.started", "redeem redemption.succeeded",
			"transfer transfer.started", "transfer transfer.succeeded",
		}
}
