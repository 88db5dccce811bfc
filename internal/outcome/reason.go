package outcome

// Reason says why an attempt ended as it did. The set is closed: reasons stand in results, dead letters and metrics,
// and schemas/ lists the same words.
type Reason string

// Reasons of waiting: what has to be there first.
const (
	InvestorMissing    Reason = "investor_missing"    // the customer is not registered yet
	KYCPending         Reason = "kyc_pending"         // the customer's KYC has not succeeded
	WalletMissing      Reason = "wallet_missing"      // the customer has no wallet yet, or not the one that is named
	InvestmentMissing  Reason = "investment_missing"  // the order has no investment yet
	PositionProcessing Reason = "position_processing" // an earlier credit, redemption or transfer is still processing
	StatusPending      Reason = "status_pending"      // a follow-up's status is not final yet; never published
)

// Temporary is the reason of every retry but one; its class says more.
const Temporary Reason = "temporary"

// Paused is the reason of what is not attempted, since too many events of its type were rejected: it goes on when an operator
// says so.
const Paused Reason = "paused"

// NotCurrent is the reason of an operator's command that did nothing: what it was about had changed.
const NotCurrent Reason = "not_current"

// Reasons of a rejection: what has to be mended before a replay.
const (
	Invalid             Reason = "invalid"               // the event does not keep its schema
	Refused             Reason = "refused"               // the API refused a call with a 4xx
	Conflict            Reason = "conflict"              // the same order or position came before, with other data or an unknown end
	AmbiguousWallet     Reason = "ambiguous_wallet"      // no wallet is named, and the customer has several of them
	UnknownOffering     Reason = "unknown_offering"      // the configuration maps no such offering
	PersonCompanyChange Reason = "person_company_change" // a person cannot become a company, nor the other way
	DocumentGone        Reason = "document_gone"         // the document is no longer where the event says
	DocumentTooLarge    Reason = "document_too_large"    // the document is larger than it may be
	DocumentMismatch    Reason = "document_mismatch"     // the document has another size or SHA-256 than the event says
	DocumentRefusedLink Reason = "document_refused_link" // the document's link leads to a place that is not allowed
	NotRegistered       Reason = "not_registered"        // the API knows no such investor, wallet, investment or task
	Expired             Reason = "expired"               // it waited longer than max_wait
	Bug                 Reason = "bug"                   // the handler panicked, time and again
	Discarded           Reason = "discarded"             // an operator gave it up while it was held
	StepChanged         Reason = "step_changed"          // a replay's mended data would change a step that has succeeded
	Superseded          Reason = "superseded"            // of a replay: something newer has overtaken it. It is done; never published
	TooLarge            Reason = "too_large"             // the record is larger than the inbox takes
	Undecodable         Reason = "undecodable"           // the record is no CloudEvent
	UnknownType         Reason = "unknown_type"          // no handler knows the event's type
	ForeignCommand      Reason = "foreign_command"       // upstream emitted a command: only the bridge's own tools give them
)

// Reasons for which only a person can go on.
const (
	TaskUnknown    Reason = "task_unknown"    // the provider says that it does not know whether it happened
	ContractBroken Reason = "contract_broken" // a 2xx that does not say what the API promises to say
	KeyReused      Reason = "key_reused"      // the API says that the key was used with another body
	BodyChanged    Reason = "body_changed"    // the body made now differs from the one sent before
	KeyExpired     Reason = "key_expired"     // in doubt, and first sent longer ago than the API keeps keys
	Failing        Reason = "failing"         // one event fails with 5xx for long while others succeed
	NeverResolved  Reason = "unresolved"      // it was unknown for longer than max_wait: in dead letters only
)

// Class says what was observed when a call did not succeed. The set is closed; dead letters (dlq_class), logs and
// metrics carry it, and the breaker counts by it.
type Class string

// The classes.
const (
	ClassEvent        Class = "event"        // the event itself: no call was made
	ClassNotSent      Class = "not_sent"     // dial, DNS or TLS: the call surely did not arrive
	ClassNoAnswer     Class = "no_answer"    // sent, but timed out or cut off before an answer
	ClassServer       Class = "server"       // a 5xx
	ClassInFlight     Class = "in_flight"    // 409: the same key is being worked on
	ClassThrottled    Class = "throttled"    // 429, or 503 with Retry-After
	ClassUnauthorized Class = "unauthorized" // 401 twice, 403, or a token that cannot be had
	ClassEndpoint     Class = "endpoint"     // a redirect, 405, or 404 that is not about an object: base address or prefix is wrong
	ClassClient       Class = "client"       // another 4xx: the call itself is refused
	ClassContract     Class = "contract"     // a 2xx that breaks the contract; for a GET a retry, else unknown
	ClassDocument     Class = "document"     // what the event refers to cannot be had now; says nothing of the API
	ClassUnknown      Class = "unknown"      // whatever was observed, it does not tell what the call did
	ClassInternal     Class = "internal"     // the bridge's own fault, or an error without a verdict
)

// Classes gives all classes.
func Classes() []Class {
	return []Class{
		ClassEvent, ClassNotSent, ClassNoAnswer, ClassServer, ClassInFlight, ClassThrottled, ClassUnauthorized, ClassEndpoint,
		ClassClient, ClassContract, ClassDocument, ClassUnknown, ClassInternal,
	}
}

// Clean gives s if it looks like a machine-readable word (letters, digits and . _ - [ ], at most 64 bytes), else "".
// The API's field names and codes pass through it, so that no text of a third party, and with it no personal data,
// reaches a log, a header or a result.
func Clean(s string) string {
	if len(s) == 0 || len(s) > 64 {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '[', c == ']':
		default:
			return ""
		}
	}
	return s
}
