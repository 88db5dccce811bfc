package schemas

// The data of the events that upstream emits, in upstream's words. Each type belongs to the schema of its name, and a
// test holds it to that schema. Optional parts and flags are pointers; an optional string is empty when absent, since
// the schemas allow no empty string. Days are ISO 8601 dates, moments RFC 3339, both as upstream wrote them.

// CustomerVerified is the data of customer.verified: a customer whose identity has been checked. Exactly one of Person
// and Company is set.
type CustomerVerified struct {
	CustomerID        string             `json:"customer_id"`
	Person            *Person            `json:"person,omitempty"`
	Company           *Company           `json:"company,omitempty"`
	BankAccount       BankAccount        `json:"bank_account"`
	Tax               Tax                `json:"tax"`
	Contact           Contact            `json:"contact"`
	IsBeneficiary     *bool              `json:"is_beneficiary,omitempty"` // absent: true
	Identification    Identification     `json:"identification"`
	BenefitingPersons []BenefitingPerson `json:"benefiting_persons,omitempty"` // a company's: at least one; a person's: none
	Wallet            *WalletWish        `json:"wallet,omitempty"`             // absent: managed
}

// CustomerUpdated is the data of customer.updated: the parts that changed, each part whole. At least one is set.
type CustomerUpdated struct {
	CustomerID     string          `json:"customer_id"`
	Person         *Person         `json:"person,omitempty"`
	Company        *Company        `json:"company,omitempty"`
	BankAccount    *BankAccount    `json:"bank_account,omitempty"`
	Tax            *Tax            `json:"tax,omitempty"`
	Contact        *Contact        `json:"contact,omitempty"`
	Identification *Identification `json:"identification,omitempty"`
}

// CustomerWalletAdded is the data of customer.wallet_added: an address that the customer holds the key of.
type CustomerWalletAdded struct {
	CustomerID       string `json:"customer_id"`
	Address          string `json:"address"`                     // 0x and 40 hex digits
	ReceivingEnabled *bool  `json:"receiving_enabled,omitempty"` // absent: true
}

// CustomerLinked is the data of customer.linked: an investor, and its wallets, that exist at the provider already.
type CustomerLinked struct {
	CustomerID string         `json:"customer_id"`
	InvestorID string         `json:"investor_id"` // UUID
	Wallets    []LinkedWallet `json:"wallets,omitempty"`
}

// LinkedWallet is a wallet that exists at the provider already.
type LinkedWallet struct {
	ID      string `json:"id"` // UUID
	Address string `json:"address,omitempty"`
	Managed bool   `json:"managed"`
}

// OrderPaid is the data of order.paid: a customer's order whose money has come in.
type OrderPaid struct {
	CustomerID      string           `json:"customer_id"`
	OrderID         string           `json:"order_id"`
	Offering        string           `json:"offering"` // upstream's name of what is for sale
	Units           int64            `json:"units"`    // 1 to 2^53
	SignedAt        string           `json:"signed_at"`
	AcceptedAt      string           `json:"accepted_at,omitempty"`
	PaidAt          string           `json:"paid_at,omitempty"`
	Wallet          string           `json:"wallet,omitempty"` // address; absent: the only wallet, or the managed one
	Credit          *bool            `json:"credit,omitempty"` // absent: true; false: until order.credit_released
	SignedDocuments []SignedDocument `json:"signed_documents"` // at least one
}

// SignedDocument is a document that the customer signed for an order.
type SignedDocument struct {
	Document Document `json:"document"`
	Category string   `json:"category"`
	Subject  string   `json:"subject"`
}

// OrderCreditReleased is the data of order.credit_released: the securities of an order may be delivered.
type OrderCreditReleased struct {
	CustomerID string `json:"customer_id"`
	OrderID    string `json:"order_id"`
}

// PositionRedeemed is the data of position.redeemed: units that the customer gives back.
type PositionRedeemed struct {
	CustomerID   string `json:"customer_id"`
	RedemptionID string `json:"redemption_id"`
	Offering     string `json:"offering"`
	Units        int64  `json:"units"`
	Wallet       string `json:"wallet,omitempty"`
}

// PositionTransferred is the data of position.transferred: units that the customer sends to another address.
type PositionTransferred struct {
	CustomerID    string `json:"customer_id"`
	TransferID    string `json:"transfer_id"`
	Offering      string `json:"offering"`
	Units         int64  `json:"units"`
	Wallet        string `json:"wallet,omitempty"`
	TargetAddress string `json:"target_address"`
}

// Salutations of a person [G1][G2].
const (
	SalutationMR = "MR"
	SalutationMS = "MS"
)

// Person is a natural person: the customer, or a company's representative [G1][G2].
type Person struct {
	Salutation       string `json:"salutation"`
	Forename         string `json:"forename"`
	Surname          string `json:"surname"`
	BirthDate        string `json:"birth_date"`
	BirthPlace       string `json:"birth_place"`
	Citizenship      string `json:"citizenship"` // ISO 3166-1 alpha-3
	Street           string `json:"street"`
	City             string `json:"city"`
	Zip              string `json:"zip"`
	Country          string `json:"country"` // ISO 3166-1 alpha-3
	Phone            string `json:"phone"`
	IsPEP            *bool  `json:"is_pep,omitempty"`
	IsSubjectToUSTax *bool  `json:"is_subject_to_us_tax,omitempty"` // only false: others are refused [D]
}

// Company is a legal person and who represents it [G1].
type Company struct {
	CompanyName              string   `json:"company_name"`
	Street                   string   `json:"street"`
	Zip                      string   `json:"zip"`
	City                     string   `json:"city"`
	Country                  string   `json:"country"` // ISO 3166-1 alpha-3
	Phone                    string   `json:"phone"`
	CommercialRegister       string   `json:"commercial_register"`
	CommercialRegisterNumber string   `json:"commercial_register_number"`
	IsSubjectToUSTax         *bool    `json:"is_subject_to_us_tax,omitempty"` // only false: others are refused [D]
	IdentityProof            Document `json:"identity_proof"`
	StructureProof           Document `json:"structure_proof"`
	Representative           Person   `json:"representative"`
}

// BankAccount is where a customer's money goes [G1][G2].
type BankAccount struct {
	AccountHolder string `json:"account_holder"`
	IBAN          string `json:"iban"` // no spaces, check digits right
	BIC           string `json:"bic"`
	Bank          string `json:"bank"`
	Country       string `json:"country"`  // ISO 3166-1 alpha-3
	Currency      string `json:"currency"` // three letters, as EUR
}

// Tax is a customer's tax information [G1][G2].
type Tax struct {
	TaxIdentificationNumber  string `json:"tax_identification_number"`
	NonAssessmentCertificate *bool  `json:"non_assessment_certificate,omitempty"` // absent: false
	IsSubjectToGermanTax     bool   `json:"is_subject_to_german_tax"`
}

// Contact is how a customer is reached [G1][G2].
type Contact struct {
	Email          string `json:"email"`
	EmailConfirmed bool   `json:"email_confirmed"`
}

// Identification is how and by whom a customer was identified [G1][G2]. The document may have expired since.
type Identification struct {
	DocumentType          string    `json:"document_type"` // IDCARD, PASSPORT, …
	DocumentID            string    `json:"document_id"`   // the number on the document
	DocumentIssuer        string    `json:"document_issuer"`
	DocumentValidFrom     string    `json:"document_valid_from"`
	DocumentValidTo       string    `json:"document_valid_to"`
	IdentityProvider      string    `json:"identity_provider"` // POSTIDENT, …
	LegitimationProcessID string    `json:"legitimation_process_id"`
	LegitimationProtocol  *Document `json:"legitimation_protocol,omitempty"`
	VerifiedAt            string    `json:"verified_at"`
}

// BenefitingPerson is a natural person who owns or controls a company [G1].
type BenefitingPerson struct {
	Salutation  string `json:"salutation"`
	Forename    string `json:"forename"`
	Surname     string `json:"surname"`
	Street      string `json:"street"`
	Zip         string `json:"zip"`
	City        string `json:"city"`
	Country     string `json:"country"` // ISO 3166-1 alpha-3
	BirthDate   string `json:"birth_date"`
	BirthPlace  string `json:"birth_place"`
	Citizenship string `json:"citizenship"` // ISO 3166-1 alpha-3
	IsPEP       bool   `json:"is_pep"`
}

// Kinds of wallet. A customer.verified wishes for managed, own or none; a wallet.created reports managed, own or linked.
const (
	WalletManaged = "managed" // the provider keeps the key
	WalletOwn     = "own"     // the customer keeps the key
	WalletNone    = "none"    // no wallet is wished for
	WalletLinked  = "linked"  // it existed already
)

// WalletWish is the wallet that a verified customer asks for.
type WalletWish struct {
	Kind    string `json:"kind"`
	Address string `json:"address,omitempty"` // with own, and only then
}

// MaxInlineSize is the limit of a document's inline content, decoded, in bytes.
const MaxInlineSize = 256 << 10

// Document is a file, inline or by reference: exactly one of Content and URL is set.
type Document struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`              // bytes, decoded, at least 1
	SHA256      string `json:"sha256"`            // 64 lower-case hex digits
	Content     string `json:"content,omitempty"` // base64, standard alphabet with padding; at most MaxInlineSize decoded
	URL         string `json:"url,omitempty"`     // https or file
}
