package bridge_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// secured is a real Kafka that lets nobody in without a certificate's authority and a password, and nobody do what no rule allows.
type secured struct {
	*broker.ApacheBroker
	admin   *broker.Admin
	servers *broker.Authority
	caFile  string
}

// passwords of the users of a secured Kafka.
var passwords = map[string]string{"bridge": "the bridge's own", "operator": "the operator's own", "maker": "the maker's own"}

// newSecured starts one, or skips the test where there is none.
func newSecured(t *testing.T, clients *broker.Authority) *secured {
	t.Helper()
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		t.Skip("KAFKA_LIBS, the folder with the jars of a real Kafka, is not set (make test-kafka)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	servers := newAuthority(t, "servers")
	b, err := broker.Apache(ctx, broker.ApacheConfig{Libs: libs, Dir: t.TempDir(), Security: &broker.Security{
		Authority: servers, Clients: clients, Users: passwords,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill) // in order, it takes its time
	admin, err := b.Admin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	s := &secured{ApacheBroker: b, admin: admin, servers: servers, caFile: filepath.Join(t.TempDir(), "ca.pem")}
	put(t, s.caFile, servers.PEM)
	return s
}

func newAuthority(t *testing.T, name string) *broker.Authority {
	t.Helper()
	a, err := broker.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// put writes a file.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// world makes one whose bridge is a user without any permission, and whose tester is the administrator.
func (s *secured) world(t *testing.T) *world {
	t.Helper()
	return s.worldWith(t, func() *tls.Config { return &tls.Config{RootCAs: broker.Pool(s.servers), MinVersion: tls.VersionTLS12} })
}

// worldWith is world, with the tester's TLS.
func (s *secured) worldWith(t *testing.T, tester func() *tls.Config) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, sandbox.Config{}, s.Addrs(), ln)
	w.cfg.API.BaseURL = "http://" + ln.Addr().String() + "/api/external"
	w.cfg.Kafka.TLS = bridge.TLS{Enabled: true, CAFile: s.caFile}
	w.cfg.Kafka.SASL = as("bridge")
	w.tester = kafka.Config{
		TLS:  tester,
		SASL: kafka.SASL{Mechanism: "SCRAM-SHA-512", User: broker.AdminUser, Password: broker.AdminPassword},
	}
	w.open()
	return w
}

func as(user string) bridge.SASL {
	return bridge.SASL{Mechanism: "SCRAM-SHA-512", User: user, Password: config.Secret(passwords[user])}
}

// rules are permissions as the brokers' administrator gives them.
func rules(user string, list ...bridge.ACL) []broker.ACL {
	var out []broker.ACL
	for _, a := range list {
		out = append(out, broker.ACL{User: user, Operation: a.Operation, Resource: a.Resource, Name: a.Name, Prefixed: a.Prefixed})
	}
	return out
}

func (s *secured) allow(t *testing.T, user string, list ...bridge.ACL) {
	t.Helper()
	if err := s.admin.Allow(context.Background(), rules(user, list...)...); err != nil {
		t.Fatal(err)
	}
}

func (s *secured) forbid(t *testing.T, user string, list ...bridge.ACL) {
	t.Helper()
	if err := s.admin.Forbid(context.Background(), rules(user, list...)...); err != nil {
		t.Fatal(err)
	}
}

// With the permissions that are documented all goes on, also over a restart; with one of them less the bridge says which, loses
// nothing, and goes on when it is given.
func TestLeastPermissions(t *testing.T) {
	s := newSecured(t, nil)
	t.Run("all of them", func(t *testing.T) {
		w := s.world(t)
		s.allow(t, "bridge", bridge.ACLs(w.cfg, bridge.RoleRun)...)
		m := w.start()
		events, want := story()
		w.emit(events...)
		w.await(want...)
		m.stop()
		m = w.start()
		events, want = positions()
		w.emit(events...)
		w.await(want...)
		m.stop()
		if got := w.effects(); !maps.Equal(got, effectsOfStory) {
			t.Errorf("effects: %v, want %v", got, effectsOfStory)
		}
		for line := range strings.SplitSeq(w.log.String(), "\n") {
			if strings.Contains(line, "not permitted") {
				t.Errorf("something is not permitted: %s", line)
			}
		}
	})
	all := bridge.ACLs(securedConfig(), bridge.RoleRun)
	for i, acl := range all {
		t.Run(acl.Operation+" "+acl.Resource+" "+acl.Name, func(t *testing.T) { s.without(t, i) })
	}
}

// securedConfig has fixed names, for the names of tests.
func securedConfig() bridge.Config {
	cfg := bridge.Default()
	cfg.Topics.Upstream = []string{"upstream"}
	cfg.Webhooks.Listen = "127.0.0.1:0"
	return cfg
}

// without takes one permission away: before the start, and while the bridge runs.
func (s *secured) without(t *testing.T, i int) {
	w := s.world(t)
	w.cfg.Webhooks.Listen, w.cfg.Webhooks.Token = freeAddress(t), hintToken
	list := bridge.ACLs(w.cfg, bridge.RoleRun)
	missing, names := list[i], w.cfg.Topics.Names()
	s.allow(t, "bridge", slices.Delete(slices.Clone(list), i, i+1)...)
	said := func(m *member, since int) bool {
		select {
		case <-m.done:
			return m.err != nil && tells(m.err.Error(), missing)
		default:
			return tells(w.log.String()[since:], missing)
		}
	}
	invalid := event("invalid", schemas.TypeCustomerVerified, emitted, schemas.CustomerVerified{CustomerID: "p9"})
	person := func(id string) schemas.Event {
		customer := verified(id)
		customer.Person.Surname += id
		return event(id, schemas.TypeCustomerVerified, emitted, customer)
	}
	w.emit(person("p1"), invalid)
	began := time.Now()
	m := w.start()
	w.poke()
	w.eventually("it is said at the start", func() bool { w.poke(); return said(m, 0) })
	t.Logf("said at the start after %s", time.Since(began))
	s.allow(t, "bridge", missing)
	select {
	case <-m.done: // it is for who runs it to start it again
		m = w.start()
	case <-time.After(time.Second):
	}
	w.await("p1 wallet.created")
	w.eventually("the dead letter", func() bool { return w.letters() >= 1 })
	t.Logf("done after %s", time.Since(began))

	s.forbid(t, "bridge", missing)
	since := len(w.log.String())
	invalid.ID = "invalid too"
	w.emit(person("p2"), invalid)
	switch {
	case missing.Resource == "transactional-id", missing.Operation == "Read" && missing.Name == names.State: // when a partition is taken
	case missing.Operation == "Read" && missing.Name == names.Hints: // it is told every half hour
	default:
		w.eventually("it is said while it runs", func() bool { w.poke(); return said(m, since) })
	}
	t.Logf("said while it runs after %s", time.Since(began))
	s.allow(t, "bridge", missing)
	w.await("p2 wallet.created")
	w.eventually("the dead letters", func() bool { return w.letters() >= 2 })
	t.Logf("done after %s", time.Since(began))
	m.stop()
	if doubles := w.api.Doubles(); len(doubles) > 0 {
		t.Errorf("doubled effects: %v", doubles)
	}
}

// tells says whether a text tells the permission, so that one can give it.
func tells(text string, a bridge.ACL) bool {
	want := fmt.Sprintf("--operation %s --%s %s", a.Operation, a.Resource, a.Name)
	return strings.Contains(text, want)
}

// poke sends a hint, where they are taken.
func (w *world) poke() {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+w.cfg.Webhooks.Listen+"/webhooks/investments",
		strings.NewReader(`{"investment_id":"6b1f4a8e-6a0c-4d0c-9b1e-2f3a4b5c6d7e","status":"PAID","changed_at":"2026-11-21T10:00:00Z"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+hintToken)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if a, err := client.Do(r); err == nil {
		a.Body.Close()
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(w.patience()); time.Now().Before(deadline); time.Sleep(w.glance()) {
		if is() {
			return
		}
	}
	w.t.Fatalf("never: %s\nlog:\n%s", what, w.log.tail())
}
