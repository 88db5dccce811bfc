// Package webhook takes the provider's hints that an investment has changed, and passes them on to all members. A hint is never
// believed: it only makes the investment's owner look at the API at once. So a forged, repeated or lost one does no harm, but
// for the cost of a look.
package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// Hint is what the provider tells: {"investment_id", "status", "changed_at"} [distributor-api.md]. Only the ID is passed on;
// what the status is, the API is asked.
type Hint struct {
	InvestmentID uuid.UUID `json:"investment_id"`
}

// Config says how hints are taken. Write and one way to authenticate are required.
type Config struct {
	// Write makes a hint durable; usually Topic.Write.
	Write func(ctx context.Context, h Hint) error
	// Tokens gives the bearer tokens agreed on with the provider: more than one while they are changed. It is asked for each
	// request, so they may come from a file.
	Tokens func() []string
	// Client is asked for if the provider authenticates with OAuth client credentials: the token endpoint is then served, too.
	Client *Client
	// Answered, if set, is told how each request for a hint was answered.
	Answered func(Answer)
	// PerSecond is how many hints are taken: default 50, in bursts of twice as many. More are told to come later.
	PerSecond float64
	// Limit is how long a hint may take to become durable: default 5 s. The provider repeats one that was not taken.
	Limit time.Duration

	Log zerolog.Logger
}

// Answer is how a hint was answered.
type Answer string

// The answers.
const (
	Taken        Answer = "taken"        // it is durable
	Unauthorized Answer = "unauthorized" // nothing proved who sent it
	Throttled    Answer = "throttled"    // there were too many: it is repeated later
	Invalid      Answer = "invalid"      // it says of no investment that it has changed
	Failed       Answer = "failed"       // it could not be made durable: it is repeated
)

// Answers gives all of them.
func Answers() []Answer { return []Answer{Taken, Unauthorized, Throttled, Invalid, Failed} }

// Paths that New serves.
const (
	PathHints = "/webhooks/investments"
	PathToken = "/webhooks/token"
)

// maxBody is far more than a hint has.
const maxBody = 4 << 10

// webhook serves the hints.
type webhook struct {
	cfg   Config
	limit *rate.Limiter
}

// New gives the handler of PathHints, and of PathToken if there is a Client.
func New(cfg Config) (http.Handler, error) {
	if cfg.Write == nil {
		return nil, errors.New("webhook: nowhere to write hints to")
	}
	if cfg.Tokens == nil && cfg.Client == nil {
		return nil, errors.New("webhook: neither tokens nor client credentials: anybody could send hints")
	}
	if cfg.Client != nil {
		if err := cfg.Client.validate(); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	cfg.PerSecond = cmp.Or(cfg.PerSecond, 50)
	cfg.Limit = cmp.Or(cfg.Limit, 5*time.Second)
	h := &webhook{cfg: cfg, limit: rate.NewLimiter(rate.Limit(cfg.PerSecond), int(2*cfg.PerSecond)+1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PathHints, h.hint)
	if cfg.Client != nil {
		mux.HandleFunc("POST "+PathToken, cfg.Client.token)
	}
	return mux, nil
}

// hint answers 204 once the hint is durable. Whoever sends garbage, or nothing that proves who it is, learns no more than
// that.
func (h *webhook) hint(w http.ResponseWriter, r *http.Request) {
	answer := h.answer(w, r)
	if h.cfg.Answered != nil {
		h.cfg.Answered(answer)
	}
}

func (h *webhook) answer(w http.ResponseWriter, r *http.Request) Answer {
	if !h.permitted(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "a bearer token is needed")
		return Unauthorized
	}
	if !h.limit.Allow() {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too many hints")
		return Throttled
	}
	hint, err := read(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return Invalid
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Limit)
	defer cancel()
	if err := h.cfg.Write(ctx, hint); err != nil {
		h.cfg.Log.Warn().Err(err).Stringer("investment", hint.InvestmentID).Msg("a hint could not be written: the provider repeats it")
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "not taken, repeat it")
		return Failed
	}
	w.WriteHeader(http.StatusNoContent)
	return Taken
}

// read gives the hint of a body; what the provider adds one day is no error. An error quotes nothing of it.
func read(body io.Reader) (Hint, error) {
	var said struct {
		InvestmentID *uuid.UUID `json:"investment_id"`
		Status       string     `json:"status"`
		ChangedAt    time.Time  `json:"changed_at"`
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return Hint{}, errors.New("the body cannot be read, or is too large")
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return Hint{}, errors.New("not a JSON object with investment_id, status and changed_at")
	}
	if said.InvestmentID == nil || *said.InvestmentID == uuid.Nil {
		return Hint{}, errors.New("investment_id is missing")
	}
	return Hint{InvestmentID: *said.InvestmentID}, nil
}

func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"detail": detail}) // the caller may have gone
}
