package bridge_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

const exampleFile = "../../deploy/config.example.yaml"

// valid gives a configuration in which nothing is missing.
func valid() *bridge.Config {
	c := bridge.Default()
	c.Kafka.Brokers = []string{"localhost:9092"}
	c.Topics.Upstream = []string{"customers", "orders"}
	c.API.BaseURL = "https://demo.cashlink.de/api/external"
	c.API.ClientID = "your-client-id"
	c.API.ClientSecret = "hunter2"
	c.Offerings = map[string]bridge.Offering{"bond-2026": {
		Campaign: "00000000-0000-4000-8000-000000000001", Product: "00000000-0000-4000-8000-000000000002",
	}}
	return &c
}

// What the example shows is what holds if it is left out.
func TestExampleShowsDefaults(t *testing.T) {
	t.Parallel()
	got := bridge.Default()
	if err := config.Load(&got, exampleFile, []string{"DISTRIBUTOR_API_CLIENT_SECRET=hunter2"}, "DISTRIBUTOR_"); err != nil {
		t.Fatal(err)
	}
	want := valid()
	if got.Documents.AllowedHosts == nil || len(got.Documents.AllowedHosts) > 0 {
		t.Errorf("documents.allowed_hosts is %v, want an empty list", got.Documents.AllowedHosts)
	}
	got.Documents.AllowedHosts = nil // an empty list is the same as none
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("the example differs from the defaults:\ngot  %+v\nwant %+v", got, *want)
	}
}

var noDefault = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

// Every key of the struct is in the example, and none other; those without a default stand behind a #.
func TestExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(noDefault.ReplaceAll(text, []byte("$1$2")), &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		section, is := v.(map[string]any)
		if !is {
			got = append(got, strings.Replace(path, ".bond-2026.", ".*.", 1))
			return
		}
		for k, child := range section {
			walk(strings.TrimPrefix(path+"."+k, "."), child)
		}
	}
	walk("", doc)
	want, err := config.Keys(&bridge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("keys of the example\n%s\nkeys of the struct\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every key has a comment of its own, or its section has one just above.
func TestExampleExplainsEachKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	self := []string{"inbox:", "results:", "dead_letters:", "state:", "hints:", "key_file:", "user:", "password_file:",
		"client_secret_file:", "token_file:", "headers_file:", "initial:", "max:"}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		key := strings.TrimPrefix(strings.TrimSpace(line), "#")
		name, value, isKey := strings.Cut(key, " ")
		if !isKey || strings.HasPrefix(key, " ") || !strings.HasSuffix(name, ":") || value == "" || slices.Contains(self, name) {
			continue
		}
		if above := strings.TrimSpace(lines[i-1]); !strings.HasPrefix(above, "# ") {
			t.Errorf("line %d: %s has no comment", i+1, name)
		}
	}
}

func TestValidConfig(t *testing.T) {
	t.Parallel()
	if err := valid().Validate(); err != nil {
		t.Error(err)
	}
	sandbox := valid()
	sandbox.API.BaseURL = "http://127.0.0.1:8080/api/external"
	sandbox.Topics.Replication, sandbox.Topics.MinInsyncReplicas = 1, 1
	sandbox.TypesPrefix, sandbox.Topics.Prefix, sandbox.Offerings = "", "", nil
	if err := sandbox.Validate(); err != nil {
		t.Error(err)
	}
	fromFile := valid()
	fromFile.API.ClientSecretFile = "/run/secrets/x" // Load has read the secret from it
	if err := fromFile.Validate(); err != nil {
		t.Error(err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "gone.pem")
	const id = "00000000-0000-4000-8000-000000000001"
	tests := map[string]struct {
		change func(c *bridge.Config)
		want   string // one of the lines
	}{
		"no broker":        {func(c *bridge.Config) { c.Kafka.Brokers = nil }, "kafka.brokers: at least one host:port is required"},
		"no port":          {func(c *bridge.Config) { c.Kafka.Brokers = []string{"a"} }, `kafka.brokers: "a" is not host:port`},
		"mechanism":        {func(c *bridge.Config) { c.Kafka.SASL = bridge.SASL{Mechanism: "X", User: "u", Password: "hunter2"} }, "kafka: SASL mechanism"},
		"plain text":       {func(c *bridge.Config) { c.Kafka.Brokers = []string{"kafka.example.org:9092"} }, "kafka.tls.enabled: brokers outside of this machine"},
		"tls off":          {func(c *bridge.Config) { c.Kafka.TLS.CAFile = "x" }, "kafka.tls.enabled: is false, but files are given"},
		"no CA":            {func(c *bridge.Config) { c.Kafka.TLS = bridge.TLS{Enabled: true, CAFile: missing} }, "kafka.tls.ca_file: open " + missing},
		"half a key":       {func(c *bridge.Config) { c.Kafka.TLS = bridge.TLS{Enabled: true, CertFile: missing} }, "kafka.tls.cert_file: it and key_file"},
		"group":            {func(c *bridge.Config) { c.Group.Name = "a b" }, "group.name: want letters"},
		"heartbeat":        {func(c *bridge.Config) { c.Group.Heartbeat = 7 * time.Second }, "group.heartbeat: 7s is more than a third of group.session, 20s"},
		"rebalance":        {func(c *bridge.Config) { c.Group.Rebalance = 25 * time.Second }, "group.rebalance: 25s is not longer than rules.drain, 25s"},
		"no upstream":      {func(c *bridge.Config) { c.Topics.Upstream = nil }, "topics.upstream: at least one topic is required"},
		"topic name":       {func(c *bridge.Config) { c.Topics.Upstream[1] = "a b" }, `topics.upstream[1]: "a b" is no name of a topic`},
		"same topic twice": {func(c *bridge.Config) { c.Topics.State = "inbox" }, "topics.state: distributor.inbox is also topics.inbox"},
		"a loop":           {func(c *bridge.Config) { c.Topics.Upstream[0] = "distributor.results" }, "topics.upstream[0]: distributor.results is also topics.results"},
		"partitions":       {func(c *bridge.Config) { c.Topics.Partitions = 0 }, "topics.partitions: 0 is not between 1 and 1000"},
		"replicas":         {func(c *bridge.Config) { c.Topics.Replication = 1 }, "topics.min_insync_replicas: 2 is more than topics.replication, 1"},
		"small messages":   {func(c *bridge.Config) { c.Topics.MaxMessageBytes = 1 }, "topics.max_message_bytes: 1 is not between"},
		"compression":      {func(c *bridge.Config) { c.Topics.Compression = "zip" }, `topics.compression: "zip" is not one of`},
		"retention":        {func(c *bridge.Config) { c.Topics.Retention.Inbox = time.Hour }, "topics.retention.inbox: 1h is less than twice rules.max_wait"},
		"types":            {func(c *bridge.Config) { c.TypesPrefix = "com" }, "types_prefix: want nothing, or words"},
		"source":           {func(c *bridge.Config) { c.Source = "" }, "source: want a URI reference"},
		"unknown types":    {func(c *bridge.Config) { c.UnknownTypes = "drop" }, `unknown_types: "drop" is not one of ["skip" "dead_letter"]`},
		"no API":           {func(c *bridge.Config) { c.API.BaseURL = "" }, "api.base_url: missing"},
		"plain http":       {func(c *bridge.Config) { c.API.BaseURL = "http://demo.cashlink.de/api" }, "api.base_url: http is only allowed"},
		"API prefix":       {func(c *bridge.Config) { c.API.Prefix = "/v3" }, "api.prefix: neither"},
		"no secret":        {func(c *bridge.Config) { c.API.ClientSecret = "" }, "api: client_secret, client_secret_file: exactly one"},
		"no client":        {func(c *bridge.Config) { c.API.ClientID = "" }, "api.client_id: missing"},
		"scopes":           {func(c *bridge.Config) { c.API.Scopes = nil }, "api.scopes: at least one"},
		"no limit":         {func(c *bridge.Config) { c.API.Timeouts.Idle = 0 }, "api.timeouts.idle: 0s is not more than nothing"},
		"long call":        {func(c *bridge.Config) { c.API.Timeouts.Call = 25 * time.Second }, "api.timeouts.call: 25s is not shorter than rules.drain, 25s"},
		"first byte":       {func(c *bridge.Config) { c.API.Timeouts.FirstByte = 21 * time.Second }, "api.timeouts.first_byte: 21s is longer"},
		"campaign":         {func(c *bridge.Config) { c.Offerings["b"] = bridge.Offering{Product: id} }, "offerings.b.campaign: is required"},
		"product":          {func(c *bridge.Config) { c.Offerings["b"] = bridge.Offering{Campaign: id} }, "offerings.b.product: is required"},
		"campaign's ID": {func(c *bridge.Config) { c.Offerings["b"] = bridge.Offering{Campaign: "bond", Product: id} },
			`offerings.b.campaign: "bond" is no UUID`},
		"product's ID": {func(c *bridge.Config) {
			c.Offerings["b"] = bridge.Offering{Campaign: id, Product: "urn:uuid:" + id}
		}, `offerings.b.product: "urn:uuid:` + id + `" is no UUID`},
		"offering":        {func(c *bridge.Config) { c.Offerings["a b"] = bridge.Offering{} }, "offerings.a b: the name of an offering"},
		"document host":   {func(c *bridge.Config) { c.Documents.AllowedHosts = []string{"ok", "https://x"} }, "documents.allowed_hosts[1]: neither host"},
		"document root":   {func(c *bridge.Config) { c.Documents.FileRoot = missing }, "documents.file_root: no such directory"},
		"document size":   {func(c *bridge.Config) { c.Documents.MaxBytes = 0 }, "documents.max_bytes: 0 is not between"},
		"webhook address": {func(c *bridge.Config) { c.Webhooks.Listen, c.Webhooks.Token = "8443", "hunter2hunter2hunter2" }, `webhooks.listen: "8443" is not host:port`},
		"open webhooks":   {func(c *bridge.Config) { c.Webhooks.Listen = ":8443" }, "webhooks: a token or a client is required"},
		"webhook token": {func(c *bridge.Config) { c.Webhooks.Listen, c.Webhooks.Token = ":8443", "hunter2hunter2hunter2 hunter2" },
			"webhooks.token: want 16 characters or more"},
		"webhook secret": {func(c *bridge.Config) {
			c.Webhooks.Listen, c.Webhooks.ClientID, c.Webhooks.ClientSecret = ":8443", "p", "hunter2"
		}, "webhooks.client_secret: want 16 characters or more"},
		"webhook client": {func(c *bridge.Config) {
			c.Webhooks.Listen, c.Webhooks.ClientSecret = ":8443", "hunter2hunter2hunter2"
		}, "webhooks.client_id: is required"},
		"webhook certificate": {func(c *bridge.Config) {
			c.Webhooks.Listen, c.Webhooks.Token, c.Webhooks.CertFile = ":8443", "hunter2hunter2hunter2", missing
		}, "webhooks.cert_file: it and key_file"},
		"no webhook certificate": {func(c *bridge.Config) {
			c.Webhooks.Listen, c.Webhooks.Token, c.Webhooks.CertFile, c.Webhooks.KeyFile = ":8443", "hunter2hunter2hunter2", missing, missing
		}, "webhooks.cert_file: open " + missing},
		"webhook rate":      {func(c *bridge.Config) { c.Webhooks.PerSecond = 0 }, "webhooks.per_second: 0 is not between"},
		"margin":            {func(c *bridge.Config) { c.Rules.Margin = 39 * time.Second }, "rules.margin: 39s is less than twice api.timeouts.call"},
		"quiet":             {func(c *bridge.Config) { c.Rules.Quiet = time.Second }, "rules.quiet: 1s is shorter than api.timeouts.call"},
		"lease and session": {func(c *bridge.Config) { c.Rules.Lease = c.Group.Session }, "rules.lease: 20s is not shorter than group.session"},
		"lease":             {func(c *bridge.Config) { c.Rules.Lease = time.Millisecond }, "rules.lease: 1ms is less than 1s"},
		"key retention":     {func(c *bridge.Config) { c.Rules.KeyRetention = 10 * time.Minute }, "rules.key_retention: 10m0s is not longer than rules.margin"},
		"calls a second":    {func(c *bridge.Config) { c.Rules.CallsPerSecond = -1 }, "rules.calls_per_second: -1 is not between"},
		"failing after":     {func(c *bridge.Config) { c.Rules.FailingAfter = 0 }, "rules.failing_after: 0s is not more than nothing"},
		"held":              {func(c *bridge.Config) { c.Rules.MaxHeld = 0 }, "rules.max_held: 0 is not between"},
		"in flight":         {func(c *bridge.Config) { c.Rules.MaxInFlight = 0 }, "rules.max_in_flight: 0 is not between"},
		"poll":              {func(c *bridge.Config) { c.Rules.PollInterval = -1 }, "rules.poll_interval: -1ns is not more than nothing"},
		"retry":             {func(c *bridge.Config) { c.Rules.Retry.Max = time.Millisecond }, "rules.retry.max: 1ms is shorter"},
		"final":             {func(c *bridge.Config) { c.Rules.FinalStatuses = []string{""} }, "rules.final_statuses: at least one"},
		"credit":            {func(c *bridge.Config) { c.Rules.CreditAt = "" }, "rules.credit_at: a status is required"},
		"sample":            {func(c *bridge.Config) { c.Traces.Sample = 1.5 }, "traces.sample: 1.5 is not between 0 and 1"},
		"service":           {func(c *bridge.Config) { c.Traces.Service = "" }, "traces.service: is required"},
		"no collector":      {func(c *bridge.Config) { c.Traces.Headers = "a: hunter2" }, "traces.otlp_endpoint: is empty, so no traces are sent"},
		"collector":         {func(c *bridge.Config) { c.Traces.OTLPEndpoint = "collector:4318" }, "traces.otlp_endpoint: want https://host:4318"},
		"plain collector":   {func(c *bridge.Config) { c.Traces.OTLPEndpoint = "http://collector:4318" }, "traces.otlp_endpoint: http is only allowed for a loopback address"},
		"collector's CA":    {func(c *bridge.Config) { c.Traces.OTLPEndpoint, c.Traces.CAFile = "https://c", missing }, "traces.ca_file: open " + missing},
		"token in the clear": {func(c *bridge.Config) {
			c.Traces = bridge.Traces{OTLPEndpoint: "http://collector:4318", Insecure: true, Headers: "a: hunter2", Service: "x"}
		}, "traces.headers: could be read on the way by http"},
		"trace headers": {func(c *bridge.Config) {
			c.Traces.OTLPEndpoint, c.Traces.Headers = "https://c", "a: hunter2\nhunter2"
		}, `traces.headers: line 2 is not of the form "Name: value"`},
		"credit at the end": {func(c *bridge.Config) { c.Rules.CreditAt = c.Rules.FinalStatuses[0] }, "rules.credit_at: DELIVERED is among rules.final_statuses"},
		"log level":         {func(c *bridge.Config) { c.Logging.Level = "loud" }, `log.level: "loud" is not one of`},
		"log format":        {func(c *bridge.Config) { c.Logging.Format = "xml" }, `log.format: "xml" is not one of`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := valid()
			tt.change(c)
			err := c.Validate()
			if err == nil {
				t.Fatalf("no problem, want %s", tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells a secret")
			}
			lines := strings.Split(err.Error(), "\n")
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, tt.want) }) {
				t.Errorf("got %s\nwant a line that begins with %s", err, tt.want)
			}
			if name != "offering" && len(lines) != 1 {
				t.Errorf("one thing is wrong, but %d are told:\n%s", len(lines), err)
			}
		})
	}
}

// Brokers outside of this machine are reached with TLS, or with consent.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	for _, tls := range []bridge.TLS{{Enabled: true}, {Plaintext: true}} {
		c := valid()
		c.Kafka.Brokers, c.Kafka.TLS = []string{"kafka.example.org:9092"}, tls
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", tls, err)
		}
	}
}

// A configuration with nothing in it names all that is required, at once.
func TestRequired(t *testing.T) {
	t.Parallel()
	c := bridge.Default()
	err := c.Validate()
	if err == nil {
		t.Fatal("no problem")
	}
	want := []string{"kafka.brokers", "topics.upstream", "api.base_url", "api.client_id", "api"}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(line, ":")
		got = append(got, key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems of %v, want %v", got, want)
	}
}
