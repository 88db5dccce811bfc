package bridge

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"distributor-bridge/internal/config"
)

// Validate names all that is wrong, each as a config.Problem.
func (c *Config) Validate() error {
	var p config.Problems
	c.checkKafka(&p)
	c.checkTopics(&p)
	c.checkEvents(&p)
	c.checkAPI(&p)
	c.checkDocuments(&p)
	c.checkWebhooks(&p)
	c.checkRules(&p)
	c.checkOps(&p)
	c.checkTraces(&p)
	oneOf(&p, "log.level", c.Logging.Level,
		zerolog.LevelDebugValue, zerolog.LevelInfoValue, zerolog.LevelWarnValue, zerolog.LevelErrorValue)
	oneOf(&p, "log.format", c.Logging.Format, "auto", "json", "console")
	return p.Err()
}

// A consumer group's name may hold anything; what metrics, file names and people can do with is this.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// topicName is what Kafka allows, but for "." and "..".
var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

func (c *Config) checkKafka(p *config.Problems) {
	kafka, err := c.kafkaConfig()
	p.Under("kafka", err)
	p.Under("kafka", kafka.Validate())
	if !c.Kafka.TLS.Enabled && !c.Kafka.TLS.Plaintext && slices.ContainsFunc(c.Kafka.Brokers, remote) {
		p.Add("kafka.tls.enabled", "brokers outside of this machine are reached without TLS: personal data could be read on the way; "+
			"set it to true, or kafka.tls.plaintext to true if the network is closed")
	}
	if !c.Kafka.TLS.Enabled && c.Kafka.TLS != (TLS{Plaintext: c.Kafka.TLS.Plaintext}) {
		p.Add("kafka.tls.enabled", "is false, but files are given")
	}
	positive(p, "kafka.metadata_age", c.Kafka.MetadataAge)
	positive(p, "kafka.fetch_wait", c.Kafka.FetchWait)
	if !plainName.MatchString(c.Group.Name) {
		p.Add("group.name", "want letters, digits and . _ -")
	}
	positive(p, "group.heartbeat", c.Group.Heartbeat)
	positive(p, "group.session", c.Group.Session)
	if c.Group.Heartbeat > c.Group.Session/3 {
		p.Add("group.heartbeat", "%s is more than a third of group.session, %s", c.Group.Heartbeat, c.Group.Session)
	}
	if c.Group.Rebalance <= c.Rules.Drain {
		p.Add("group.rebalance", "%s is not longer than rules.drain, %s", c.Group.Rebalance, c.Rules.Drain)
	}
}

func (c *Config) checkTopics(p *config.Problems) {
	t := c.Topics
	if len(t.Upstream) == 0 {
		p.Add("topics.upstream", "at least one topic is required")
	}
	names := t.Names()
	taken := map[string]string{}
	for _, n := range append(names.keyed(), upstreamKeys(t.Upstream)...) {
		if !topicName.MatchString(n.topic) || n.topic == "." || n.topic == ".." {
			p.Add(n.key, "%q is no name of a topic: want 1 to 249 letters, digits and . _ -", n.topic)
		} else if other, is := taken[n.topic]; is {
			p.Add(n.key, "%s is also %s", n.topic, other)
		}
		taken[n.topic] = n.key
	}
	between(p, "topics.partitions", t.Partitions, 1, 1000)
	between(p, "topics.replication", t.Replication, 0, 9)
	between(p, "topics.min_insync_replicas", t.MinInsyncReplicas, 1, 9)
	if t.Replication > 0 && t.MinInsyncReplicas > t.Replication {
		p.Add("topics.min_insync_replicas", "%d is more than topics.replication, %d: nothing could be written",
			t.MinInsyncReplicas, t.Replication)
	}
	between(p, "topics.max_message_bytes", t.MaxMessageBytes, 64<<10, 100<<20)
	oneOf(p, "topics.compression", t.Compression, "none", "gzip", "snappy", "lz4", "zstd", "producer")
	if t.Retention.Inbox < 2*c.Rules.MaxWait {
		p.Add("topics.retention.inbox", "%s is less than twice rules.max_wait, %s: events would be gone while they wait",
			config.FormatDuration(t.Retention.Inbox), config.FormatDuration(c.Rules.MaxWait))
	}
	positive(p, "topics.retention.results", t.Retention.Results)
	positive(p, "topics.retention.dead_letters", t.Retention.DeadLetters)
	positive(p, "topics.retention.hints", t.Retention.Hints)
}

// typesPrefix is what CloudEvents and consumers' filters can do with.
var typesPrefix = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*$`)

// offeringName is what the schema of order.paid allows.
var offeringName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

func (c *Config) checkEvents(p *config.Problems) {
	if !typesPrefix.MatchString(c.TypesPrefix) {
		p.Add("types_prefix", "want nothing, or words that each end with a dot, such as com.example.")
	}
	if _, err := url.Parse(c.Source); err != nil || c.Source == "" {
		p.Add("source", "want a URI reference, such as /distributor-bridge")
	}
	oneOf(p, "unknown_types", c.UnknownTypes, "skip", "dead_letter")
	for _, name := range slices.Sorted(maps.Keys(c.Offerings)) {
		key, o := "offerings."+name, c.Offerings[name]
		if !offeringName.MatchString(name) {
			p.Add(key, "the name of an offering is 1 to 128 letters, digits and . _ : -")
		}
		isUUID(p, key+".campaign", o.Campaign)
		isUUID(p, key+".product", o.Product)
	}
}

func (c *Config) checkAPI(p *config.Problems) {
	p.Under("api", c.apiConfig().Validate())
	a := c.API
	if len(a.Scopes) == 0 {
		p.Add("api.scopes", "at least one scope is required")
	}
	positive(p, "api.token_lifetime", a.TokenLifetime)
	positive(p, "api.refresh_ahead", a.RefreshAhead)
	between(p, "api.max_answer_bytes", a.MaxAnswerBytes, 1<<10, 100<<20)
	for key, d := range a.Timeouts.keyed() {
		positive(p, key, d)
	}
	if a.Timeouts.Call >= c.Rules.Drain {
		p.Add("api.timeouts.call", "%s is not shorter than rules.drain, %s: stopping would cut calls off",
			a.Timeouts.Call, c.Rules.Drain)
	}
	if a.Timeouts.FirstByte > a.Timeouts.Call {
		p.Add("api.timeouts.first_byte", "%s is longer than api.timeouts.call, %s", a.Timeouts.FirstByte, a.Timeouts.Call)
	}
}

// keyed gives each limit by its key, in the order of the fields.
func (t Timeouts) keyed() func(yield func(string, time.Duration) bool) {
	return func(yield func(string, time.Duration) bool) {
		_ = yield("api.timeouts.dial", t.Dial) && yield("api.timeouts.tls", t.TLS) &&
			yield("api.timeouts.first_byte", t.FirstByte) && yield("api.timeouts.call", t.Call) &&
			yield("api.timeouts.token", t.Token) && yield("api.timeouts.idle", t.Idle)
	}
}

func (c *Config) checkDocuments(p *config.Problems) {
	p.Under("documents", c.documentsConfig().Validate())
	between(p, "documents.max_bytes", c.Documents.MaxBytes, 1<<10, 1<<30)
}

func (c *Config) checkRules(p *config.Problems) {
	r := c.Rules
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"rules.key_retention", r.KeyRetention}, {"rules.quiet", r.Quiet}, {"rules.hold_after", r.HoldAfter},
		{"rules.max_wait", r.MaxWait}, {"rules.failing_after", r.FailingAfter}, {"rules.poll_interval", r.PollInterval},
		{"rules.retry.initial", r.Retry.Initial},
		{"rules.lease", r.Lease}, {"rules.commit_every", r.CommitEvery}, {"rules.drain", r.Drain},
		{"rules.flood.within", r.Flood.Within},
	} {
		positive(p, d.key, d.value)
	}
	if r.Margin < 2*c.API.Timeouts.Call {
		p.Add("rules.margin", "%s is less than twice api.timeouts.call, %s: a call could arrive after its key is forgotten",
			r.Margin, c.API.Timeouts.Call)
	}
	if r.Quiet < c.API.Timeouts.Call {
		p.Add("rules.quiet", "%s is shorter than api.timeouts.call, %s: a refusal would count while the lost call is under way",
			r.Quiet, c.API.Timeouts.Call)
	}
	if r.Lease >= c.Group.Session {
		p.Add("rules.lease", "%s is not shorter than group.session, %s: a member that was put out could still call", r.Lease,
			c.Group.Session)
	}
	if r.Lease < time.Second {
		p.Add("rules.lease", "%s is less than 1s: it would be over before a call is sent", r.Lease)
	}
	if r.KeyRetention <= r.Margin {
		p.Add("rules.key_retention", "%s is not longer than rules.margin, %s: nothing would ever be repeated",
			r.KeyRetention, r.Margin)
	}
	if r.Retry.Max < r.Retry.Initial {
		p.Add("rules.retry.max", "%s is shorter than rules.retry.initial, %s", r.Retry.Max, r.Retry.Initial)
	}
	between(p, "rules.flood.events", r.Flood.Events, 1, 1_000_000)
	between(p, "rules.max_in_flight", r.MaxInFlight, 1, 10_000)
	if r.CallsPerSecond != 0 && !(r.CallsPerSecond >= 0.1 && r.CallsPerSecond <= 100_000) {
		p.Add("rules.calls_per_second", "%g is not between 0.1 and 100000; 0 is no limit", r.CallsPerSecond)
	}
	between(p, "rules.max_held", r.MaxHeld, 1, 10_000_000)
	if len(r.FinalStatuses) == 0 || slices.Contains(r.FinalStatuses, "") {
		p.Add("rules.final_statuses", "at least one status is required, and none may be empty")
	}
	if r.CreditAt == "" {
		p.Add("rules.credit_at", "a status is required; to leave credits to people set rules.credit_by_hand")
	} else if slices.Contains(r.FinalStatuses, r.CreditAt) {
		p.Add("rules.credit_at", "%s is among rules.final_statuses: nothing would be left to be done at it", r.CreditAt)
	}
}

func isUUID(p *config.Problems, key, value string) {
	switch {
	case value == "":
		p.Add(key, "is required")
	case len(value) != 36 || uuid.Validate(value) != nil: // uuid.Validate alone takes other forms, too
		p.Add(key, "%q is no UUID, such as 0f6f3c6e-6a0c-4d0c-9b1e-2f3a4b5c6d7e", value)
	}
}

func positive(p *config.Problems, key string, d time.Duration) {
	if d <= 0 {
		p.Add(key, "%s is not more than nothing", d)
	}
}

func between(p *config.Problems, key string, n, least, most int) {
	if n < least || n > most {
		p.Add(key, "%d is not between %d and %d", n, least, most)
	}
}

func oneOf(p *config.Problems, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.Add(key, "%q is not one of %q", value, allowed)
	}
}
