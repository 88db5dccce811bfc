package guide

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Quickstart is the Quickstart guide [G1], call for call: a company is registered under /distributor/v2, with two proofs,
// an identification and a benefiting person, and gets a managed wallet; its KYC has succeeded in the end. It needs no
// scope on investments. The error names the call whose answer is not as the guide says.
func Quickstart(ctx context.Context, a Access) error {
	c, err := authorize(ctx, a, "/distributor/v2", "investors:write investors:read documents:write")
	if err != nil {
		return err
	}
	defer c.close()

	identityProof, err := c.upload(ctx, "commercial-register.pdf", "register")
	if err != nil {
		return err
	}
	structureProof, err := c.upload(ctx, "structure.pdf", "structure")
	if err != nil {
		return err
	}
	investor, err := c.post(ctx, "/investors/", fmt.Sprintf(company, identityProof, structureProof))
	if err != nil {
		return err
	}

	protocol, err := c.upload(ctx, "postident.pdf", "protocol")
	if err != nil {
		return err
	}
	path := "/investors/" + investor.ID + "/"
	if _, err := c.post(ctx, path+"identifications/", fmt.Sprintf(representative, protocol)); err != nil {
		return err
	}

	var persons []struct {
		PersonID string `json:"person_id"`
	}
	list := strings.NewReader(owners)
	if err := c.call(ctx, http.MethodPost, path+"benefiting-persons/", "application/json", list, &persons); err != nil {
		return err
	}
	if len(persons) != 1 || persons[0].PersonID == "" {
		return fmt.Errorf("benefiting persons: %+v", persons)
	}

	if _, err := c.post(ctx, path+"wallets/eth-managed/", `{"receiving_enabled": true}`); err != nil {
		return err
	}

	var state struct {
		KYCStatus string `json:"kyc_status"`
	}
	if err := c.call(ctx, http.MethodGet, path, "", nil, &state); err != nil {
		return err
	}
	if state.KYCStatus != "SUCCESS" {
		return fmt.Errorf("the investor's KYC is %q", state.KYCStatus)
	}
	return nil
}

// company takes the IDs of its two proofs.
const company = `{
	"natural_person": {
		"salutation": "MR", "forename": "Max", "surname": "Mustermann", "birth_date": "1980-02-29",
		"birth_place": "Frankfurt", "citizenship": "DEU", "street": "Musterstraße 1", "city": "Frankfurt",
		"zip": "60311", "country": "DEU", "phone": "+4915112345678", "is_pep": false, "is_subject_to_us_tax": false
	},
	"legal_person": {
		"company_name": "Muster GmbH", "street": "Musterstraße 2", "zip": "60311", "city": "Frankfurt",
		"country": "DEU", "phone": "+496912345678", "commercial_register": "Amtsgericht Frankfurt",
		"commercial_register_number": "HRB 98765", "company_identity_proof_id": "%s",
		"company_structure_proof_id": "%s", "is_subject_to_us_tax": false
	},
	"bank_account": {
		"account_holder": "Muster GmbH", "iban": "DE02120300000000202051", "bic": "BYLADEM1001", "bank": "DKB",
		"country": "DEU", "currency": "EUR"
	},
	"tax_information": {
		"tax_identification_number": "12345678911", "non_assessment_certificate": false,
		"is_subject_to_german_tax": true
	},
	"communication": {"email": "max@example.com", "email_confirmed": true},
	"is_beneficiary": true
}`

// representative is the identification of who acts for the company; it takes the ID of the protocol.
const representative = `{
	"document_type": "IDCARD", "document_id": "T22000129", "document_issuer": "Stadt Frankfurt",
	"document_valid_from": "2021-01-01", "document_valid_to": "2031-01-01", "identity_provider": "POSTIDENT",
	"legitimation_process_id": "4711", "legitimation_protocol_id": "%s",
	"verified_at": "2026-01-01T12:00:00Z"
}`

// owners are the company's benefiting persons.
const owners = `[{
	"salutation": "MS", "forename": "Erika", "surname": "Mustermann", "street": "Musterstraße 3", "zip": "60311",
	"city": "Frankfurt", "country": "DEU", "birth_date": "1982-03-04", "birth_place": "Hanau",
	"citizenship": "DEU", "is_pep": false
}]`
