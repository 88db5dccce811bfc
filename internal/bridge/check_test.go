package bridge_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
)

// mistake is one thing that is spoilt in a good set-up. testdata/mistakes.txt holds, below its name, what is said of it.
type mistake struct {
	name  string
	spoil func(s *site)
}

// wanted reads testdata/mistakes.txt: names, and below each, indented, the lines about it.
func wanted(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, name := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if said, indented := strings.CutPrefix(line, "    "); indented {
			all[name] = append(all[name], said)
		} else {
			name = line
		}
	}
	return all
}

// Each mistake is named in one line, that says how to mend it, and nothing else is found wrong.
func TestMistakes(t *testing.T) {
	t.Parallel()
	all := slices.Concat(mistakesInConfiguration, mistakesInFiles, mistakesWithBrokers, mistakesWithTopics,
		mistakesWithPermissions, mistakesWithAPI)
	want := wanted(t)
	if len(want) != len(all) {
		t.Errorf("%d mistakes are made, of %d it is written what is said of them", len(all), len(want))
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			m.spoil(s)
			lines, took := s.check(s.open())
			bad := slices.DeleteFunc(lines, func(line string) bool {
				return !strings.HasPrefix(line, "wrong ") && !strings.HasPrefix(line, "warning ")
			})
			if want := want[m.name]; len(want) == 0 || !slices.Equal(bad, want) {
				t.Errorf("got\n    %s\nwant\n    %s", strings.Join(bad, "\n    "), strings.Join(want, "\n    "))
			}
			if took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func setTopic(name, setting, value string) func(*site) {
	return func(s *site) {
		s.spoil = func(admin *kgo.Client) {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			topic, change := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			topic.ResourceType, topic.ResourceName = kmsg.ConfigResourceTypeTopic, name
			change.Name, change.Value = setting, kmsg.StringPtr(value)
			topic.Configs = append(topic.Configs, change)
			req.Resources = append(req.Resources, topic)
			res, err := req.RequestWith(s.t.Context(), admin)
			if err != nil || res.Resources[0].ErrorCode != 0 {
				s.t.Fatal("change a topic:", err, res)
			}
		}
	}
}

func deleteTopic(name string) func(*site) {
	return func(s *site) {
		s.spoil = func(admin *kgo.Client) { broker.DeleteTopic(s.t, admin, name) }
	}
}

// elsewhere has the cluster say that it has a second broker, on another machine.
func (s *site) elsewhere(c *kfake.Cluster) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		res := req.ResponseKind().(*kmsg.MetadataResponse)
		here, there := kmsg.NewMetadataResponseBroker(), kmsg.NewMetadataResponseBroker()
		host, port, _ := net.SplitHostPort(s.brokers[0])
		number, _ := strconv.Atoi(port)
		here.Host, here.Port = host, int32(number)
		there.NodeID, there.Host, there.Port = 1, "kafka.example.org", 9092
		res.Brokers = append(res.Brokers, here, there)
		for _, asked := range req.(*kmsg.MetadataRequest).Topics {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.ErrorCode = asked.Topic, kerr.LeaderNotAvailable.Code
			res.Topics = append(res.Topics, topic)
		}
		return res, nil, true
	}
}

func replaced(old, text string) func(*site) { return func(s *site) { s.replace(old, text) } }

func denied(name string, op kmsg.ACLOperation) func(*site) { return func(s *site) { s.deny(name, op) } }

var mistakesInConfiguration = []mistake{
	{"misspelt key", replaced("  upstream: ", "  upstreams: ")},
	{"no unit", replaced("offerings:", "rules: {max_wait: 30}\nofferings:")},
	{"no client ID", func(s *site) { s.without("client_id:") }},
	{"no secret", func(s *site) { s.without("client_secret_file:") }},
	{"no password", func(s *site) { s.without("password_file:") }},
	{"no mechanism", func(s *site) { s.without("mechanism:") }},
	{"webhooks of anybody", func(s *site) {
		s.replace("documents:", "webhooks: {listen: \"localhost:8443\"}\ndocuments:")
		s.allowHints()
	}},
	{"plain HTTP", replaced("API/api", "http://api.example.org/api")},
	{"a key twice", replaced("offerings:", "documents: {}\nofferings:")},
	{"fewer scopes than calls", replaced("  client_id: me", "  client_id: me\n  scopes: [\"investors:read\", \"investors:write\"]")},
	{"short inbox", replaced("  partitions: 3", "  partitions: 3\n  retention: {inbox: 30d}")},
	{"no UUID", replaced("0f6f3c6e-", "0f6f-")},
	{"nothing for sale", func(s *site) { s.without("offerings:", "solar:") }},
	{"unknown variable", func(s *site) { s.environ = []string{"DISTRIBUTOR_API_CLIENT=x"} }},
}

var mistakesInFiles = []mistake{
	{"password's file is not there", func(s *site) { s.remove("password") }},
	{"secret's file is empty", func(s *site) { s.write("secret", "\n") }},
	{"secret is open to all", func(s *site) { s.mode("secret", 0o644) }},
	{"secret in an open file", func(s *site) {
		s.replace("client_secret_file: DIR/secret", "client_secret: hunter2")
		s.write("config.yaml", "")
		s.mode("config.yaml", 0o644)
	}},
	{"key of another certificate", func(s *site) {
		_, key := s.authority.issue(time.Hour, "other")
		s.write("client.key", key)
	}},
	{"certificate with half of another", func(s *site) {
		cert, key := s.authority.issue(time.Hour*24*90, "client.example.org")
		s.write("client.crt", cert+s.authority.pem()[:200])
		s.write("client.key", key)
	}},
	{"certificate without a key", func(s *site) { s.without("key_file:") }},
	{"certificate has expired", func(s *site) { s.keyPair("client", s.authority, -1) }},
	{"certificate expires soon", func(s *site) { s.keyPair("client", s.authority, 10) }},
	{"no certificates", func(s *site) { s.write("ca.pem", "-----BEGIN NOTHING-----\n") }},
	{"headers of traces are open to all", func(s *site) {
		s.replace("documents:", "traces: {otlp_endpoint: \"https://collector.example.org\", headers_file: DIR/headers}\ndocuments:")
		s.write("headers", "Authorization: Bearer s3cret")
		s.mode("headers", 0o644)
	}},
	{"authority of traces has expired", func(s *site) {
		s.replace("documents:", "traces: {otlp_endpoint: \"https://collector.example.org\", ca_file: DIR/client.crt}\ndocuments:")
		s.without("cert_file:", "key_file:")
		s.keyPair("client", s.authority, -1)
	}},
	{"documents are not there", func(s *site) { s.remove("documents") }},
	{"collector's headers are not there", replaced("documents:",
		"traces: {otlp_endpoint: \"https://collector.example.org:4318\", headers_file: DIR/headers}\ndocuments:")},
	{"collector's authority is not there", replaced("documents:",
		"traces: {otlp_endpoint: \"https://collector.example.org:4318\", ca_file: DIR/collector.pem}\ndocuments:")},
	{"webhooks without TLS", func(s *site) {
		s.replace("documents:", "webhooks: {listen: \":8443\", token_file: DIR/hook}\ndocuments:")
		s.write("hook", "a-token-of-16-and-more")
		s.allowHints()
	}},
	{"webhooks with a short token", func(s *site) {
		s.replace("documents:", "webhooks: {listen: \"localhost:8443\", token_file: DIR/hook}\ndocuments:")
		s.write("hook", "short")
		s.allowHints()
	}},
}

// handshake is what listeners of Apache Kafka say to a mechanism that is off, or where nobody logs in.
func handshake(code int16, offered ...string) func(*kfake.Cluster) {
	return func(c *kfake.Cluster) {
		c.ControlKey(int16(kmsg.SASLHandshake), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			res := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
			res.ErrorCode, res.SupportedMechanisms = code, offered
			return res, nil, true
		})
	}
}

var mistakesWithBrokers = []mistake{
	{"nobody listens", replaced("BROKERS", "127.0.0.1:1")},
	{"unknown name", func(s *site) {
		s.replace("BROKERS", "kafka.invalid:9092")
		s.dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafka.invalid", Err: "no such host", IsNotFound: true}}
		}
	}},
	{"one of two is dead", replaced("BROKERS", `127.0.0.1:1", "BROKERS`)},
	{"silence", func(s *site) {
		ln, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = ln.Close() })
		s.replace("BROKERS", ln.Addr().String())
	}},
	{"announced elsewhere", func(s *site) {
		s.options = append(s.options, kfake.NumBrokers(2))
		s.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != s.brokers[0] {
				address = "127.0.0.1:1"
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}},
	{"announced on another machine", func(s *site) {
		s.tls = nil
		s.without("tls:", "enabled:", "ca_file:", "cert_file:", "key_file:")
		s.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != s.brokers[0] {
				s.t.Errorf("%s is dialed", address)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		s.cluster = func(c *kfake.Cluster) { c.ControlKey(int16(kmsg.Metadata), s.elsewhere(c)) }
	}},
	{"no TLS", func(s *site) { s.without("tls:", "enabled:", "ca_file:", "cert_file:", "key_file:") }},
	{"TLS for nothing", func(s *site) { s.tls = nil }},
	{"unknown authority", replaced("ca.pem", "other.pem")},
	{"no authority", func(s *site) { s.without("ca_file:") }},
	{"certificate of another host", func(s *site) { s.tls = s.authority.server("kafka.example.org") }},
	{"certificate is asked for", func(s *site) {
		s.tls.ClientAuth = tls.RequireAnyClientCert
		s.without("cert_file:", "key_file:")
	}},
	{"certificate of another authority", func(s *site) {
		s.tls.ClientAuth, s.tls.ClientCAs = tls.RequireAndVerifyClientCert, s.authority.pool()
		s.keyPair("client", s.other, 90)
	}},
	{"wrong password", func(s *site) { s.write("password", "wrong") }},
	{"mechanism is off", func(s *site) {
		s.replace("SCRAM-SHA-512", "PLAIN")
		s.cluster = handshake(kerr.UnsupportedSaslMechanism.Code, "SCRAM-SHA-256", "SCRAM-SHA-512")
	}},
	{"no login", func(s *site) { s.without("sasl:", "mechanism:", "user:", "password_file:") }},
	{"login for nothing", func(s *site) { s.sasl, s.cluster = false, handshake(kerr.IllegalSaslState.Code) }},
	{"long session", replaced("topics:", "group: {session: 1h}\ntopics:")},
}

var mistakesWithTopics = []mistake{
	{"no inbox", deleteTopic("distributor.inbox")},
	{"no hints", deleteTopic("distributor.hints")},
	{"no upstream", deleteTopic("orders")},
	{"other partitions", replaced("partitions: 3", "partitions: 4")},
	{"state is deleted", setTopic("distributor.state", "cleanup.policy", "compact,delete")},
	{"inbox is short", setTopic("distributor.inbox", "retention.ms", "604800000")},
	{"inbox is small", setTopic("distributor.inbox", "retention.bytes", "1000000")},
	{"results are short", setTopic("distributor.results", "retention.ms", "604800000")},
	{"small records", setTopic("distributor.inbox", "max.message.bytes", "1000000")},
	{"large events", setTopic("orders", "max.message.bytes", "4000000")},
	{"nothing can be written", setTopic("distributor.state", "min.insync.replicas", "2")},
	{"few replicas", replaced("replication: 1", "replication: 3")},
	{"compacted upstream", setTopic("orders", "cleanup.policy", "compact")},
}

var mistakesWithPermissions = []mistake{
	{"results may not be written", denied("distributor.results", kmsg.ACLOperationWrite)},
	{"hints may not be read", denied("distributor.hints", kmsg.ACLOperationRead)},
	{"inbox may not be read", denied("distributor.inbox", kmsg.ACLOperationRead)},
	{"upstream may not be seen", denied("orders", kmsg.ACLOperationRead)},
	{"group may not be joined", denied("distributor-bridge-intake", kmsg.ACLOperationRead)},
	{"no transactional ID", denied("distributor-bridge-distributor.state-", kmsg.ACLOperationWrite)},
}

// answering is an API that answers a path like this instead.
func answering(path string, status int, body string) func(*site) {
	return func(s *site) {
		s.api = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, path) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
}

var mistakesWithAPI = []mistake{
	{"nobody answers", replaced("API/api", "http://127.0.0.1:1/api")},
	{"wrong secret", func(s *site) { s.write("secret", "wrong") }},
	{"wrong address", replaced("/api/external", "/api/elsewhere")},
	{"unknown scope", replaced("  client_id: me", "  client_id: me\n  scopes: [\""+
		strings.Join(append(bridge.Default().API.Scopes, "moon:write"), "\", \"")+"\"]")},
	{"a scope is lacking", func(s *site) {
		s.api = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				given := httptest.NewRecorder()
				next.ServeHTTP(given, r)
				w.Header().Set("Content-Type", given.Header().Get("Content-Type"))
				w.WriteHeader(given.Code)
				_, _ = io.WriteString(w, strings.Replace(given.Body.String(), " documents:write", "", 1))
			})
		}
	}},
	{"old prefix", answering("/distributor/v2/", 404, "<p>Not found")},
	{"no prefix", answering("v2/", 404, "<p>Not found")},
	{"API is down", answering("v2/", 503, "")},
	{"tokens are down", answering("/oauth/token", 500, "")},
	{"not permitted", answering("v2/", 403, `{"detail": "no"}`)},
	{"token is not taken", answering("v2/", 401, `{"detail": "no"}`)},
	{"authority is not trusted", func(s *site) { s.apiTLS = true }},
}

// A good set-up, with the least that has to be permitted, is green and quick.
func TestGoodSite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lines, took := s.check(s.open())
	for _, line := range lines {
		if !strings.HasPrefix(line, "good ") {
			t.Error(line)
		}
	}
	if took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	t.Logf("%s\n%s", took, strings.Join(lines, "\n"))
}

// A check leaves no trace: of what it asks the brokers nothing can change anything.
func TestCheckOnlyAsks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	asked := map[string]int{}
	s.cluster = func(c *kfake.Cluster) {
		c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			asked[kmsg.NameForKey(req.Key())]++
			if init, is := req.(*kmsg.InitProducerIDRequest); is && (init.TransactionTimeoutMillis != 0 || init.ProducerID < 1<<62) {
				t.Errorf("a transactional ID is asked for in a way that could be granted: %+v", init)
			}
			return nil, nil, false
		})
	}
	_, _ = s.check(s.open())
	mu.Lock()
	defer mu.Unlock()
	for _, kind := range []string{
		"ApiVersions", "SASLHandshake", "SASLAuthenticate", "Metadata", "DescribeConfigs", "DescribeGroups", "FindCoordinator",
		"InitProducerID",
	} {
		if asked[kind] == 0 {
			t.Errorf("no %s: what is asked has changed; look whether this test still sees it", kind)
		}
		delete(asked, kind)
	}
	if len(asked) > 0 {
		t.Errorf("more than questions: %v", asked)
	}
}

// Offline no connection is opened, and it is said what is left out.
func TestCheckOffline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg, o := s.open()
	o.Offline = true
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a connection is opened")
		return nil, net.ErrClosed
	}
	cfg.APIDial = cfg.Dial
	lines, _ := s.check(cfg, o)
	want := []string{
		"left_out brokers: not looked at: offline", "left_out topics: not looked at: offline",
		"left_out permissions: not looked at: offline", "left_out api: not looked at: offline",
	}
	if got := lines[max(0, len(lines)-4):]; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A pipeline has neither secrets nor certificates: that they are not there is no fault of the configuration.
func TestCheckOfflineWithoutFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.replace("documents:", "webhooks: {listen: \"localhost:8443\", token_file: DIR/hook}\ndocuments:")
	for _, name := range []string{"password", "secret", "ca.pem", "client.crt", "client.key", "documents"} {
		s.remove(name)
	}
	cfg, o := s.open()
	o.Offline = true
	lines, _ := s.check(cfg, o)
	want := []string{
		"good configuration: every key is known, and the values fit each other",
		"left_out kafka.sasl.password_file: not looked at: offline, and DIR/password is not here",
		"left_out api.client_secret_file: not looked at: offline, and DIR/secret is not here",
		"left_out webhooks.token_file: not looked at: offline, and DIR/hook is not here",
		"left_out kafka.tls.ca_file: not looked at: offline, and DIR/ca.pem is not here",
		"left_out kafka.tls.cert_file: not looked at: offline, and DIR/client.crt is not here",
		"left_out kafka.tls.key_file: not looked at: offline, and DIR/client.key is not here",
		"left_out documents.file_root: not looked at: offline, and DIR/documents is not here",
	}
	if got := lines[:max(0, len(lines)-4)]; !slices.Equal(got, want) {
		t.Errorf("got\n    %s\nwant\n    %s", strings.Join(got, "\n    "), strings.Join(want, "\n    "))
	}
}

// A file that is not there hides nothing else that is wrong with its section.
func TestFilesHideNoMistakes(t *testing.T) {
	t.Parallel()
	for _, offline := range []bool{false, true} {
		s := newSite(t)
		s.remove("password")
		s.replace("    user: bridge\n", "")
		s.replace("SCRAM-SHA-512", "SCRAM")
		cfg, o := s.open()
		o.Offline = offline
		lines, _ := s.check(cfg, o)
		for _, want := range []string{
			`wrong kafka (DIR/config.yaml:2): SASL mechanism "SCRAM": want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`,
			"wrong kafka.sasl.user: is required → set it, in the file or as DISTRIBUTOR_KAFKA_SASL_USER",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("not said: %s; but\n    %s", want, strings.Join(lines, "\n    "))
			}
		}
		if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "kafka.sasl.password ") }) {
			t.Errorf("said twice:\n    %s", strings.Join(lines, "\n    "))
		}
	}
}

// However silent brokers and API are, the check ends when its time is over.
func TestCheckEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg, o := s.open()
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	cfg.APIDial = cfg.Dial
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began, wrong := time.Now(), 0
	bridge.Check(ctx, cfg, o, func(f bridge.Finding) {
		if f.Level == bridge.Wrong {
			wrong++
		}
	})
	if took := time.Since(began); took > 3*time.Second || wrong != 2 {
		t.Errorf("took %s, %d things are wrong", took, wrong)
	}
}

// What may not be looked at is left out, and nothing is wrong for it.
func TestCheckWithoutDescribeConfigs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"orders", "distributor.state", "kafka-cluster"} {
		s.deny(name, kmsg.ACLOperationDescribeConfigs)
	}
	lines, _ := s.check(s.open())
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "good ") && !strings.Contains(line, "orders") })
	want := []string{
		"left_out group.session: not compared with the brokers' limits, which may not be read (DESCRIBE_CONFIGS on the cluster)",
		"left_out topics: settings of distributor.state may not be read: allow DESCRIBE_CONFIGS, at least for this check",
		"good orders: upstream's, 2 partitions; its settings may not be read, so that its largest event is not known",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
}
