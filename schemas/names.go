package schemas

import "slices"

// DefaultPrefix stands before the name of each type, unless configured otherwise.
const DefaultPrefix = "distributor."

// Names of event types, without prefix.
const (
	TypeCustomerVerified    = "customer.verified"
	TypeCustomerUpdated     = "customer.updated" // also the name of a result
	TypeCustomerWalletAdded = "customer.wallet_added"
	TypeCustomerLinked      = "customer.linked"
	TypeOrderPaid           = "order.paid"
	TypeOrderCreditReleased = "order.credit_released"
	TypePositionRedeemed    = "position.redeemed"
	TypePositionTransferred = "position.transferred"
)

// Names of result types, without prefix. The result customer.updated has the same name as the event.
const (
	TypeCustomerRegistered      = "customer.registered"
	TypeCustomerKYCChanged      = "customer.kyc_changed"
	TypeWalletCreated           = "wallet.created"
	TypeInvestmentCreated       = "investment.created"
	TypeInvestmentStatusChanged = "investment.status_changed"
	TypeCreditStarted           = "credit.started"
	TypeCreditSucceeded         = "credit.succeeded"
	TypeCreditFailed            = "credit.failed"
	TypeRedemptionStarted       = "redemption.started"
	TypeRedemptionSucceeded     = "redemption.succeeded"
	TypeRedemptionFailed        = "redemption.failed"
	TypeTransferStarted         = "transfer.started"
	TypeTransferSucceeded       = "transfer.succeeded"
	TypeTransferFailed          = "transfer.failed"
	TypeEventWaiting            = "event.waiting"
	TypeEventRejected           = "event.rejected"
	TypeEventUnresolved         = "event.unresolved"
)

var eventTypes = []string{
	TypeCustomerVerified, TypeCustomerUpdated, TypeCustomerWalletAdded, TypeCustomerLinked,
	TypeOrderPaid, TypeOrderCreditReleased, TypePositionRedeemed, TypePositionTransferred,
}

var resultTypes = []string{
	TypeCustomerRegistered, TypeCustomerUpdated, TypeCustomerKYCChanged, TypeWalletCreated,
	TypeInvestmentCreated, TypeInvestmentStatusChanged,
	TypeCreditStarted, TypeCreditSucceeded, TypeCreditFailed,
	TypeRedemptionStarted, TypeRedemptionSucceeded, TypeRedemptionFailed,
	TypeTransferStarted, TypeTransferSucceeded, TypeTransferFailed,
	TypeEventWaiting, TypeEventRejected, TypeEventUnresolved,
}

// EventTypes gives the names of all event types, without prefix, in the order of the documentation.
func EventTypes() []string { return slices.Clone(eventTypes) }

// ResultTypes gives the names of all result types, without prefix, in the order of the documentation.
func ResultTypes() []string { return slices.Clone(resultTypes) }

// Reason says in one word why an event waits, was rejected or is unresolved. The sets are closed; the schemas list them.
type Reason string

// Reasons for waiting.
const (
	ReasonInvestorMissing    Reason = "investor_missing"
	ReasonKYCPending         Reason = "kyc_pending"
	ReasonWalletMissing      Reason = "wallet_missing"
	ReasonInvestmentMissing  Reason = "investment_missing"
	ReasonPositionProcessing Reason = "position_processing"
)

// Reasons for a rejection.
const (
	ReasonInvalid             Reason = "invalid"               // does not satisfy its schema
	ReasonRefused             Reason = "refused"               // the API answered with a definite 4xx
	ReasonConflict            Reason = "conflict"              // the same object was done with other data
	ReasonAmbiguousWallet     Reason = "ambiguous_wallet"      // several wallets, none named
	ReasonUnknownOffering     Reason = "unknown_offering"      // not in the configuration
	ReasonPersonCompanyChange Reason = "person_company_change" // a person cannot become a company, nor the reverse
	ReasonDocumentGone        Reason = "document_gone"
	ReasonDocumentTooLarge    Reason = "document_too_large"
	ReasonDocumentMismatch    Reason = "document_mismatch"     // size or SHA-256 differ
	ReasonDocumentRefusedLink Reason = "document_refused_link" // the link is not allowed
	ReasonNotRegistered       Reason = "not_registered"
	ReasonExpired             Reason = "expired"      // waited longer than max_wait
	ReasonBug                 Reason = "bug"          // the handler panicked, again and again
	ReasonDiscarded           Reason = "discarded"    // an operator gave it up while it was held
	ReasonStepChanged         Reason = "step_changed" // a replay's mended data would change a step that has succeeded
)

// Reasons for being unresolved.
const (
	ReasonTaskUnknown    Reason = "task_unknown"
	ReasonContractBroken Reason = "contract_broken" // a 2xx that breaks the API's contract
	ReasonKeyReused      Reason = "key_reused"      // the API knows the key with another body
	ReasonBodyChanged    Reason = "body_changed"    // what is to be sent is no longer what was first sent
	ReasonKeyExpired     Reason = "key_expired"     // first sent longer ago than the API keeps keys
	ReasonFailing        Reason = "failing"         // 5xx for this event alone, too long
)

// WaitingReasons gives the closed set of reasons of event.waiting.
func WaitingReasons() []Reason {
	return []Reason{ReasonInvestorMissing, ReasonKYCPending, ReasonWalletMissing, ReasonInvestmentMissing,
		ReasonPositionProcessing}
}

// RejectedReasons gives the closed set of reasons of event.rejected.
func RejectedReasons() []Reason {
	return []Reason{ReasonInvalid, ReasonRefused, ReasonConflict, ReasonAmbiguousWallet, ReasonUnknownOffering,
		ReasonPersonCompanyChange, ReasonDocumentGone, ReasonDocumentTooLarge, ReasonDocumentMismatch,
		ReasonDocumentRefusedLink, ReasonNotRegistered, ReasonExpired, ReasonBug, ReasonStepChanged, ReasonDiscarded}
}

// UnresolvedReasons gives the closed set of reasons of event.unresolved.
func UnresolvedReasons() []Reason {
	return []Reason{ReasonTaskUnknown, ReasonContractBroken, ReasonKeyReused, ReasonBodyChanged, ReasonKeyExpired,
		ReasonFailing}
}
