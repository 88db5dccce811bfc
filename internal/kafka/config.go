package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config says how to reach the brokers.
type Config struct {
	// Brokers are host:port of some brokers of the cluster, from which the others are learnt. Required.
	Brokers []string
	// ClientID is what brokers call this client in logs, quotas and metrics. Default: distributor-bridge.
	ClientID string
	// Topics are the topics that will be used. With them the brokers are asked about these only, twice a second; any
	// other topic does not exist for this client. Default: all topics of the cluster, which is costly on a large one.
	Topics []string
	// TLS gives what the next connection is encrypted with: certificates may change, and what is connected already stays. nil is
	// plain text. An empty ServerName is the broker's host.
	TLS func() *tls.Config
	// SASL authenticates every connection; the zero value does not.
	SASL SASL
	// Dial opens connections. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout limits every single request, dialing included: what has no answer by then is repeated or reported.
	// Default: 10 s.
	Timeout time.Duration
	// MetadataAge is how old the client's copy of who leads what may be: it is asked for anew twice as often, and after each
	// answer that says otherwise. Default: 1 s.
	MetadataAge time.Duration
	// FetchWait is how long a broker keeps a request for records that it does not have yet. Default: 500 ms.
	FetchWait time.Duration
	// Log takes what is worth an operator's notice: retries, rebalances, missing topics. The zero value is silent.
	Log zerolog.Logger
}

// SASL is a user of the brokers. Its zero value is none.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  string
	// Renew gives the password of the next connection, which may not be Password any more; nil: it never changes.
	Renew func() string
}

// String hides the password from every %v.
func (s SASL) String() string { return fmt.Sprintf("%s user %q", s.Mechanism, s.User) }

// GoString hides the password from %#v.
func (s SASL) GoString() string { return s.String() }

// MarshalJSON hides the password from JSON.
func (s SASL) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", s.String()), nil }

// login is how connections log in; nil without a mechanism.
func (s SASL) login() (sasl.Mechanism, error) {
	m, err := s.mechanism()
	if err != nil || m == nil || s.Renew == nil {
		return m, err
	}
	return renewing{s}, nil
}

// renewing logs each connection in with the password as it is then.
type renewing struct{ SASL }

// Name is the mechanism's.
func (r renewing) Name() string { return r.Mechanism }

// Start begins to log a connection in.
func (r renewing) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	now := r.SASL
	now.Password = r.Renew()
	m, err := now.mechanism()
	if err != nil {
		return nil, nil, err
	}
	return m.Start(ctx)
}

// mechanism is kafka-go's form of it, with the password as it is in s; nil without one.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Mechanism{Username: s.User, Password: s.Password}, nil
	case "SCRAM-SHA-256":
		return scram.Mechanism(scram.SHA256, s.User, s.Password)
	case "SCRAM-SHA-512":
		return scram.Mechanism(scram.SHA512, s.User, s.Password)
	}
	return nil, fmt.Errorf("SASL mechanism %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
}

// Validate names all that is wrong, not only the first.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: at least one host:port is required"))
	}
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		switch at := strings.LastIndexByte(b, '@'); {
		case at >= 0: // before it may stand a password
			errs = append(errs, fmt.Errorf("brokers: want host:port, and user and password in sasl, not beside %q", b[at+1:]))
		case err != nil || host == "" || port == "" || strings.Contains(host, "/"):
			errs = append(errs, fmt.Errorf("brokers: %q is not host:port", b))
		}
	}
	for _, t := range c.Topics {
		if t == "" {
			errs = append(errs, errors.New("topics: an empty name"))
		}
	}
	if _, err := c.SASL.mechanism(); err != nil {
		errs = append(errs, err)
	}
	if c.SASL.Mechanism == "" && (c.SASL.User != "" || c.SASL.Password != "") {
		errs = append(errs, errors.New("sasl: user or password without a mechanism"))
	}
	if c.SASL.Mechanism != "" && c.SASL.User == "" {
		errs = append(errs, errors.New("sasl.user: is required"))
	}
	if c.SASL.Mechanism != "" && c.SASL.Password == "" {
		errs = append(errs, errors.New("sasl.password: is required"))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout: %s is negative", c.Timeout))
	}
	if c.MetadataAge < 0 {
		errs = append(errs, fmt.Errorf("metadata age: %s is negative", c.MetadataAge))
	}
	if c.FetchWait < 0 {
		errs = append(errs, fmt.Errorf("fetch wait: %s is negative", c.FetchWait))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.MetadataAge = cmp.Or(c.MetadataAge, time.Second)
	c.FetchWait = cmp.Or(c.FetchWait, 500*time.Millisecond)
	if c.ClientID == "" {
		c.ClientID = "distributor-bridge"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return c
}

// dialTimeout limits opening a connection: TCP, TLS and SASL together.
const dialTimeout = 5 * time.Second
