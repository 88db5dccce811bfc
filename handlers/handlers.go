// Package handlers turns events into calls of the Distributor API: one file an event type, and one a follow-up.
//
// A handler is direct code that runs again from its start whenever its event does. What makes that safe:
//
//   - A call with an effect is a remembered step (attempt.Do), and its body a function of the event and of the step's
//     refs alone: investor, wallet, documents, campaign, product. A repeat sends the same bytes.
//   - The object decides before the answers: what it says was created is not created again, however old the repeat.
//   - After a step the object is changed at once. It is kept whatever the verdict, and what was created stays created.
//   - Results are made from the event and the objects, after the last step, so that none is lost between two writes.
//   - A document is uploaded before anything is waited for, since its link expires.
//   - A step that was begun is repeated before anything else is looked at: it may have had its effect.
//
// The error is the verdict (package outcome). Handlers log nothing, and know nothing of Kafka. Only here do the words of
// upstream (customer, order, offering) meet those of the API (investor, investment, campaign and product).
//
// # Follow-ups
//
// What is still to come for an object when its event is done: its key and the follow-up's name, with the event that
// caused it. During a follow-up the event's Subject is that of the object, and its Data is missing.
//
//	customer       kyc                 polls the KYC until it has succeeded
//	customer       wallet              creates the managed wallet once the KYC has succeeded
//	customer       wallet/0x…          the same for an address of the customer's own, in lower case
//	order/ID       status              polls the investment until its status is final
//	order/ID       credit              credits the investment once it is paid, and polls the credit's task
//	redemption/ID  task/redemption/ID  polls the redemption's task; in full, since the subject does not tell the ID
//	transfer/ID    task/transfer/ID    polls the transfer's task
package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Offering is what upstream's name for something on sale stands for at the API. Both are UUIDs, and required.
type Offering struct {
	Campaign string // investments name it [G2]
	Product  string // redemptions and transfers name it [G2][D]
}

// Config is what the handlers need. API and Documents are required; every other zero value stands for its default.
type Config struct {
	API       *distributor.Client
	Documents *documents.Fetcher

	// Offerings maps upstream's names to campaigns and products. An event that names another one is rejected.
	Offerings map[string]Offering

	// FinalStatuses of an investment: it is not looked at again. DELIVERED is always one of them. Default: DELIVERED,
	// KYC_INSUFFICIENT, REJECTED, CANCELLED [A]. With one too few its investments are polled forever; with one too many
	// they are left behind.
	FinalStatuses []string
	// CreditAt is the status at which an investment is credited: default PAID [G2].
	CreditAt string
	// CreditByHand switches credits off: they are done in the provider's front end, and the bridge sees the status move.
	CreditByHand bool
}

// Validate names all problems of the configuration at once.
func (c Config) Validate() error {
	var errs []error
	if c.API == nil {
		errs = append(errs, errors.New("no API client"))
	}
	if c.Documents == nil {
		errs = append(errs, errors.New("no fetcher of documents"))
	}
	for name, o := range c.Offerings {
		if uuid.Validate(o.Campaign) != nil {
			errs = append(errs, fmt.Errorf("offering %s: the campaign is no UUID", name))
		}
		if uuid.Validate(o.Product) != nil {
			errs = append(errs, fmt.Errorf("offering %s: the product is no UUID", name))
		}
	}
	if slices.Contains(c.finalStatuses(), c.creditAt()) {
		errs = append(errs, fmt.Errorf("status %s is final, and credits are asked for at it", c.creditAt()))
	}
	return errors.Join(errs...)
}

func (c Config) creditAt() string {
	if c.CreditAt == "" {
		return distributor.InvestmentPaid
	}
	return c.CreditAt
}

func (c Config) finalStatuses() []string {
	if len(c.FinalStatuses) == 0 {
		return []string{distributor.InvestmentDelivered, distributor.InvestmentKYCInsufficient, "REJECTED", "CANCELLED"}
	}
	return append([]string{distributor.InvestmentDelivered}, c.FinalStatuses...)
}

// Handlers are the code for all event types. They hold no state of their own, and are safe for use by many goroutines.
type Handlers struct {
	api          *distributor.Client
	documents    *documents.Fetcher
	offerings    map[string]Offering
	final        []string
	creditAt     string
	creditByHand bool
}

// New makes the handlers; an error names all problems of the configuration.
func New(cfg Config) (*Handlers, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("handlers: %w", err)
	}
	return &Handlers{
		api:          cfg.API,
		documents:    cfg.Documents,
		offerings:    cfg.Offerings,
		final:        cfg.finalStatuses(),
		creditAt:     cfg.creditAt(),
		creditByHand: cfg.CreditByHand,
	}, nil
}

// Handle makes one attempt at the run's event. nil means that it is done; an error is the verdict.
func (h *Handlers) Handle(ctx context.Context, r *attempt.Run) error {
	switch r.Event().Type {
	case schemas.TypeCustomerVerified:
		return with(ctx, r, h.customerVerified)
	case schemas.TypeCustomerUpdated:
		return with(ctx, r, h.customerUpdated)
	case schemas.TypeCustomerWalletAdded:
		return with(ctx, r, h.customerWalletAdded)
	case schemas.TypeCustomerLinked:
		return with(ctx, r, h.customerLinked)
	case schemas.TypeOrderPaid:
		return with(ctx, r, h.orderPaid)
	case schemas.TypeOrderCreditReleased:
		return with(ctx, r, h.orderCreditReleased)
	case schemas.TypePositionRedeemed:
		return with(ctx, r, h.positionRedeemed)
	case schemas.TypePositionTransferred:
		return with(ctx, r, h.positionTransferred)
	}
	return outcome.Reject(outcome.UnknownType)
}

// FollowUp makes one attempt at the run's follow-up. nil means that nothing is left to come; waiting for StatusPending
// means that it is to be looked at again. A name that nobody knows, as after a return to an older release, is a retry.
func (h *Handlers) FollowUp(ctx context.Context, r *attempt.Run) error {
	switch name := r.FollowUp(); {
	case name == followKYC:
		return h.followKYC(ctx, r)
	case name == followWallet:
		return h.followManagedWallet(ctx, r)
	case strings.HasPrefix(name, followOwnWallet):
		return h.followOwnWallet(ctx, r, strings.TrimPrefix(name, followOwnWallet))
	case name == followStatus:
		return h.followStatus(ctx, r)
	case name == followCredit:
		return h.followCredit(ctx, r)
	case strings.HasPrefix(name, followTask):
		return h.followTask(ctx, r, strings.TrimPrefix(name, followTask))
	}
	return errors.New("no handler for this follow-up")
}

// unseen gives the verdict on a look at what the API itself has given the ID of. That it refuses to show it is no event's
// fault, and no end: a copy of its database may be behind, or the rights of the client are wrong. It is looked at again.
func unseen(err error) error {
	v := outcome.Of(err)
	if v == nil || v.Verdict != outcome.Rejected {
		return err
	}
	again := *v
	again.Verdict, again.Reason = outcome.Retrying, outcome.Temporary
	return &again
}

// with decodes the event's data for its handler. The data satisfies its schema already, and what version 2 of encoding/json is stricter
// about (keys that come twice, text that is no UTF-8), the contract has refused.
func with[T any](ctx context.Context, r *attempt.Run, handle func(context.Context, *attempt.Run, T) error) error {
	var data T
	if json.Unmarshal(r.Event().Data, &data) != nil {
		return outcome.Reject(outcome.Invalid) // without the cause: it may quote the data
	}
	return handle(ctx, r, data)
}

// Names of steps. They are part of the keys, so they never change.
const (
	stepDocument       = "document/" // and which one
	stepInvestor       = "investor"
	stepIdentification = "identification"
	stepPersons        = "persons"
	stepPatch          = "patch"
	stepWallet         = "wallet"
	stepInvestment     = "investment"
	stepCredit         = "credit"
	stepRedemption     = "redemption"
	stepTransfer       = "transfer"
)

// Names of refs.
const (
	refInvestor   = "investor"
	refWallet     = "wallet"
	refCampaign   = "campaign"
	refProduct    = "product"
	refInvestment = "investment"
)

// customerSubject is the subject of results about the customer.
func customerSubject(r *attempt.Run) string { return "customer/" + r.Event().Customer }

// now gives the present as objects keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
