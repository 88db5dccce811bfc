package distributor

import (
	"context"
	"net/http"
	"time"

	"distributor-bridge/internal/outcome"

	"github.com/google/uuid"
)

// Investor is the body that creates an investor, or the parts of it that a PATCH changes. A part that is nil is not
// sent. A company has a LegalPerson, and NaturalPerson is then its representative [G1].
type Investor struct {
	personal
	NaturalPerson  *NaturalPerson  `json:"natural_person,omitempty"`
	LegalPerson    *LegalPerson    `json:"legal_person,omitempty"`
	BankAccount    *BankAccount    `json:"bank_account,omitempty"`
	TaxInformation *TaxInformation `json:"tax_information,omitempty"`
	Communication  *Communication  `json:"communication,omitempty"`
	IsBeneficiary  *bool           `json:"is_beneficiary,omitempty"` // acts on its own account
}

// NaturalPerson is a person [G1][G2]. Countries are ISO 3166-1 alpha-3, dates YYYY-MM-DD.
type NaturalPerson struct {
	personal
	Salutation       string `json:"salutation,omitempty"` // MR or MS
	Forename         string `json:"forename,omitempty"`
	Surname          string `json:"surname,omitempty"`
	BirthDate        string `json:"birth_date,omitempty"`
	BirthPlace       string `json:"birth_place,omitempty"`
	Citizenship      string `json:"citizenship,omitempty"`
	Street           string `json:"street,omitempty"`
	City             string `json:"city,omitempty"`
	Zip              string `json:"zip,omitempty"`
	Country          string `json:"country,omitempty"`
	Phone            string `json:"phone,omitempty"`
	IsPEP            *bool  `json:"is_pep,omitempty"`
	IsSubjectToUSTax *bool  `json:"is_subject_to_us_tax,omitempty"` // true is refused [D]
}

// LegalPerson is a company [G1]. Both proofs are IDs of documents.
type LegalPerson struct {
	personal
	CompanyName              string `json:"company_name,omitempty"`
	Street                   string `json:"street,omitempty"`
	Zip                      string `json:"zip,omitempty"`
	City                     string `json:"city,omitempty"`
	Country                  string `json:"country,omitempty"`
	Phone                    string `json:"phone,omitempty"`
	CommercialRegister       string `json:"commercial_register,omitempty"`
	CommercialRegisterNumber string `json:"commercial_register_number,omitempty"`
	CompanyIdentityProofID   string `json:"company_identity_proof_id,omitempty"`
	CompanyStructureProofID  string `json:"company_structure_proof_id,omitempty"`
	IsSubjectToUSTax         *bool  `json:"is_subject_to_us_tax,omitempty"`
}

// BankAccount is an investor's account [G1][G2]. Currency is ISO 4217.
type BankAccount struct {
	personal
	AccountHolder string `json:"account_holder,omitempty"`
	IBAN          string `json:"iban,omitempty"`
	BIC           string `json:"bic,omitempty"`
	Bank          string `json:"bank,omitempty"`
	Country       string `json:"country,omitempty"`
	Currency      string `json:"currency,omitempty"`
}

// TaxInformation has to be set before a wallet can be created [D].
type TaxInformation struct {
	personal
	TaxIdentificationNumber  string `json:"tax_identification_number,omitempty"`
	NonAssessmentCertificate *bool  `json:"non_assessment_certificate,omitempty"`
	IsSubjectToGermanTax     *bool  `json:"is_subject_to_german_tax,omitempty"`
}

// Communication is how the investor is reached. E-mail addresses are not unique [D].
type Communication struct {
	personal
	Email          string `json:"email,omitempty"`
	EmailConfirmed *bool  `json:"email_confirmed,omitempty"`
}

// Identification is the proof of an investor's identity [G1][G2].
type Identification struct {
	personal
	DocumentType           string `json:"document_type,omitempty"` // IDCARD, PASSPORT …
	DocumentID             string `json:"document_id,omitempty"`   // the number on the document, not an ID of the API
	DocumentIssuer         string `json:"document_issuer,omitempty"`
	DocumentValidFrom      string `json:"document_valid_from,omitempty"`      // YYYY-MM-DD
	DocumentValidTo        string `json:"document_valid_to,omitempty"`        // YYYY-MM-DD; may lie in the past
	IdentityProvider       string `json:"identity_provider,omitempty"`        // POSTIDENT …
	LegitimationProcessID  string `json:"legitimation_process_id,omitempty"`  // the identity provider's
	LegitimationProtocolID string `json:"legitimation_protocol_id,omitempty"` // the ID of a document
	VerifiedAt             string `json:"verified_at,omitempty"`              // RFC 3339
}

// BenefitingPerson is a person who benefits from a company [G1].
type BenefitingPerson struct {
	personal
	Salutation  string `json:"salutation,omitempty"`
	Forename    string `json:"forename,omitempty"`
	Surname     string `json:"surname,omitempty"`
	Street      string `json:"street,omitempty"`
	Zip         string `json:"zip,omitempty"`
	City        string `json:"city,omitempty"`
	Country     string `json:"country,omitempty"`
	BirthDate   string `json:"birth_date,omitempty"`
	BirthPlace  string `json:"birth_place,omitempty"`
	Citizenship string `json:"citizenship,omitempty"`
	IsPEP       *bool  `json:"is_pep,omitempty"`
}

// Created is the answer to a call that creates something: its ID, a UUID.
type Created struct {
	ID string `json:"id"`
}

// PersonID is what the API calls a benefiting person [G1].
type PersonID struct {
	PersonID string `json:"person_id"`
}

// InvestorStatus is what the bridge needs to know of an investor that exists.
type InvestorStatus struct {
	ID        string   `json:"id"`
	KYCStatus string   `json:"kyc_status"` // PENDING, SUCCESS, REJECTED [A]; another one is passed on as it is, cleaned
	Company   bool     `json:"company"`    // it has a legal person
	Wallets   []Wallet `json:"wallets"`    // [A]
}

// CreateInvestor creates an investor: POST investors/ [G1][G2].
func (c *Client) CreateInvestor(ctx context.Context, key Key, body Investor) (Created, error) {
	var a Created
	err := c.do(ctx, request{op: opCreateInvestor, key: key, json: body}, &a)
	return a, err
}

// Investor gives an investor's state: GET investors/{id}/ [D]. One that the API does not know is rejected
// (outcome.NotRegistered). The ID has to be a UUID.
func (c *Client) Investor(ctx context.Context, investorID string) (InvestorStatus, error) {
	var a investorAnswer
	if err := c.do(ctx, request{op: opInvestor, ids: ids{investorID}}, &a); err != nil {
		return InvestorStatus{}, err
	}
	return InvestorStatus{ID: a.ID, KYCStatus: a.KYCStatus, Company: a.LegalPerson != nil, Wallets: a.Wallets}, nil
}

// Probe asks the API something that has no effect, to see whether it answers: for an investor that there cannot be. nil means
// that it does, in its own words; a verdict says why that is no answer. It is a single request: Before is not asked, Ended not
// told, and a 401 not repeated, but the token dropped, so that the next one has another.
func (c *Client) Probe(ctx context.Context) error {
	r := request{op: opInvestor, ids: ids{uuid.Nil.String()}}
	end := time.Now().Add(c.cfg.Timeouts.Call)
	token, err := c.tokens.get(ctx, end)
	if err != nil {
		return about(r.op, outcome.Of(err))
	}
	status, err := c.exchange(ctx, end, r, token, new(investorAnswer))
	if status == http.StatusUnauthorized {
		c.tokens.drop(token)
	}
	if e := outcome.Of(err); e != nil && e.Reason != outcome.NotRegistered {
		return about(r.op, e)
	}
	return nil
}

// PatchInvestor changes the parts of an investor that body has: PATCH investors/{id}/ [D]. What the answer says beyond
// its status is not documented, and not read.
func (c *Client) PatchInvestor(ctx context.Context, key Key, investorID string, body Investor) error {
	r := request{op: opPatchInvestor, ids: ids{investorID}, key: key, json: body}
	return c.do(ctx, r, nil)
}

// CreateIdentification adds an identification: POST investors/{id}/identifications/ [G1][G2].
func (c *Client) CreateIdentification(ctx context.Context, key Key, investorID string, body Identification) (Created, error) {
	var a Created
	r := request{op: opCreateIdentification, ids: ids{investorID}, key: key, json: body}
	err := c.do(ctx, r, &a)
	return a, err
}

// CreateBenefitingPersons adds a company's benefiting persons: POST investors/{id}/benefiting-persons/, a list to which
// the API answers with a list [G1].
func (c *Client) CreateBenefitingPersons(ctx context.Context, key Key, investorID string, body []BenefitingPerson) ([]PersonID, error) {
	a := personsAnswer{sent: len(body)}
	r := request{op: opCreateBenefitingPersons, ids: ids{investorID}, key: key, json: body}
	err := c.do(ctx, r, &a)
	return a.persons, err
}
