package distributor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"
)

// Config is what a Client needs. BaseURL, ClientID and one of the secrets are required; every other zero value stands
// for its default.
type Config struct {
	// BaseURL is where the API lives, such as https://demo.cashlink.de/api/external [G1][G2]. A wrong one shows as
	// outcome.ClassEndpoint.
	BaseURL string
	// Prefix of the resources: "/distributor/v2" [G1], the default, or "/v2" [G2].
	Prefix string
	// AllowPlainHTTP allows http:// as BaseURL, if its host is a loopback address: for the sandbox.
	AllowPlainHTTP bool
	// RootCAs are trusted instead of the system's, if set.
	RootCAs *x509.CertPool

	// ClientID of the OAuth 2.0 client credentials.
	ClientID string
	// ClientSecret is the secret itself. Exactly one of it and ClientSecretFile is set.
	ClientSecret Secret
	// ClientSecretFile holds the secret, and is read anew for every token: it may change while the client runs. White
	// space around the secret is ignored.
	ClientSecretFile string
	// Scopes asked for with every token; none asks for no scope in particular.
	Scopes []string
	// DefaultTokenLifetime counts if the API does not tell one: default 1 h [A].
	DefaultTokenLifetime time.Duration
	// RefreshAhead is how long before its end a token is replaced, in the background: default 1 min, and never more than
	// a quarter of the token's lifetime.
	RefreshAhead time.Duration

	Timeouts Timeouts

	// MaxInFlight is how many calls there are at once, and connections, which are kept alive: default 64. A call past it
	// waits within its own limit.
	MaxInFlight int
	// MaxAnswerBytes limits an answer's size: default 1 MiB. A larger success breaks the contract.
	MaxAnswerBytes int64
	// UserAgent is sent with every call: default "distributor-bridge".
	UserAgent string

	// Dial makes the connections, if set: for tests without a network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Before, if set, is asked before each HTTP request of a call, also before the repeat after a 401, and may wait: that is
	// not the call's own time. An error, which should be a verdict, is that of the call, and nothing is sent. late is when it
	// is too late to be sent: by then it should have given one.
	Before func(ctx context.Context, late time.Time) error
	// Ended, if set, is told how each call ended, with the context that it was made with. It is not told of calls that say nothing of
	// the API: the caller's context has ended, it was never tried, Before has refused it.
	Ended func(ctx context.Context, end End)
	// Trace, if set, is called once after each HTTP request of a call, with the context that the call was made with and what Observe
	// is told. Not for a token's fetch, which belongs to no call.
	Trace func(ctx context.Context, call Call)
	// Observe, if set, is called once after each HTTP request, from many goroutines at once. It must not block.
	Observe func(Call)
}

// End is how a call ended, repeats after a 401 included.
type End struct {
	Operation string         // as in Operations
	Effect    bool           // whether it has one that counts for others: not a look, nor a document that is uploaded ahead
	Began     time.Time      // before it waited for anything
	Verdict   *outcome.Error // nil: a success
}

// Timeouts limit the stages of a call. Zero stands for the default.
type Timeouts struct {
	Dial      time.Duration // to connect, DNS included: default 3 s
	TLS       time.Duration // for the handshake: default 3 s
	FirstByte time.Duration // from the request sent to the answer's header: default 15 s
	Call      time.Duration // for all of it, token, body and answer included: default 20 s, has to be below the engine's drain
	Token     time.Duration // for all of a token's fetch: default 10 s
	Idle      time.Duration // a connection is closed after so long without a call: default 30 s
}

// Secret is a string that does not show itself in logs, in JSON or in %v.
type Secret string

const redacted = "[redacted]"

// String gives a placeholder.
func (Secret) String() string { return redacted }

// GoString gives a placeholder.
func (Secret) GoString() string { return redacted }

// MarshalText gives a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// personal, embedded, keeps the fields of a struct out of %v, %+v and %#v. They are sent as JSON, so it cannot keep them
// out of that.
type personal struct{}

// Format writes a placeholder.
func (personal) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[personal data]")) }

// Validate names everything that is wrong, at once.
func (cfg Config) Validate() error {
	return errors.Join(
		cfg.checkBase(),
		cfg.checkCredentials(),
		cfg.checkNumbers(),
	)
}

func (cfg Config) checkBase() error {
	var errs []error
	u, err := url.Parse(cfg.BaseURL)
	switch {
	case cfg.BaseURL == "":
		errs = append(errs, errors.New("base_url: missing"))
	case err != nil:
		errs = append(errs, errors.New("base_url: not a URL"))
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		errs = append(errs, errors.New("base_url: not of the form https://host/path"))
	case !headerWord(u.Host):
		errs = append(errs, errors.New("base_url: the host has letters other than ASCII; write it as DNS has it, with xn--"))
	case strings.Contains(u.Host, "%"):
		errs = append(errs, errors.New("base_url: the host has a zone, which no server knows"))
	case u.Scheme == "http" && !(cfg.AllowPlainHTTP && loopback(u.Hostname())):
		errs = append(errs, errors.New("base_url: http is only allowed for a loopback address"))
	case u.Scheme != "https" && u.Scheme != "http":
		errs = append(errs, errors.New("base_url: neither https nor http"))
	}
	switch cfg.Prefix {
	case "", "/distributor/v2", "/v2":
	default:
		errs = append(errs, errors.New("prefix: neither /distributor/v2 nor /v2"))
	}
	if strings.ContainsFunc(cfg.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		errs = append(errs, errors.New("user_agent: not all of it is visible ASCII"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (cfg Config) checkCredentials() error {
	var errs []error
	if cfg.ClientID == "" {
		errs = append(errs, errors.New("client_id: missing"))
	}
	if (cfg.ClientSecret == "") == (cfg.ClientSecretFile == "") {
		errs = append(errs, errors.New("client_secret, client_secret_file: exactly one of them is needed"))
	}
	for _, s := range cfg.Scopes {
		if !headerWord(s) {
			errs = append(errs, errors.New("scopes: one of them is empty, or has white space in it"))
			break
		}
	}
	return errors.Join(errs...)
}

func (cfg Config) checkNumbers() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"default_token_lifetime", int64(cfg.DefaultTokenLifetime)},
		{"refresh_ahead", int64(cfg.RefreshAhead)},
		{"timeouts.dial", int64(cfg.Timeouts.Dial)},
		{"timeouts.tls", int64(cfg.Timeouts.TLS)},
		{"timeouts.first_byte", int64(cfg.Timeouts.FirstByte)},
		{"timeouts.call", int64(cfg.Timeouts.Call)},
		{"timeouts.token", int64(cfg.Timeouts.Token)},
		{"timeouts.idle", int64(cfg.Timeouts.Idle)},
		{"max_in_flight", int64(cfg.MaxInFlight)},
		{"max_answer_bytes", cfg.MaxAnswerBytes},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s: negative", n.name))
		}
	}
	return errors.Join(errs...)
}

// headerWord says whether s is one word of visible ASCII, so that it can stand in a header.
func headerWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

func (cfg Config) withDefaults() Config {
	cfg.Prefix = cmp.Or(cfg.Prefix, "/distributor/v2")
	cfg.DefaultTokenLifetime = cmp.Or(cfg.DefaultTokenLifetime, time.Hour)
	cfg.RefreshAhead = cmp.Or(cfg.RefreshAhead, time.Minute)
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, 64)
	cfg.MaxAnswerBytes = cmp.Or(cfg.MaxAnswerBytes, 1<<20)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "distributor-bridge")
	t := &cfg.Timeouts
	t.Dial = cmp.Or(t.Dial, 3*time.Second)
	t.TLS = cmp.Or(t.TLS, 3*time.Second)
	t.FirstByte = cmp.Or(t.FirstByte, 15*time.Second)
	t.Call = cmp.Or(t.Call, 20*time.Second)
	t.Token = cmp.Or(t.Token, 10*time.Second)
	t.Idle = cmp.Or(t.Idle, 30*time.Second)
	return cfg
}

// dialer gives what makes the connections.
func (cfg Config) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if cfg.Dial != nil {
		return cfg.Dial
	}
	return new(net.Dialer).DialContext
}

// tls gives how they are secured.
func (cfg Config) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
}
