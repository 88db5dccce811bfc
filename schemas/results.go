package schemas

// The data of the results that the bridge publishes. A list that is empty is absent. Statuses are the API's, passed on
// as they came, known or not.

// CustomerRegistered is the data of customer.registered: the customer is an investor at the provider.
type CustomerRegistered struct {
	CustomerID string `json:"customer_id"`
	InvestorID string `json:"investor_id"`
}

// CustomerUpdatedResult is the data of the result customer.updated, which shares its name with an event: the parts that
// were applied, and those left out since newer data had been applied before.
type CustomerUpdatedResult struct {
	CustomerID string   `json:"customer_id"`
	InvestorID string   `json:"investor_id"`
	Parts      []string `json:"parts,omitempty"`   // names of Part…
	Skipped    []string `json:"skipped,omitempty"` // names of Part…
}

// Parts of a customer's data, as the fields of CustomerUpdated and of CustomerVerified are called.
const (
	PartPerson            = "person"
	PartCompany           = "company"
	PartBankAccount       = "bank_account"
	PartTax               = "tax"
	PartContact           = "contact"
	PartIdentification    = "identification"
	PartIsBeneficiary     = "is_beneficiary"
	PartBenefitingPersons = "benefiting_persons"
)

// CustomerKYCChanged is the data of customer.kyc_changed.
type CustomerKYCChanged struct {
	CustomerID string `json:"customer_id"`
	InvestorID string `json:"investor_id"`
	KYCStatus  string `json:"kyc_status"` // PENDING, SUCCESS, REJECTED [A], or what comes
}

// WalletCreated is the data of wallet.created.
type WalletCreated struct {
	CustomerID string `json:"customer_id"`
	InvestorID string `json:"investor_id"`
	WalletID   string `json:"wallet_id"`
	Kind       string `json:"kind"` // managed, own, linked
	Address    string `json:"address,omitempty"`
}

// InvestmentCreated is the data of investment.created.
type InvestmentCreated struct {
	CustomerID   string `json:"customer_id"`
	OrderID      string `json:"order_id"`
	InvestmentID string `json:"investment_id"`
	Status       string `json:"status"`
}

// InvestmentStatusChanged is the data of investment.status_changed.
type InvestmentStatusChanged struct {
	CustomerID     string `json:"customer_id"`
	OrderID        string `json:"order_id"`
	InvestmentID   string `json:"investment_id"`
	Status         string `json:"status"`
	PreviousStatus string `json:"previous_status,omitempty"`
}

// CreditProgress is the data of credit.started, credit.succeeded and credit.failed.
type CreditProgress struct {
	CustomerID   string `json:"customer_id"`
	OrderID      string `json:"order_id"`
	InvestmentID string `json:"investment_id"`
	TaskID       string `json:"task_id,omitempty"`
	ByHand       bool   `json:"by_hand,omitempty"` // credited in the provider's front end, not by the bridge
}

// RedemptionProgress is the data of redemption.started, redemption.succeeded and redemption.failed.
type RedemptionProgress struct {
	CustomerID   string `json:"customer_id"`
	RedemptionID string `json:"redemption_id"`
	TaskID       string `json:"task_id"`
}

// TransferProgress is the data of transfer.started, transfer.succeeded and transfer.failed.
type TransferProgress struct {
	CustomerID string `json:"customer_id"`
	TransferID string `json:"transfer_id"`
	TaskID     string `json:"task_id"`
}

// EventRef names the event that a result is about. Source and ID together are its identity.
type EventRef struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Type   string `json:"type"` // in full, with prefix
}

// EventWaiting is the data of event.waiting: the event goes on by itself when what it waits for is there.
type EventWaiting struct {
	CustomerID string   `json:"customer_id"`
	Reason     Reason   `json:"reason"` // one of WaitingReasons
	On         string   `json:"on"`     // the subject waited for: customer, wallet/0x…, order/ID, positions
	Since      string   `json:"since,omitempty"`
	Event      EventRef `json:"event"`
}

// EventRejected is the data of event.rejected: the event has been given up and lies in the dead letters.
type EventRejected struct {
	CustomerID string   `json:"customer_id"`
	Reason     Reason   `json:"reason"`           // one of RejectedReasons
	Step       string   `json:"step,omitempty"`   // the step that was refused
	Status     int      `json:"status,omitempty"` // HTTP status of the API's answer
	Code       string   `json:"code,omitempty"`   // the API's or the schema's word for what was wrong, never its text
	Fields     []string `json:"fields,omitempty"` // names or JSON Pointers of what was wrong, never values
	Event      EventRef `json:"event"`
}

// EventUnresolved is the data of event.unresolved: it is not known what became of the event; a person has to look.
type EventUnresolved struct {
	CustomerID string `json:"customer_id"`
	Reason     Reason `json:"reason"` // one of UnresolvedReasons
	Step       string `json:"step,omitempty"`
	// GivenUp says that nobody has found out within max_wait: the event lies in the dead letters, later ones of its subject go
	// on. It may have happened all the same.
	GivenUp bool     `json:"given_up,omitempty"`
	Event   EventRef `json:"event"`
}
