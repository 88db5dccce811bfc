package sandbox_test

import (
	"net/http"
	"testing"
)

// TestExampleGuide is the example guide [G2], call for call: a person is registered, invests, gets the securities, and
// gives all of them back at once.
func TestExampleGuide(t *testing.T) {
	s, base := serve(t)
	id, secret := s.Credentials()
	campaign := s.Campaigns()[0]
	g := authorize(t, base, "/v2",
		"investors:read investors:write investments:read investments:write documents:write", id, secret)

	investor := g.post("/investors/", `{
		"natural_person": {
			"salutation": "MR", "forename": "Max", "surname": "Mustermann", "birth_date": "1980-01-31",
			"birth_place": "Frankfurt", "citizenship": "DEU", "street": "Musterstraße 1", "city": "Frankfurt",
			"zip": "60311", "country": "DEU", "phone": "+4915112345678", "is_pep": false
		},
		"bank_account": {
			"account_holder": "Max Mustermann", "iban": "DE02120300000000202051", "bic": "BYLADEM1001", "bank": "DKB",
			"country": "DEU", "currency": "EUR"
		},
		"tax_information": {
			"tax_identification_number": "12345678911", "non_assessment_certificate": false,
			"is_subject_to_german_tax": true
		},
		"communication": {"email": "max@example.com", "email_confirmed": true},
		"is_beneficiary": true
	}`)

	// The document has expired since it was verified.
	g.post("/investors/"+investor.ID+"/identifications/", `{
		"document_type": "IDCARD", "document_id": "ABC123", "document_issuer": "Stadt Frankfurt",
		"document_valid_from": "2012-01-01", "document_valid_to": "2022-01-01", "identity_provider": "POSTIDENT",
		"legitimation_process_id": "4711", "verified_at": "2020-06-01T10:00:00Z"
	}`)
	wallet := g.post("/investors/"+investor.ID+"/wallets/eth-managed/", "")

	contract := g.upload("contract.pdf", "contract")
	terms := g.upload("terms.pdf", "terms")
	investment := g.post("/investments/", `{
		"campaign_id": "`+campaign.CampaignID+`", "investor_id": "`+investor.ID+`", "units": 300,
		"signed_at": "2020-06-01T10:00:00Z", "accepted_at": "2020-06-02T10:00:00Z", "paid_at": "2020-06-03T10:00:00Z",
		"wallet": "`+wallet.ID+`",
		"signed_documents": [
			{"document_id": "`+contract+`", "category": "CONTRACT", "subject": "Subscription"},
			{"document_id": "`+terms+`", "category": "TERMS", "subject": "Terms and conditions"}
		]
	}`)

	if credit := g.post("/investments/"+investment.ID+"/credits/", ""); credit.Status == "" {
		t.Fatal("the credit has no status")
	}
	var status identified
	g.call(http.MethodGet, "/investments/"+investment.ID+"/", "", nil, &status)
	if status.Status != "DELIVERED" {
		t.Fatalf("the investment is %q", status.Status)
	}

	redemption := g.post("/redemptions/", `{
		"investor_id": "`+investor.ID+`", "product_id": "`+campaign.ProductID+`", "wallet_id": "`+wallet.ID+`",
		"units": 300
	}`)
	g.call(http.MethodGet, "/redemptions/"+redemption.ID+"/", "", nil, &status)
	if status.Status != "succeeded" {
		t.Fatalf("the redemption is %q", status.Status)
	}
}
