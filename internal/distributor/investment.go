package distributor

import "context"

// Investment is the body that creates an investment [G2][D]. Times are RFC 3339.
type Investment struct {
	personal
	CampaignID      string           `json:"campaign_id"`
	InvestorID      string           `json:"investor_id"`
	Units           int64            `json:"units"`
	SignedAt        string           `json:"signed_at,omitempty"`
	AcceptedAt      string           `json:"accepted_at,omitempty"`
	PaidAt          string           `json:"paid_at,omitempty"`
	Wallet          string           `json:"wallet,omitempty"` // a wallet's ID
	SignedDocuments []SignedDocument `json:"signed_documents,omitempty"`
}

// SignedDocument is a document that the investor has signed [G2].
type SignedDocument struct {
	personal
	DocumentID string `json:"document_id"` // the ID of a document
	Category   string `json:"category,omitempty"`
	Subject    string `json:"subject,omitempty"`
}

// InvestmentStatus is the state of an investment. A status that this project does not know is passed on as it is,
// cleaned (outcome.Clean), and is not final.
type InvestmentStatus struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// The statuses of an investment on its way [G2][D].
const (
	InvestmentKYCPending      = "KYC_PENDING"
	InvestmentReviewPending   = "REVIEW_PENDING"
	InvestmentWaiting         = "WAITING_FOR_ACCEPTANCE"
	InvestmentAccepted        = "ACCEPTED"
	InvestmentPaid            = "PAID"
	InvestmentDelivered       = "DELIVERED"        // final
	InvestmentKYCInsufficient = "KYC_INSUFFICIENT" // ends it; other refusals are not documented
)

// The KYC statuses of an investor [A].
const (
	KYCPending  = "PENDING"
	KYCSuccess  = "SUCCESS"
	KYCRejected = "REJECTED"
)

// CreateInvestment creates an investment: POST investments/ [G2].
func (c *Client) CreateInvestment(ctx context.Context, key Key, body Investment) (InvestmentStatus, error) {
	var a InvestmentStatus
	err := c.do(ctx, request{op: opCreateInvestment, key: key, json: body}, &a)
	return a, err
}

// Investment gives an investment's status: GET investments/{id}/ [G2].
func (c *Client) Investment(ctx context.Context, investmentID string) (InvestmentStatus, error) {
	var a InvestmentStatus
	err := c.do(ctx, request{op: opInvestment, ids: ids{investmentID}}, &a)
	return a, err
}
