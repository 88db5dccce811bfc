package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"distributor-bridge/schemas"
)

// Test data: people, companies and papers that do not exist, in the form that real ones have. All of it is treated as
// personal data: no command prints it.

// person is a natural person of the samples.
type person struct {
	salutation, forename, surname string
	born, birthPlace              string
	street, zip, city             string
	account                       int // ten digits at most
}

var (
	erika = person{
		salutation: schemas.SalutationMS, forename: "Erika", surname: "Musterfrau", born: "1984-08-12", birthPlace: "Wuppertal",
		street: "Heidestraße 17", zip: "51147", city: "Köln", account: 532013000,
	}
	moritz = person{
		salutation: schemas.SalutationMR, forename: "Moritz", surname: "Beispielmann", born: "1979-02-03",
		birthPlace: "Bremerhaven", street: "Lindenallee 4", zip: "22089", city: "Hamburg", account: 648489890,
	}
	frieda = person{
		salutation: schemas.SalutationMS, forename: "Friederike", surname: "Probst-Testmann", born: "1991-11-30",
		birthPlace: "Görlitz", street: "Am Mühlbach 23a", zip: "01099", city: "Dresden", account: 202050514,
	}
	ottilie = person{
		salutation: schemas.SalutationMS, forename: "Ottilie", surname: "Vorlage", born: "1966-05-19", birthPlace: "Passau",
		street: "Ringgasse 9", zip: "93047", city: "Regensburg", account: 440532013,
	}
)

func (p person) natural() schemas.Person {
	return schemas.Person{
		Salutation: p.salutation, Forename: p.forename, Surname: p.surname,
		BirthDate: p.born, BirthPlace: p.birthPlace, Citizenship: "DEU",
		Street: p.street, City: p.city, Zip: p.zip, Country: "DEU", Phone: p.phone(),
		IsPEP: new(false), IsSubjectToUSTax: new(false),
	}
}

// phone gives a number out of those that the German regulator keeps free for fiction.
func (p person) phone() string { return fmt.Sprintf("+49 30 23125 %03d", p.account%1000) }

func (p person) email() string {
	name := strings.ToLower(p.forename + "." + p.surname)
	return strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", " ", "-").Replace(name) + "@example.com"
}

func (p person) bank() schemas.BankAccount {
	return schemas.BankAccount{
		AccountHolder: p.forename + " " + p.surname, IBAN: iban("37040044", p.account), BIC: "COBADEFFXXX",
		Bank: "Commerzbank", Country: "DEU", Currency: "EUR",
	}
}

func (p person) tax() schemas.Tax {
	return schemas.Tax{
		TaxIdentificationNumber: fmt.Sprintf("%011d", 20_000_000_000+p.account), IsSubjectToGermanTax: true,
		NonAssessmentCertificate: new(false),
	}
}

func (p person) identification() schemas.Identification {
	return schemas.Identification{
		DocumentType: "IDCARD", DocumentID: fmt.Sprintf("L%08X", p.account), DocumentIssuer: "Stadt " + p.city,
		DocumentValidFrom: "2021-08-01", DocumentValidTo: "2031-07-31", IdentityProvider: "POSTIDENT",
		LegitimationProcessID: fmt.Sprintf("postident-%d", p.account),
		LegitimationProtocol:  new(document(fmt.Sprintf("postident-protocol-%s-%d", p.surname, p.account))),
		VerifiedAt:            "2026-01-15T09:12:44Z",
	}
}

func (p person) benefiting() schemas.BenefitingPerson {
	return schemas.BenefitingPerson{
		Salutation: p.salutation, Forename: p.forename, Surname: p.surname, Street: p.street, Zip: p.zip, City: p.city,
		Country: "DEU", BirthDate: p.born, BirthPlace: p.birthPlace, Citizenship: "DEU",
	}
}

// verified is a person whose identity has been checked. Its wallet is managed, unless an address is given.
func (p person) verified(customer, address string) schemas.CustomerVerified {
	d := schemas.CustomerVerified{
		CustomerID: customer, Person: new(p.natural()), BankAccount: p.bank(), Tax: p.tax(),
		Contact:        schemas.Contact{Email: p.email(), EmailConfirmed: true},
		IsBeneficiary:  new(true),
		Identification: p.identification(),
	}
	if address != "" {
		d.Wallet = &schemas.WalletWish{Kind: schemas.WalletOwn, Address: address}
	}
	return d
}

// verifiedCompany is a company that p represents, and that owner benefits from.
func (p person) verifiedCompany(customer, name string, owner person) schemas.CustomerVerified {
	d := p.verified(customer, "")
	d.Person = nil
	d.Company = &schemas.Company{
		CompanyName: name, Street: "Industriering 88", Zip: "04109", City: "Leipzig", Country: "DEU", Phone: "+49 30 23125 900",
		CommercialRegister: "Amtsgericht Leipzig", CommercialRegisterNumber: "HRB 987654",
		IsSubjectToUSTax: new(false), Representative: p.natural(),
		IdentityProof:  document("handelsregister-" + name),
		StructureProof: document("gesellschafterliste-" + name),
	}
	d.BankAccount.AccountHolder = name
	d.BenefitingPersons = []schemas.BenefitingPerson{owner.benefiting()}
	return d
}

// iban gives the German IBAN of an account, with its check digits (ISO 7064, mod 97-10).
func iban(bankCode string, account int) string {
	bban := fmt.Sprintf("%s%010d", bankCode, account)
	n, _ := new(big.Int).SetString(bban+"131400", 10) // DE00 in digits; bban is digits
	return fmt.Sprintf("DE%02d%s", 98-n.Mod(n, big.NewInt(97)).Int64(), bban)
}

// document is a small inline file that looks like a PDF.
func document(title string) schemas.Document {
	content := []byte("%PDF-1.7\n% " + title + ": a test document of the sandbox\ntrailer <</Root 1 0 R>>\n%%EOF\n")
	sum := sha256.Sum256(content)
	return schemas.Document{
		Name: strings.ReplaceAll(strings.ToLower(title), " ", "-") + ".pdf", ContentType: "application/pdf", Size: int64(len(content)),
		SHA256: hex.EncodeToString(sum[:]), Content: base64.StdEncoding.EncodeToString(content),
	}
}

// signed are the two papers of an order.
func signed(order string) []schemas.SignedDocument {
	return []schemas.SignedDocument{
		{Document: document("zeichnungsschein-" + order), Category: "SUBSCRIPTION", Subject: "Zeichnungsschein"},
		{Document: document("risikohinweise-" + order), Category: "INFORMATION", Subject: "Risikohinweise, unterschrieben"},
	}
}

// address gives an Ethereum address for a name: always the same one.
func address(name string) string {
	sum := sha256.Sum256([]byte("wallet of " + name))
	return "0x" + hex.EncodeToString(sum[:20])
}
