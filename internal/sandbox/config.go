package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scopes of the API [G2].
const (
	ScopeInvestorsRead    = "investors:read"
	ScopeInvestorsWrite   = "investors:write"
	ScopeInvestmentsRead  = "investments:read"
	ScopeInvestmentsWrite = "investments:write"
	ScopeDocumentsWrite   = "documents:write"
)

var allScopes = []string{
	ScopeInvestorsRead, ScopeInvestorsWrite, ScopeInvestmentsRead, ScopeInvestmentsWrite, ScopeDocumentsWrite,
}

// Scopes are all that there are.
func Scopes() []string { return slices.Clone(allScopes) }

// Config says how the sandbox behaves. The zero value is a sandbox in which clients of both public guides succeed:
// everything is instant, nothing fails, errors are not cached.
type Config struct {
	ClientID     string   // default: generated
	ClientSecret string   // default: generated
	Scopes       []string // what the client may ask for; default: all five

	Campaigns []Campaign // what is for sale; default: one, generated

	TokenLifetime time.Duration // of an access token; default an hour [A]
	HideExpiry    bool          // leave expires_in out of the token's answer

	Idempotency Idempotency

	KYC         KYC                      // verdict on every investor that has no rule of its own
	StatusDelay map[string]time.Duration // how long before an investment gets a status, by status; default none
	Tasks       map[string]TaskRule      // by operation: create_credit, create_redemption, create_transfer
	TaskSuccess string                   // how success is spelt: "succeeded" (default) or "success" [D]

	Webhooks Webhooks // who is told of changed statuses; default nobody

	Latency time.Duration // added to every call while its key is in flight; a client that gives up does not stop it
	Rate    float64       // calls a second before 429 [A]; default no limit
	Burst   int           // calls at once before Rate counts; default 1 if there is a Rate

	MaxDocument int64  // bytes of a request, default 25 MiB; more is 413
	CallLog     int    // how many calls are remembered; default 10,000
	BareAnswers bool   // answers of POST hold nothing but what the guides show: id, status, person_id
	Seed        uint64 // of faults that strike by chance; default random
}

// Campaign is something for sale: investments name the campaign, redemptions and transfers its product.
type Campaign struct {
	CampaignID string `json:"campaign_id"` // UUID
	ProductID  string `json:"product_id"`  // UUID
}

// Idempotency says what the documentation does not: everything but the repeat of a success [A].
type Idempotency struct {
	// CacheErrors keeps refusals (4xx) and 500 like successes. 401, 403, 429 and 502 to 504 are never kept.
	CacheErrors bool
	// AnswerMismatch gives the cached answer to the same key with another body; else that is 422.
	AnswerMismatch bool
	// Retention is how long a key is kept after its answer; default 24 h. Past it, a repeat is a new call.
	Retention time.Duration
}

// KYC states [A].
const (
	KYCPending  = "PENDING"
	KYCSuccess  = "SUCCESS"
	KYCRejected = "REJECTED"
)

// KYC is how an investor's KYC ends. It starts when the investor has an identification and, being a company, a
// benefiting person [D].
type KYC struct {
	Delay   time.Duration // from start to verdict
	Verdict string        // SUCCESS (default), REJECTED, or PENDING: it never ends
}

// Statuses of an investment [G2][D].
const (
	StatusKYCPending      = "KYC_PENDING"
	StatusKYCInsufficient = "KYC_INSUFFICIENT"
	StatusReview          = "REVIEW_PENDING"
	StatusWaiting         = "WAITING_FOR_ACCEPTANCE"
	StatusAccepted        = "ACCEPTED"
	StatusPaid            = "PAID"
	StatusDelivered       = "DELIVERED"
)

// Statuses of a task [D].
const (
	TaskProcessing = "processing"
	TaskSucceeded  = "succeeded"
	TaskFailed     = "failed"
	TaskUnknown    = "unknown"
)

// TaskRule is how a credit, redemption or transfer ends. The call itself is answered with processing, unless AtOnce.
type TaskRule struct {
	Delay   time.Duration // from call to verdict
	Verdict string        // succeeded (default), failed, unknown, or processing: it never ends
	Applied bool          // of unknown: it did happen
	AtOnce  bool          // the call's own answer has the verdict already, if there is no delay
}

// DefaultRetention is how long a key is kept unless told otherwise [A].
const DefaultRetention = 24 * time.Hour

func (c *Config) setDefaults() {
	def := func(p *string) {
		if *p == "" {
			*p = newID()
		}
	}
	def(&c.ClientID)
	def(&c.ClientSecret)
	if c.Scopes == nil {
		c.Scopes = allScopes
	}
	if len(c.Campaigns) == 0 {
		c.Campaigns = []Campaign{{}}
	}
	c.Campaigns = slices.Clone(c.Campaigns)
	for i := range c.Campaigns {
		def(&c.Campaigns[i].CampaignID)
		def(&c.Campaigns[i].ProductID)
	}
	c.TokenLifetime = orDefault(c.TokenLifetime, time.Hour)
	c.Idempotency.Retention = orDefault(c.Idempotency.Retention, DefaultRetention)
	c.KYC.Verdict = orDefault(c.KYC.Verdict, KYCSuccess)
	c.TaskSuccess = orDefault(c.TaskSuccess, TaskSucceeded)
	c.Burst = orDefault(c.Burst, 1)
	c.Webhooks.Repeats = orDefault(c.Webhooks.Repeats, 5)
	c.MaxDocument = orDefault(c.MaxDocument, 25<<20)
	c.CallLog = orDefault(c.CallLog, 10_000)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// validate names everything that is wrong with c, defaults already set.
func (c *Config) validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, s := range c.Scopes {
		bad(slices.Contains(allScopes, s), "scope %q does not exist", s)
	}
	for _, campaign := range c.Campaigns {
		bad(isUUID(campaign.CampaignID), "campaign %q is not a UUID", campaign.CampaignID)
		bad(isUUID(campaign.ProductID), "product %q is not a UUID", campaign.ProductID)
	}
	bad(c.KYC.valid(), "KYC: verdict %q, delay %s", c.KYC.Verdict, c.KYC.Delay)
	for status, delay := range c.StatusDelay {
		bad(slices.Contains(delayable, status), "status delay: no delay is possible before %q", status)
		bad(delay >= 0, "status delay: %s is negative", delay)
	}
	for op, rule := range c.Tasks {
		bad(slices.Contains(taskOperations, op), "tasks: %q starts no task", op)
		bad(rule.valid(), "tasks: %s: verdict %q, delay %s", op, rule.Verdict, rule.Delay)
	}
	bad(c.TaskSuccess == TaskSucceeded || c.TaskSuccess == "success", "task success: %q", c.TaskSuccess)
	bad(c.TokenLifetime > 0, "token lifetime: %s", c.TokenLifetime)
	bad(c.Idempotency.Retention > 0, "idempotency retention: %s", c.Idempotency.Retention)
	bad(c.Latency >= 0, "latency: %s", c.Latency)
	bad(c.Rate >= 0 && c.Burst > 0, "rate: %g a second, %d at once", c.Rate, c.Burst)
	bad(c.MaxDocument > 0, "document limit: %d bytes", c.MaxDocument)
	bad(c.CallLog > 0, "call log: %d", c.CallLog)
	return errors.Join(append(errs, c.Webhooks.validate())...)
}

func (k KYC) valid() bool {
	return k.Delay >= 0 && slices.Contains([]string{KYCPending, KYCSuccess, KYCRejected}, k.Verdict)
}

func (t TaskRule) valid() bool {
	return t.Delay >= 0 &&
		slices.Contains([]string{"", TaskProcessing, TaskSucceeded, TaskFailed, TaskUnknown}, t.Verdict)
}
