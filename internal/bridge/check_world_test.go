package bridge_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/sandbox"
)

// site is a good set-up, as an operator makes one: brokers with TLS, SCRAM and access rules that permit the least, topics, an API,
// files, a configuration. A test spoils one thing.
type site struct {
	t   *testing.T
	dir string

	text    string      // config.yaml
	environ []string    // beside it
	rules   []kfake.ACL // what the user bridge may do
	options []kfake.Opt // of the brokers, beside those
	tls     *tls.Config // of the brokers; nil: none
	sasl    bool        // the brokers ask for a login
	cluster func(*kfake.Cluster)
	spoil   func(*kgo.Client) // done once there are topics, by somebody who may do anything
	api     func(next http.Handler) http.Handler
	apiTLS  bool
	dial    func(ctx context.Context, network, address string) (net.Conn, error)

	authority, other *issuer
	brokers          []string
}

const siteConfig = `kafka:
  brokers: ["BROKERS"]
  tls:
    enabled: true
    ca_file: DIR/ca.pem
    cert_file: DIR/client.crt
    key_file: DIR/client.key
  sasl:
    mechanism: SCRAM-SHA-512
    user: bridge
    password_file: DIR/password
topics:
  upstream: [orders]
  partitions: 3
  replication: 1
  min_insync_replicas: 1
api:
  base_url: API/api/external
  client_id: me
  client_secret_file: DIR/secret
documents:
  file_root: DIR/documents
offerings:
  solar: {campaign: 0f6f3c6e-6a0c-4d0c-9b1e-2f3a4b5c6d7e, product: 7d9b2a10-3c4d-4e5f-8a9b-0c1d2e3f4a5b}
`

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{
		t: t, dir: t.TempDir(), text: siteConfig, sasl: true, rules: leastRules(),
		authority: newIssuer(t), other: newIssuer(t),
	}
	s.tls = s.authority.server("127.0.0.1")
	s.write("ca.pem", s.authority.pem())
	s.write("other.pem", s.other.pem())
	s.keyPair("client", s.authority, 90)
	s.write("password", "s3cret\n")
	s.write("secret", "hunter2\n")
	if err := os.Mkdir(filepath.Join(s.dir, "documents"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// leastRules are what the bridge needs, and check beside it: DESCRIBE_CONFIGS.
func leastRules() []kfake.ACL {
	const (
		topic, literal = kmsg.ACLResourceTypeTopic, kmsg.ACLResourcePatternTypeLiteral
		read, write    = kmsg.ACLOperationRead, kmsg.ACLOperationWrite
		look           = kmsg.ACLOperationDescribeConfigs
	)
	return slices.Concat(
		allowing(topic, "orders", literal, read, look), allowing(topic, "distributor.inbox", literal, read, write, look),
		allowing(topic, "distributor.state", literal, read, write, look), allowing(topic, "distributor.results", literal, write, look),
		allowing(topic, "distributor.dead-letters", literal, write, look), allowing(topic, "distributor.hints", literal, read, look),
		allowing(kmsg.ACLResourceTypeGroup, "distributor-bridge", literal, read),
		allowing(kmsg.ACLResourceTypeGroup, "distributor-bridge-intake", literal, read),
		allowing(kmsg.ACLResourceTypeTransactionalId, "distributor-bridge-distributor.state-", kmsg.ACLResourcePatternTypePrefixed, write),
		allowing(kmsg.ACLResourceTypeCluster, "kafka-cluster", literal, look),
	)
}

func allowing(kind kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, ops ...kmsg.ACLOperation) (all []kfake.ACL) {
	for _, op := range ops {
		all = append(all, kfake.ACL{Resource: kind, Name: name, Pattern: pattern, Operation: op, Allow: true})
	}
	return all
}

// deny takes rules away.
func (s *site) deny(name string, op kmsg.ACLOperation) {
	before := len(s.rules)
	s.rules = slices.DeleteFunc(s.rules, func(a kfake.ACL) bool { return a.Name == name && a.Operation == op })
	if len(s.rules) == before {
		s.t.Fatalf("there is no rule %v on %s", op, name)
	}
}

// replace changes the configuration.
func (s *site) replace(old, text string) {
	s.t.Helper()
	if !strings.Contains(s.text, old) {
		s.t.Fatalf("there is no %q to replace", old)
	}
	s.text = strings.Replace(s.text, old, text, 1)
}

// without takes lines out of the configuration.
func (s *site) without(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		before := s.text
		s.text = regexp.MustCompile(`(?m)^ *`+regexp.QuoteMeta(line)+`.*\n`).ReplaceAllString(s.text, "")
		if s.text == before {
			s.t.Fatalf("there is no line %q", line)
		}
	}
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) mode(name string, mode os.FileMode) {
	s.t.Helper()
	if err := os.Chmod(filepath.Join(s.dir, name), mode); err != nil {
		s.t.Fatal(err)
	}
}

// keyPair writes name.crt, which lasts for so many days, and name.key.
func (s *site) keyPair(name string, by *issuer, days int) {
	s.t.Helper()
	cert, key := by.issue(time.Duration(days)*24*time.Hour, "client.example.org")
	s.write(name+".crt", cert)
	s.write(name+".key", key)
}

// open starts brokers and API, makes the topics, and gives the configuration.
func (s *site) open() (cfg bridge.Config, o bridge.CheckOptions) {
	t := s.t
	t.Helper()
	options := s.options
	if s.tls != nil {
		options = append(options, kfake.TLS(s.tls))
	}
	var login []kgo.Opt
	if s.sasl {
		options = append(options, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("SCRAM-SHA-256", "admin", "admin"),
			kfake.User("SCRAM-SHA-512", "bridge", "s3cret", s.rules...))
		login = append(login, kgo.SASL(scram.Auth{User: "admin", Pass: "admin"}.AsSha256Mechanism()))
	}
	b, err := broker.Start(broker.Config{Options: options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s.brokers = b.Addrs()
	if s.tls != nil {
		cert, key := s.authority.issue(time.Hour, "admin")
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		trusting := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}} //nolint:gosec // a test's own broker
		login = append(login, kgo.DialTLSConfig(trusting))
	}
	admin, err := kgo.NewClient(append(login, kgo.SeedBrokers(s.brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	cfg, o = s.load(s.serveAPI())
	s.makeTopics(admin)
	if s.spoil != nil {
		s.spoil(admin)
	}
	if s.cluster != nil {
		s.cluster(b.Cluster())
	}
	return cfg, o
}

// load reads the configuration as the program does.
func (s *site) load(api string) (bridge.Config, bridge.CheckOptions) {
	s.t.Helper()
	s.write("config.yaml", strings.NewReplacer("BROKERS", strings.Join(s.brokers, `", "`), "DIR", s.dir, "API", api).Replace(s.text))
	cfg, file := bridge.Default(), filepath.Join(s.dir, "config.yaml")
	origins, problems := config.Read(&cfg, file, s.environ, "DISTRIBUTOR_")
	cfg.Dial = s.dial
	return cfg, bridge.CheckOptions{Problems: problems, File: file, Origins: origins}
}

func (s *site) serveAPI() (address string) {
	s.t.Helper()
	api, err := sandbox.New(sandbox.Config{ClientID: "me", ClientSecret: "hunter2", Seed: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	handler := api.Handler()
	if s.api != nil {
		handler = s.api(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.apiTLS {
		server.StartTLS()
	} else {
		server.Start()
	}
	s.t.Cleanup(server.Close)
	return server.URL
}

// makeTopics makes what the good configuration asks for, whatever has been spoilt of it.
func (s *site) makeTopics(admin *kgo.Client) {
	s.t.Helper()
	cfg := bridge.Default()
	cfg.Topics.Partitions, cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 3, 1, 1
	specs := bridge.TopicSpecs(cfg)
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, spec := range specs {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = spec.Name, int32(spec.Partitions), 1
		for name, value := range spec.Config {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = name, kmsg.StringPtr(value)
			topic.Configs = append(topic.Configs, c)
		}
		req.Topics = append(req.Topics, topic)
	}
	orders := kmsg.NewCreateTopicsRequestTopic()
	orders.Topic, orders.NumPartitions, orders.ReplicationFactor = "orders", 2, 1
	req.Topics = append(req.Topics, orders)
	res, err := req.RequestWith(s.t.Context(), admin)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, topic := range res.Topics {
		if topic.ErrorCode != 0 {
			s.t.Fatalf("create %s: code %d", topic.Topic, topic.ErrorCode)
		}
	}
}

// check runs the check, and gives its lines without what differs from run to run.
func (s *site) check(cfg bridge.Config, o bridge.CheckOptions) (lines []string, took time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	began := time.Now()
	same := strings.NewReplacer(s.dir, "DIR", s.brokers[0], "BROKER", s.brokers[len(s.brokers)-1], "BROKER-2",
		strings.TrimPrefix(cfg.API.BaseURL, "http://"), "API/api/external")
	days, ports := regexp.MustCompile(`\d{4}-\d\d-\d\d`), regexp.MustCompile(`127\.0\.0\.1:\d{4,}`)
	bridge.Check(ctx, cfg, o, func(f bridge.Finding) {
		line := fmt.Sprintf("%s %s: %s", f.Level, f.About, f.Text)
		if f.Mend != "" {
			line += " → " + f.Mend
		}
		line = ports.ReplaceAllString(days.ReplaceAllString(same.Replace(line), "DATE"), "ADDRESS")
		if strings.Contains(line, "s3cret") || strings.Contains(line, "hunter2") {
			s.t.Errorf("a secret is told: %s", line)
		}
		lines = append(lines, line)
	})
	return lines, time.Since(began)
}

// allowHints lets hints be written, as a member needs it that takes webhooks.
func (s *site) allowHints() {
	s.rules = append(s.rules,
		allowing(kmsg.ACLResourceTypeTopic, "distributor.hints", kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLOperationWrite)...)
}
