package bridge

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/config"
	"distributor-bridge/schemas"
)

// Config is everything that a bridge can be told. Its tags are the keys of the configuration file; Default says what holds
// for a key that is not given. deploy/config.example.yaml shows all of them.
type Config struct {
	Kafka  Kafka  `koanf:"kafka"`
	Group  Group  `koanf:"group"`
	Topics Topics `koanf:"topics"`

	// TypesPrefix stands before the name of each event type and result type: "distributor." makes distributor.order.paid.
	// Upstream's events with another prefix are of an unknown type.
	TypesPrefix string `koanf:"types_prefix"`
	// Source is the CloudEvents source of all results: a URI reference that names this deployment. With another one, each
	// result has another identity, so that consumers of results take a repeat for news.
	Source string `koanf:"source"`
	// UnknownTypes says what happens to upstream's events of a type that is not known: "skip" logs them, "dead_letter"
	// keeps them in the dead letters. Choose the latter only if upstream's topics carry nothing else.
	UnknownTypes string `koanf:"unknown_types"`

	API API `koanf:"api"`
	// Offerings are what upstream can sell, by upstream's names. An order of any other is rejected as unknown_offering.
	Offerings map[string]Offering `koanf:"offerings"`
	Documents Documents           `koanf:"documents"`
	Webhooks  Webhooks            `koanf:"webhooks"`
	Rules     Rules               `koanf:"rules"`
	Ops       Ops                 `koanf:"ops"`
	Logging   Logging             `koanf:"log"`
	Traces    Traces              `koanf:"traces"`

	// The rest cannot be configured: it is for programs that embed a bridge, such as tests and the demo.

	// Dial opens connections to Kafka; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `koanf:"-"`
	// APIDial opens connections to the API; nil is the network.
	APIDial func(ctx context.Context, network, address string) (net.Conn, error) `koanf:"-"`
	// WebhookListen opens the listener of webhooks.listen; nil is the network.
	WebhookListen Listen `koanf:"-"`
	// OpsListen opens the listener of ops.listen; nil is the network.
	OpsListen Listen `koanf:"-"`
	// TracesDial opens connections to the collector of traces; nil is the network.
	TracesDial func(ctx context.Context, network, address string) (net.Conn, error) `koanf:"-"`
	// AllowPrivateDocuments lets links to documents lead to private and loopback addresses.
	AllowPrivateDocuments bool `koanf:"-"`
	// Log takes the log; the zero value is silent.
	Log zerolog.Logger `koanf:"-"`
	// Registry is where the numbers are to be found, all beginning with distributor_bridge_, and what ops.listen serves; nil: one of
	// the bridge's own. One that runs two bridges at a time cannot hold both.
	Registry *prometheus.Registry `koanf:"-"`
	// Report is told what became of each event and follow-up, by many goroutines; it must not wait.
	Report func(consumer.Report) `koanf:"-"`
	// Version of the program, for dead letters.
	Version string `koanf:"-"`
}

// Listen opens a listener, as net.ListenConfig does.
type Listen func(ctx context.Context, network, address string) (net.Listener, error)

// Kafka says how to reach the brokers.
type Kafka struct {
	// Brokers are host:port of some brokers, from which the others are learnt. Required.
	Brokers []string `koanf:"brokers"`
	// ClientID is what brokers call this program in quotas and logs.
	ClientID string `koanf:"client_id"`
	TLS      TLS    `koanf:"tls"`
	SASL     SASL   `koanf:"sasl"`
	// MetadataAge is how old the knowledge of who leads what may be. It is asked for about twice as often, and after each
	// answer that says otherwise. New and missing topics are looked for after five times as long.
	MetadataAge time.Duration `koanf:"metadata_age"`
	// FetchWait is how long a broker keeps a request for records while there are none.
	FetchWait time.Duration `koanf:"fetch_wait"`
}

// TLS is how connections to the brokers are encrypted.
type TLS struct {
	// Enabled encrypts. Against a listener without TLS connections end with EOF, and the reverse.
	Enabled bool `koanf:"enabled"`
	// Plaintext allows brokers outside of this machine without TLS: events hold personal data, which everybody on the way could
	// read. Only for a network that is closed by other means.
	Plaintext bool `koanf:"plaintext"`
	// CAFile holds the certificates that are trusted, PEM. Default: the system's. All files are read again for each new connection;
	// what is half written, or does not fit, changes nothing.
	CAFile string `koanf:"ca_file"`
	// CertFile and KeyFile hold the client's own certificate and key, PEM, where brokers ask for one. Default: none.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// SASL is a user of the brokers.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Default: none, no authentication.
	Mechanism string        `koanf:"mechanism"`
	User      string        `koanf:"user"`
	Password  config.Secret `koanf:"password"`
	// PasswordFile holds the password instead. It is read again for each new connection.
	PasswordFile string `koanf:"password_file"`
}

// Group says how members of one deployment share the work.
type Group struct {
	// Name is the consumer group of the inbox; intake's is this with "-intake". All members have the same. With another
	// name the inbox is read from its start: state keeps that harmless, but it takes long.
	Name string `koanf:"name"`
	// Heartbeat is how soon a member notices a rebalance. At most a third of Session.
	Heartbeat time.Duration `koanf:"heartbeat"`
	// Session is after how long a dead member's partitions go to others. It has to lie within the brokers'
	// group.min.session.timeout.ms and group.max.session.timeout.ms.
	Session time.Duration `koanf:"session"`
	// Rebalance is how long a rebalance waits for the calls in flight of a member. Longer than Rules.Drain.
	Rebalance time.Duration `koanf:"rebalance"`
}

// Topics names the topics, and says how the bridge's own are made.
type Topics struct {
	// Upstream are the topics with events. They are only read. Required.
	Upstream []string `koanf:"upstream"`

	// Prefix stands before each of the five names that follow; Names gives the whole. Upstream's have none.
	Prefix      string `koanf:"prefix"`
	Inbox       string `koanf:"inbox"`
	Results     string `koanf:"results"`
	DeadLetters string `koanf:"dead_letters"`
	State       string `koanf:"state"`
	Hints       string `koanf:"hints"`

	// Partitions of inbox, state, results and dead letters: the most members that can share the work. Fixed for ever, since
	// a customer's order and state depend on it.
	Partitions int `koanf:"partitions"`
	// Replication is how many brokers keep each topic. Three survive the loss of one; 0 is the brokers' default.
	Replication int `koanf:"replication"`
	// MinInsyncReplicas is how many of them must have a record before it is acknowledged. With 1, a broker that dies may
	// take acknowledged records with it: events and the memory of what was done for them.
	MinInsyncReplicas int `koanf:"min_insync_replicas"`
	// MaxMessageBytes is the largest record of the inbox, in bytes. Events that are larger go to the dead letters without
	// their payload. It should be larger than upstream's, as headers are added.
	MaxMessageBytes int `koanf:"max_message_bytes"`
	// Compression of inbox, results and dead letters on the brokers' disks: none, gzip, snappy, lz4 or zstd; or producer, as
	// written. State is never compressed by brokers, since calls wait for it.
	Compression string    `koanf:"compression"`
	Retention   Retention `koanf:"retention"`
}

// Retention is how long records are kept; state is compacted and kept for ever.
type Retention struct {
	// Inbox has to outlast twice the longest wait: a held event's payload is only there.
	Inbox       time.Duration `koanf:"inbox"`
	Results     time.Duration `koanf:"results"`
	DeadLetters time.Duration `koanf:"dead_letters"` // what has not been replayed by then is gone
	Hints       time.Duration `koanf:"hints"`
}

// API says how to reach the Distributor API.
type API struct {
	// BaseURL is where the API lives, without the prefix: https, or http on a loopback address for the sandbox. Required.
	BaseURL string `koanf:"base_url"`
	// Prefix of the resources: /distributor/v2 [G1] or the older /v2 [G2]. A wrong one answers 404, which stops everything.
	Prefix string `koanf:"prefix"`
	// ClientID and ClientSecret are the OAuth 2.0 client credentials. Required.
	ClientID     string        `koanf:"client_id"`
	ClientSecret config.Secret `koanf:"client_secret"`
	// ClientSecretFile holds the secret instead. It is read again for each token, so that the secret can be changed while
	// the bridge runs.
	ClientSecretFile string `koanf:"client_secret_file"`
	// Scopes asked for [G2]. With one missing, the calls it covers are answered by 403.
	Scopes []string `koanf:"scopes"`
	// TokenLifetime is how long a token is used if the API does not say [A].
	TokenLifetime time.Duration `koanf:"token_lifetime"`
	// RefreshAhead is how long before its end a token is replaced.
	RefreshAhead time.Duration `koanf:"refresh_ahead"`
	// MaxAnswerBytes is the largest answer that is read. A success that is larger leaves its event unresolved.
	MaxAnswerBytes int      `koanf:"max_answer_bytes"`
	Timeouts       Timeouts `koanf:"timeouts"`
}

// Timeouts limit the stages of a call. Too short ones make repeats, with the same key: slow, but never a second effect.
type Timeouts struct {
	Dial      time.Duration `koanf:"dial"`       // to connect, DNS included
	TLS       time.Duration `koanf:"tls"`        // for the handshake
	FirstByte time.Duration `koanf:"first_byte"` // from the request sent to the beginning of the answer
	Call      time.Duration `koanf:"call"`       // for all of it; shorter than Rules.Drain
	Token     time.Duration `koanf:"token"`      // for all of fetching a token
	Idle      time.Duration `koanf:"idle"`       // after which an unused connection is closed
}

// Offering is what the API calls something that is for sale.
type Offering struct {
	Campaign string `koanf:"campaign"` // the ID that investments are made in
	Product  string `koanf:"product"`  // the ID that redemptions and transfers are made of
}

// Documents says where documents may be fetched from that events refer to by a link.
type Documents struct {
	// AllowedHosts are host or host:port (443) of https links; there is no pattern for many. Default: none, so that events
	// with links are rejected as document_refused_link.
	AllowedHosts []string `koanf:"allowed_hosts"`
	// FileRoot is the folder beneath which file links are read. Default: none, so that they are rejected too.
	FileRoot string `koanf:"file_root"`
	// MaxBytes is the largest document; a larger one is rejected as document_too_large.
	MaxBytes int `koanf:"max_bytes"`
}

// Webhooks says where the provider's hints are taken that an investment has changed. They only make the bridge look at once:
// without them an investment is polled all the same. Whoever takes them, all members get to know them.
type Webhooks struct {
	// Listen is host:port, or :port for all addresses. Default: none, this member takes no hints.
	Listen string `koanf:"listen"`
	// Token is the bearer token agreed on with the provider; several, with white space between them, while it is changed. Each
	// has 16 characters or more. At least a token or a client is required.
	Token config.Secret `koanf:"token"`
	// TokenFile holds the tokens instead. It is read again while the bridge runs.
	TokenFile string `koanf:"token_file"`
	// ClientID and ClientSecret are OAuth 2.0 client credentials given to the provider, who gets tokens for them at
	// /webhooks/token. The secret has 16 characters or more, and is the same for all members.
	ClientID     string        `koanf:"client_id"`
	ClientSecret config.Secret `koanf:"client_secret"`
	// ClientSecretFile holds the secret instead. It is read again while the bridge runs.
	ClientSecretFile string `koanf:"client_secret_file"`
	// CertFile and KeyFile are the certificate and key of the listener, PEM, read again when they change. Default: none, plain
	// HTTP: for a loopback address, or behind an ingress or proxy that ends TLS. On the open network tokens could be read.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
	// PerSecond is how many hints are taken; the provider is told to repeat the others later.
	PerSecond int `koanf:"per_second"`
}

// Rules are the times and limits of how events are worked on.
type Rules struct {
	// KeyRetention is how long the API surely remembers an idempotency key [A]. It MUST be shorter than the real time: a
	// call repeated after the API has forgotten its key can have its effect twice.
	KeyRetention time.Duration `koanf:"key_retention"`
	// Margin is how much before its end repeating stops. More than twice the limit of a call.
	Margin time.Duration `koanf:"margin"`
	// Quiet is how long after a try without an answer a refusal does not count yet, since the lost call may still land.
	Quiet time.Duration `koanf:"quiet"`
	// HoldAfter is how long an event may keep its customer's next ones from beginning.
	HoldAfter time.Duration `koanf:"hold_after"`
	// MaxWait is after how long an event that waits for another (an order for its customer) is given up as expired, and one
	// of which nobody knows what became as unresolved.
	MaxWait time.Duration `koanf:"max_wait"`
	// FailingAfter is for how long one event may get a 5xx while the same step succeeds for other customers, until it is left to
	// a person, as unresolved. An outage does not count, be it of the whole API or of one endpoint.
	FailingAfter time.Duration `koanf:"failing_after"`
	// MaxHeld is how many events of a partition may be held: at so many nothing of it is fetched until there are fewer. Each
	// takes about half a kilobyte of memory, and of state.
	MaxHeld int `koanf:"max_held"`
	// MaxInFlight is how many calls are under way at once. More is faster until the API is too slow or refuses.
	MaxInFlight int `koanf:"max_in_flight"`
	// CallsPerSecond is how many calls a member makes, at most; 0: as many as the API takes. Less is learned from its refusals.
	CallsPerSecond float64 `koanf:"calls_per_second"`
	// PollInterval is how often the API is asked for a KYC, a status or a task that has not ended.
	PollInterval time.Duration `koanf:"poll_interval"`
	Retry        Retry         `koanf:"retry"`
	Flood        Flood         `koanf:"flood"`
	// Lease is how long an acknowledged write to state allows calls, before it has to be renewed. Shorter than Group.Session.
	Lease time.Duration `koanf:"lease"`
	// CommitEvery is how often offsets of what is done are committed. What was not yet is known again after a crash, and done
	// without a call.
	CommitEvery time.Duration `koanf:"commit_every"`
	// Drain is how long calls in flight may take to end when the program stops or loses a partition. A container's grace
	// period (terminationGracePeriodSeconds) has to be longer.
	Drain time.Duration `koanf:"drain"`
	// FinalStatuses are the statuses of an investment that end its polling [G2]. One that is missing here is polled for ever.
	FinalStatuses []string `koanf:"final_statuses"`
	// CreditAt is the status of an investment at which its credit is asked for [G2].
	CreditAt string `koanf:"credit_at"`
	// CreditByHand leaves all credits to people in the provider's front end: the bridge asks for none.
	CreditByHand bool `koanf:"credit_by_hand"`
}

// Retry is the pause before a failed attempt is repeated: it doubles from Initial to Max, with jitter. There is no limit of
// attempts.
type Retry struct {
	Initial time.Duration `koanf:"initial"`
	Max     time.Duration `koanf:"max"`
}

// Flood says when an event type pauses, since too many of its events are rejected: their dead letters would have to be replayed.
type Flood struct {
	// Events of a type that ended within the time of Within, at least half of them rejected, make it pause at the member that
	// counted them. A pause ends by the command resume.
	Events int           `koanf:"events"`
	Within time.Duration `koanf:"within"`
}

// Ops says where health and metrics are served, by plain HTTP and to whoever asks: they hold no secrets and no personal data, but
// are for probes and Prometheus alone.
type Ops struct {
	// Listen is host:port, or :port for all addresses; "" serves nothing.
	Listen string `koanf:"listen"`
	// Pprof serves profiles, too. Whoever can reach the address can slow the program down by them.
	Pprof bool `koanf:"pprof"`
}

// Logging says what is written to standard error.
type Logging struct {
	// Level is debug, info, warn or error.
	Level string `koanf:"level"`
	// Format is json, console (for people), or auto: console on a terminal, else json.
	Format string `koanf:"format"`
}

const day = 24 * time.Hour

// Default gives the configuration that holds where nothing is given. It is not complete: Validate tells what is required.
func Default() Config {
	return Config{
		Kafka: Kafka{ClientID: "distributor-bridge", MetadataAge: time.Second, FetchWait: 500 * time.Millisecond},
		Group: Group{Name: "distributor-bridge", Heartbeat: time.Second, Session: 20 * time.Second, Rebalance: time.Minute},
		Topics: Topics{
			Prefix: "distributor.",
			Inbox:  "inbox", Results: "results", DeadLetters: "dead-letters", State: "state", Hints: "hints",
			Partitions: 12, Replication: 3, MinInsyncReplicas: 2,
			MaxMessageBytes: 2 << 20, // twice the brokers' default, which upstream's topics have
			Compression:     "lz4",
			Retention:       Retention{Inbox: 60 * day, Results: 60 * day, DeadLetters: 365 * day, Hints: day},
		},
		TypesPrefix:  schemas.DefaultPrefix,
		Source:       "/distributor-bridge",
		UnknownTypes: "skip",
		API: API{
			Prefix: "/distributor/v2",
			Scopes: []string{
				"investors:read", "investors:write", "investments:read", "investments:write", "documents:write",
			},
			TokenLifetime: time.Hour, RefreshAhead: time.Minute, MaxAnswerBytes: 1 << 20,
			Timeouts: Timeouts{
				Dial: 3 * time.Second, TLS: 3 * time.Second, FirstByte: 15 * time.Second, Call: 20 * time.Second,
				Token: 10 * time.Second, Idle: 30 * time.Second,
			},
		},
		Documents: Documents{MaxBytes: 25 << 20},
		Webhooks:  Webhooks{PerSecond: 50},
		Rules: Rules{
			KeyRetention: 20 * time.Hour, Margin: 10 * time.Minute, Quiet: time.Minute, HoldAfter: 10 * time.Second,
			MaxWait: 30 * day, FailingAfter: 30 * time.Minute, MaxHeld: 100_000,
			MaxInFlight: 64, PollInterval: 5 * time.Second,
			Retry: Retry{Initial: 500 * time.Millisecond, Max: time.Minute},
			Flood: Flood{Events: 50, Within: 10 * time.Minute},
			Lease: 10 * time.Second, CommitEvery: time.Second, Drain: 25 * time.Second,
			FinalStatuses: []string{"DELIVERED", "KYC_INSUFFICIENT"}, CreditAt: "PAID",
		},
		Ops:     Ops{Listen: ":9090"},
		Logging: Logging{Level: "info", Format: "auto"},
		Traces:  Traces{Sample: 1, Service: "distributor-bridge"},
	}
}

// HeapRoom is how much garbage a bridge's process may let gather, in bytes: the more calls are in flight, the faster it comes. More
// than it is from 360 calls on brings little.
func (c *Config) HeapRoom() uint64 {
	return 18<<20 + min(uint64(c.Rules.MaxInFlight)*(256<<10), 90<<20)
}
