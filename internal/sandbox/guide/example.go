package guide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Example is the example guide [G2], call for call: a person is registered under /v2, gets a managed wallet, invests with
// two signed documents, is credited, and gives all 300 units back at once. The error names the call whose answer is not
// as the guide says.
func Example(ctx context.Context, a Access) error {
	c, err := authorize(ctx, a, "/v2",
		"investors:read investors:write investments:read investments:write documents:write")
	if err != nil {
		return err
	}
	defer c.close()

	investor, err := c.post(ctx, "/investors/", person)
	if err != nil {
		return err
	}
	if _, err := c.post(ctx, "/investors/"+investor.ID+"/identifications/", expired); err != nil {
		return err
	}
	wallet, err := c.post(ctx, "/investors/"+investor.ID+"/wallets/eth-managed/", "")
	if err != nil {
		return err
	}
	if err := c.invest(ctx, a.CampaignID, investor.ID, wallet.ID); err != nil {
		return err
	}

	redemption, err := c.post(ctx, "/redemptions/", fmt.Sprintf(all, investor.ID, a.ProductID, wallet.ID))
	if err != nil {
		return err
	}
	return c.want(ctx, "/redemptions/"+redemption.ID+"/", "succeeded")
}

// invest is the guide's middle: two documents, the investment, its credit, and its status.
func (c *client) invest(ctx context.Context, campaignID, investorID, walletID string) error {
	contract, err := c.upload(ctx, "contract.pdf", "contract")
	if err != nil {
		return err
	}
	terms, err := c.upload(ctx, "terms.pdf", "terms")
	if err != nil {
		return err
	}
	investment, err := c.post(ctx, "/investments/",
		fmt.Sprintf(subscription, campaignID, investorID, walletID, contract, terms))
	if err != nil {
		return err
	}
	credit, err := c.post(ctx, "/investments/"+investment.ID+"/credits/", "")
	if err != nil {
		return err
	}
	if credit.Status == "" {
		return errors.New("the credit has no status")
	}
	return c.want(ctx, "/investments/"+investment.ID+"/", "DELIVERED")
}

// want reads an object and holds it to a status.
func (c *client) want(ctx context.Context, path, status string) error {
	var answer made
	if err := c.call(ctx, http.MethodGet, path, "", nil, &answer); err != nil {
		return err
	}
	if answer.Status != status {
		return fmt.Errorf("GET %s: status is %q, not %q", path, answer.Status, status)
	}
	return nil
}

// person says nothing of US tax.
const person = `{
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
}`

// expired is an identification whose document has expired since it was verified.
const expired = `{
	"document_type": "IDCARD", "document_id": "ABC123", "document_issuer": "Stadt Frankfurt",
	"document_valid_from": "2012-01-01", "document_valid_to": "2022-01-01", "identity_provider": "POSTIDENT",
	"legitimation_process_id": "4711", "verified_at": "2020-06-01T10:00:00Z"
}`

// subscription takes the IDs of campaign, investor, wallet and the two documents.
const subscription = `{
	"campaign_id": "%s", "investor_id": "%s", "units": 300,
	"signed_at": "2020-06-01T10:00:00Z", "accepted_at": "2020-06-02T10:00:00Z", "paid_at": "2020-06-03T10:00:00Z",
	"wallet": "%s",
	"signed_documents": [
		{"document_id": "%s", "category": "CONTRACT", "subject": "Subscription"},
		{"document_id": "%s", "category": "TERMS", "subject": "Terms and conditions"}
	]
}`

// all is a redemption of all units; it takes the IDs of investor, product and wallet.
const all = `{"investor_id": "%s", "product_id": "%s", "wallet_id": "%s", "units": 300}`
