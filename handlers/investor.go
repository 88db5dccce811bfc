package handlers

import (
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/schemas"
)

// parts are the parts of a customer's data as customer.verified and customer.updated carry them; nil if they do not.
type parts struct {
	person         *schemas.Person
	company        *schemas.Company
	bankAccount    *schemas.BankAccount
	tax            *schemas.Tax
	contact        *schemas.Contact
	isBeneficiary  *bool
	identification *schemas.Identification
	persons        []schemas.BenefitingPerson
}

func verifiedParts(e schemas.CustomerVerified) parts {
	p := parts{
		person: e.Person, company: e.Company, bankAccount: &e.BankAccount, tax: &e.Tax, contact: &e.Contact,
		isBeneficiary: e.IsBeneficiary, identification: &e.Identification, persons: e.BenefitingPersons,
	}
	if p.isBeneficiary == nil {
		p.isBeneficiary = new(true) // absent means true, in a correction too
	}
	return p
}

func updatedParts(e schemas.CustomerUpdated) parts {
	return parts{
		person: e.Person, company: e.Company, bankAccount: e.BankAccount, tax: e.Tax, contact: e.Contact,
		identification: e.Identification,
	}
}

// patchable names the parts that belong to the investor itself, in the order in which results list them.
func (p parts) patchable() []string {
	var names []string
	for _, part := range []struct {
		name string
		set  bool
	}{
		{schemas.PartPerson, p.person != nil},
		{schemas.PartCompany, p.company != nil},
		{schemas.PartBankAccount, p.bankAccount != nil},
		{schemas.PartTax, p.tax != nil},
		{schemas.PartContact, p.contact != nil},
		{schemas.PartIsBeneficiary, p.isBeneficiary != nil},
	} {
		if part.set {
			names = append(names, part.name)
		}
	}
	return names
}

// names gives the names of all parts that are set, in the order in which results list them.
func (p parts) names() []string {
	names := p.patchable()
	if p.identification != nil {
		names = append(names, schemas.PartIdentification)
	}
	if len(p.persons) > 0 {
		names = append(names, schemas.PartBenefitingPersons)
	}
	return names
}

// without gives the parts but those named.
func (p parts) without(names []string) parts {
	for _, name := range names {
		switch name {
		case schemas.PartPerson:
			p.person = nil
		case schemas.PartCompany:
			p.company = nil
		case schemas.PartBankAccount:
			p.bankAccount = nil
		case schemas.PartTax:
			p.tax = nil
		case schemas.PartContact:
			p.contact = nil
		case schemas.PartIsBeneficiary:
			p.isBeneficiary = nil
		case schemas.PartIdentification:
			p.identification = nil
		}
	}
	return p
}

// investor gives the body of POST or PATCH investors/: each part whole. refs name the proofs.
func (p parts) investor(refs attempt.Refs) distributor.Investor {
	b := distributor.Investor{IsBeneficiary: p.isBeneficiary}
	if p.person != nil {
		b.NaturalPerson = naturalPerson(*p.person)
	}
	if c := p.company; c != nil {
		b.NaturalPerson = naturalPerson(c.Representative) // [G1]
		b.LegalPerson = &distributor.LegalPerson{
			CompanyName: c.CompanyName, Street: c.Street, Zip: c.Zip, City: c.City, Country: c.Country, Phone: c.Phone,
			CommercialRegister: c.CommercialRegister, CommercialRegisterNumber: c.CommercialRegisterNumber,
			CompanyIdentityProofID: refs[identityProof], CompanyStructureProofID: refs[structureProof],
			IsSubjectToUSTax: c.IsSubjectToUSTax,
		}
	}
	if a := p.bankAccount; a != nil {
		b.BankAccount = &distributor.BankAccount{
			AccountHolder: a.AccountHolder, IBAN: a.IBAN, BIC: a.BIC, Bank: a.Bank, Country: a.Country, Currency: a.Currency,
		}
	}
	if t := p.tax; t != nil {
		b.TaxInformation = &distributor.TaxInformation{
			TaxIdentificationNumber:  t.TaxIdentificationNumber,
			NonAssessmentCertificate: new(t.NonAssessmentCertificate != nil && *t.NonAssessmentCertificate),
			IsSubjectToGermanTax:     new(t.IsSubjectToGermanTax),
		}
	}
	if c := p.contact; c != nil {
		b.Communication = &distributor.Communication{Email: c.Email, EmailConfirmed: new(c.EmailConfirmed)}
	}
	return b
}

func naturalPerson(p schemas.Person) *distributor.NaturalPerson {
	return &distributor.NaturalPerson{
		Salutation: p.Salutation, Forename: p.Forename, Surname: p.Surname,
		BirthDate: p.BirthDate, BirthPlace: p.BirthPlace, Citizenship: p.Citizenship,
		Street: p.Street, City: p.City, Zip: p.Zip, Country: p.Country, Phone: p.Phone,
		IsPEP: p.IsPEP, IsSubjectToUSTax: p.IsSubjectToUSTax,
	}
}

// identificationBody is what the step sends: the investor is in the path.
type identificationBody struct {
	Investor       string
	Identification distributor.Identification
}

func identification(i schemas.Identification, refs attempt.Refs) identificationBody {
	return identificationBody{refs[refInvestor], distributor.Identification{
		DocumentType: i.DocumentType, DocumentID: i.DocumentID, DocumentIssuer: i.DocumentIssuer,
		DocumentValidFrom: i.DocumentValidFrom, DocumentValidTo: i.DocumentValidTo,
		IdentityProvider: i.IdentityProvider, LegitimationProcessID: i.LegitimationProcessID,
		LegitimationProtocolID: refs[legitimationProtocol], VerifiedAt: i.VerifiedAt,
	}}
}

// personsBody is what the step sends: the investor is in the path.
type personsBody struct {
	Investor string
	Persons  []distributor.BenefitingPerson
}

func benefitingPersons(persons []schemas.BenefitingPerson, refs attempt.Refs) personsBody {
	b := personsBody{Investor: refs[refInvestor]}
	for _, p := range persons {
		b.Persons = append(b.Persons, distributor.BenefitingPerson{
			Salutation: p.Salutation, Forename: p.Forename, Surname: p.Surname,
			Street: p.Street, Zip: p.Zip, City: p.City, Country: p.Country,
			BirthDate: p.BirthDate, BirthPlace: p.BirthPlace, Citizenship: p.Citizenship, IsPEP: new(p.IsPEP),
		})
	}
	return b
}
