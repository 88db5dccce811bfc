package bridge_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// lines are connections that can be cut.
type lines struct {
	dialer func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex // guards the rest
	open []net.Conn
}

func (l *lines) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.dialer(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.open = append(l.open, c)
	}
	return c, err
}

func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}

// vault is the folder with the bridge's secrets.
type vault struct {
	t   *testing.T
	dir string
}

func (v vault) path(name string) string { return filepath.Join(v.dir, name) }

func (v vault) put(name string, content []byte) { v.t.Helper(); put(v.t, v.path(name), content) }

// issue gives a certificate of an authority, and its key.
func (v vault) issue(a *broker.Authority) (cert, key []byte) {
	v.t.Helper()
	cert, key, err := a.Issue("bridge")
	if err != nil {
		v.t.Fatal(err)
	}
	return cert, key
}

// pair is issue for those who use it at once.
func (v vault) pair(a *broker.Authority) tls.Certificate {
	v.t.Helper()
	pair, err := tls.X509KeyPair(v.issue(a))
	if err != nil {
		v.t.Fatal(err)
	}
	return pair
}

// configure has the bridge read all of its secrets from the folder.
func (v vault) configure(cfg *bridge.Config) {
	cfg.Kafka.TLS = bridge.TLS{Enabled: true, CAFile: v.path("ca.pem"), CertFile: v.path("tls.crt"), KeyFile: v.path("tls.key")}
	cfg.Kafka.SASL.Mechanism, cfg.Kafka.SASL.User, cfg.Kafka.SASL.PasswordFile = "SCRAM-SHA-512", "bridge", v.path("password")
	cfg.Kafka.SASL.Password = "one" // as it was read from the file
	cfg.API.ClientSecretFile = v.path("secret")
}

// load has customers come, a few a second, until the function that it gives is called, which tells how many came.
func (w *world) load(every time.Duration) (end func() int) {
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				stopped <- n
				return
			case <-time.After(every):
				id := fmt.Sprintf("c%04d", n)
				customer := verified(id)
				customer.Person.Surname += id
				w.emit(event(id, schemas.TypeCustomerVerified, emitted, customer))
				n++
			}
		}
	}()
	return func() int { close(stop); return <-stopped }
}

// unharmed sees to it that each of n customers of a load came through, once, and nothing was given up.
func (w *world) unharmed(n int) {
	w.t.Helper()
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("c%04d wallet.created", i)
	}
	w.await(want...)
	if got := w.effects()["create_investor"]; got != n {
		w.t.Errorf("%d investors for %d customers", got, n)
	}
	if doubles := w.api.Doubles(); len(doubles) > 0 {
		w.t.Errorf("doubled effects: %v", doubles)
	}
	if letters := w.letters(); letters > 0 {
		w.t.Errorf("%d dead letters", letters)
	}
	for _, e := range w.results() {
		if e.Name == schemas.TypeEventRejected || e.Name == schemas.TypeEventUnresolved {
			w.t.Errorf("%s of %s", e.Name, e.CausationID)
		}
	}
}

// Client secret, TLS files and password of the brokers change while the bridge is at work. The other sides refuse the old ones at
// once, and cut what is connected; the files come in pieces, and late. No event fails.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := vault{t, t.TempDir()}
		servers, clients := newAuthority(t, "servers 1"), newAuthority(t, "clients 1")
		var door atomic.Pointer[tls.Config] // of the brokers, for the next connection
		reform := func() {
			door.Store(&tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{v.pair(servers)},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: broker.Pool(clients),
			})
		}
		reform()
		w := newPipesOn(t, sandbox.Config{}, broker.Config{Options: []kfake.Opt{
			kfake.TLS(&tls.Config{
				MinVersion:         tls.VersionTLS12,
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return door.Load(), nil },
			}),
			kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "tester", "tester"), kfake.Superuser("SCRAM-SHA-512", "bridge", "one"),
		}})
		// The tester has what is good at each time.
		tester := func() *tls.Config {
			return &tls.Config{RootCAs: broker.Pool(servers), Certificates: []tls.Certificate{v.pair(clients)}, MinVersion: tls.VersionTLS12}
		}
		w.tester = kafka.Config{TLS: tester, SASL: kafka.SASL{Mechanism: "SCRAM-SHA-512", User: "tester", Password: "tester"}}
		w.open()
		wires := &lines{dialer: w.cfg.Dial}
		w.cfg.Dial = wires.dial

		cert, key := v.issue(clients)
		v.put("ca.pem", servers.PEM)
		v.put("tls.crt", cert)
		v.put("tls.key", key)
		v.put("password", []byte("one\n"))
		v.put("secret", []byte("s3cret\n"))
		w.cfg.API.ClientSecret = "s3cret"
		w.cfg.Rules.PollInterval = time.Second
		m := w.start(v.configure)
		end := w.load(time.Second)
		time.Sleep(10 * time.Second)

		// The API's secret: refused at once, the new one is in the file 10 s later; and then the other way round.
		w.api.SetClientSecret("s3cret two")
		time.Sleep(10 * time.Second)
		v.put("secret", []byte("s3cret two"))
		time.Sleep(30 * time.Second)
		v.put("secret", []byte("s3cret three"))
		time.Sleep(time.Second)
		w.api.SetClientSecret("s3cret three")
		time.Sleep(30 * time.Second)

		// Both authorities of the brokers, as one does it: trust the new one too, change, trust the old one no more.
		oldServers := servers
		servers, clients = newAuthority(t, "servers 2"), newAuthority(t, "clients 2")
		bundle := broker.Bundle(oldServers, servers)
		v.put("ca.pem", bundle[:len(bundle)-100]) // half written
		wires.cut()
		time.Sleep(5 * time.Second)
		v.put("ca.pem", bundle)
		cert, key = v.issue(clients)
		v.put("tls.crt", cert) // and not yet the key
		wires.cut()
		time.Sleep(5 * time.Second)
		v.put("tls.key", key)
		reform() // the old certificate is refused from now on
		wires.cut()
		time.Sleep(10 * time.Second)
		v.put("ca.pem", servers.PEM)
		wires.cut()
		time.Sleep(10 * time.Second)

		// The password: the old one is refused at once, the new one is in the file 5 s later.
		admin, err := broker.NewAdmin(w.broker.Addrs(), kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.broker.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			cfg := tester()
			cfg.ServerName = "127.0.0.1"
			return tls.Client(nc, cfg), nil
		}), kgo.SASL(scram.Auth{User: "tester", Pass: "tester"}.AsSha512Mechanism()))
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if err := admin.SetPassword(t.Context(), "bridge", "two"); err != nil {
			t.Fatal(err)
		}
		wires.cut()
		time.Sleep(5 * time.Second)
		v.put("password", []byte("two"))
		time.Sleep(30 * time.Second)

		n := end()
		w.unharmed(n)
		m.stop()
		log := w.log.String()
		for said, times := range map[string]int{"are not whole": 1, "private key does not match public key": 1} {
			if got := strings.Count(log, said); got != times {
				t.Errorf("%d lines of the log say %q, want %d", got, said, times)
			}
		}
		if !strings.Contains(log, "the files have changed") || strings.Contains(log, "s3cret") {
			t.Error("the log does not say that files have changed, or tells a secret")
		}
		t.Logf("%d customers", n)
	})
}

// The same on a real Kafka, which starts anew with other certificates, other authorities and another password of the bridge.
func TestRotationOnKafka(t *testing.T) {
	v := vault{t, t.TempDir()}
	clients := newAuthority(t, "clients 1")
	s := newSecured(t, clients)
	var tester atomic.Pointer[tls.Config]
	reform := func(servers ...*broker.Authority) {
		tester.Store(&tls.Config{RootCAs: broker.Pool(servers...), Certificates: []tls.Certificate{v.pair(clients)}, MinVersion: tls.VersionTLS12})
	}
	reform(s.servers)
	w := s.worldWith(t, tester.Load)
	s.allow(t, "bridge", bridge.ACLs(w.cfg, bridge.RoleRun)...)
	cert, key := v.issue(clients)
	v.put("ca.pem", s.servers.PEM)
	v.put("tls.crt", cert)
	v.put("tls.key", key)
	v.put("password", []byte(passwords["bridge"]))
	v.put("secret", []byte("s3cret"))
	w.cfg.API.ClientSecret = "s3cret"
	m := w.start(v.configure, func(cfg *bridge.Config) { cfg.Kafka.SASL.Password = config.Secret(passwords["bridge"]) })
	end := w.load(50 * time.Millisecond)
	w.await("c0020 wallet.created")

	servers := newAuthority(t, "servers 2")
	clients = newAuthority(t, "clients 2")
	reform(s.servers, servers)
	v.put("ca.pem", broker.Bundle(s.servers, servers))
	cert, key = v.issue(clients)
	v.put("tls.crt", cert)
	v.put("tls.key", key)
	if err := s.admin.SetPassword(t.Context(), "bridge", "the bridge's new one"); err != nil {
		t.Fatal(err)
	}
	s.Secure(&broker.Security{Authority: servers, Clients: clients, Users: passwords})
	s.Kill()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // with the old password, which is refused
	before := len(w.results())
	v.put("password", []byte("the bridge's new one"))
	v.put("ca.pem", servers.PEM)
	w.eventually("it goes on", func() bool { return len(w.results()) > before+50 })
	w.unharmed(end())
	m.stop()
	if log := w.log.String(); !strings.Contains(log, "wrong user or password") || strings.Contains(log, "new one") {
		t.Errorf("the log does not say that the password is wrong, or tells it:\n%s", w.log.tail())
	}
}
