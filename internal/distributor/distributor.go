// Package distributor is a thin client of the Cashlink Distributor API: one method a call, the idempotency key a
// parameter of every call with an effect, every answer classified once.
//
// What it guarantees:
//
//   - Every error is a verdict of package outcome (see outcome.Of), marked here, where the status and the state of the
//     connection are known. A verdict that is not in doubt says that the call surely had no effect.
//   - One method sends one HTTP request. The only exception is a 401: its token is dropped, a new one fetched, and the
//     same request sent once more. Redirects are not followed, and nothing repeats a request by itself.
//   - The same arguments make the same bytes, documents included, so that a repeat under the same key is a true repeat.
//   - Answers hold IDs and statuses only, since they are kept in state; no error holds an answer's text, a token, the
//     secret, an ID or anything from a request's body.
//
// It knows nothing of events, of retries over time, or of a breaker: Config.Before and Config.Ended are where one is fitted.
//
// The sources of what is known of the API are marked as in distributor-api.md: [G1] the Quickstart guide, [G2] the
// Distribution API guide, [D] the documentation, [A] an assumption of this project.
package distributor

import (
	"context"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"

	"github.com/google/uuid"
)

// Key is the idempotency key of a call with an effect. The API answers a repeat under the same key with the answer of
// the first call [D]. The zero key is refused before anything is sent.
type Key uuid.UUID

// String gives the key as it is sent in X-Idempotency-Key.
func (k Key) String() string { return uuid.UUID(k).String() }

// append appends what String gives.
func (k *Key) append(to []byte) []byte {
	to = append(hex.AppendEncode(to, k[:4]), '-')
	to = append(hex.AppendEncode(to, k[4:6]), '-')
	to = append(hex.AppendEncode(to, k[6:8]), '-')
	to = append(hex.AppendEncode(to, k[8:10]), '-')
	return hex.AppendEncode(to, k[10:])
}

// MarshalText gives the key as String does.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// IsZero says that there is no key, as for a GET.
func (k Key) IsZero() bool { return k == Key{} }

// Call is what Config.Observe gets to know of one HTTP request: nothing of its content, and no ID but the key.
type Call struct {
	Operation string        // such as "create_investor", or "token"; a closed set
	Method    string        // GET, POST or PATCH
	Path      string        // with {id} for each ID, below the prefix; empty for token
	Status    int           // 0 if there was no answer
	Duration  time.Duration // until the answer was read whole, or the call was given up
	Class     outcome.Class // what went wrong; empty for a success
	Key       Key           // zero for GET and token
}

// Client makes the calls. It is safe for use by any number of goroutines.
type Client struct {
	cfg    Config
	root   *url.URL // BaseURL and Prefix, without a slash at the end
	path   string   // root's, escaped, and a slash
	header string   // what all calls have in theirs
	wire   *wire
	places places
	tokens *tokens
}

// New makes a client. It starts nothing and sends nothing; an error names all problems of the configuration at once.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	root := base.JoinPath(cfg.Prefix)
	root.Path = "/" + strings.TrimPrefix(root.Path, "/") // JoinPath gives none to a base without a path, and the wire needs it
	root.Host = strings.TrimSuffix(root.Host, ":")       // as net/http does for the Host header
	return &Client{
		cfg:    cfg,
		root:   root,
		path:   root.EscapedPath() + "/",
		header: "Host: " + root.Host + "\r\nUser-Agent: " + cfg.UserAgent + "\r\nAccept: application/json\r\n",
		wire:   newWire(cfg, base),
		places: make(places, cfg.MaxInFlight),
		tokens: newTokens(cfg, base.JoinPath("oauth/token").String()),
	}, nil
}

// Close ends a token fetch that is under way, waits for it, and closes the connections that are idle. Calls in flight
// go on to their own end; a call made later gets no token.
func (c *Client) Close() {
	c.tokens.close()
	c.wire.close()
}

// InFlight gives how many calls have a place among Config.MaxInFlight now: those that wait in Config.Before or for a token too.
func (c *Client) InFlight() int { return len(c.places) }

// Authorize gets a token, if there is none that can be used; calls do so by themselves. Its error is a verdict, and says why there
// is none. Asked again and again it makes no more fetches than calls would.
func (c *Client) Authorize(ctx context.Context) error {
	_, err := c.tokens.get(ctx, time.Now().Add(c.cfg.Timeouts.Call))
	return err
}

// TokenFetched gives when the last token was asked for that was got, be it still in use or not; the zero time if none ever was.
func (c *Client) TokenFetched() time.Time { return c.tokens.fetched() }

type sendBeforeKey struct{}

// SendBefore gives a context under which a call is not sent after t: a call that had to wait for a token or for a
// connection until then ends as not sent. It keeps a call within the lease that was checked before it was made.
func SendBefore(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, sendBeforeKey{}, t)
}

// tooLate gives errLate if the context's call may not be sent any more.
func tooLate(ctx context.Context) error {
	if before, ok := ctx.Value(sendBeforeKey{}).(time.Time); ok && !time.Now().Before(before) {
		return errLate
	}
	return nil
}

var errLate = errors.New("too late to send")
