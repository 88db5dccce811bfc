package distributor

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// operation is one call of the API: its name in Call.Operation and in errors, its method, and its path below the
// prefix. Every path ends in a slash [G1][G2].
type operation struct {
	name   string
	method string
	path   string
}

var (
	opUploadDocument          = declare("upload_document", http.MethodPost, "documents/")
	opCreateInvestor          = declare("create_investor", http.MethodPost, "investors/")
	opInvestor                = declare("get_investor", http.MethodGet, "investors/{id}/")
	opPatchInvestor           = declare("patch_investor", http.MethodPatch, "investors/{id}/")
	opCreateIdentification    = declare("create_identification", http.MethodPost, "investors/{id}/identifications/")
	opCreateBenefitingPersons = declare("create_benefiting_persons", http.MethodPost, "investors/{id}/benefiting-persons/")
	opCreateManagedWallet     = declare("create_managed_wallet", http.MethodPost, "investors/{id}/wallets/eth-managed/")
	opCreateGenericWallet     = declare("create_generic_wallet", http.MethodPost, "investors/{id}/wallets/eth-generic/")
	opCreateInvestment        = declare("create_investment", http.MethodPost, "investments/")
	opInvestment              = declare("get_investment", http.MethodGet, "investments/{id}/")
	opCreateCredit            = declare("create_credit", http.MethodPost, "investments/{id}/credits/")
	opCredit                  = declare("get_credit", http.MethodGet, "investments/{id}/credits/{id}/")
	opCreateRedemption        = declare("create_redemption", http.MethodPost, "redemptions/")
	opRedemption              = declare("get_redemption", http.MethodGet, "redemptions/{id}/")
	opCreateTransfer          = declare("create_transfer", http.MethodPost, "transfers/")
	opTransfer                = declare("get_transfer", http.MethodGet, "transfers/{id}/")
)

// operations are the names of all of them.
var operations []string

func declare(name, method, path string) operation {
	operations = append(operations, name)
	return operation{name, method, path}
}

// TokenOperation is the name of a token's fetch in Call.Operation.
const TokenOperation = "token"

// Operations gives all names that Call.Operation can have.
func Operations() []string { return append(slices.Clone(operations), TokenOperation) }

// String gives the operation's words for an error: what was tried.
func (o operation) String() string { return strings.ReplaceAll(o.name, "_", " ") }

// effect says whether the call changes something at the API.
func (o operation) effect() bool { return o.method != http.MethodGet }

// object says whether the path names an object by its ID, so that a 404 may mean that object.
func (o operation) object() bool { return strings.Contains(o.path, "{id}") }

var (
	errNoKey = errors.New("no idempotency key")
	errBadID = errors.New("an ID that is no UUID")
)

// ids are those of the objects that an operation's path names, in its order.
type ids [2]string

// check says whether the path can be made with the IDs.
func (o operation) check(ids ids) error {
	for _, id := range ids[:strings.Count(o.path, "{id}")] {
		if !isUUID(id) {
			return errBadID
		}
	}
	return nil
}

// appendPath appends the path with the IDs in it.
func (o operation) appendPath(to []byte, ids ids) []byte {
	rest := o.path
	for _, id := range ids {
		before, after, found := strings.Cut(rest, "{id}")
		if !found {
			break
		}
		to = append(append(to, before...), id...)
		rest = after
	}
	return append(to, rest...)
}

// isUUID says whether s is a UUID in its usual form. uuid.Validate alone takes others, such as urn:uuid:….
func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }
