package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
)

func TestConfigNamesAllProblems(t *testing.T) {
	t.Parallel()
	_, err := kafka.New(kafka.Config{
		Brokers: []string{"nohost", "127.0.0.1:9092", "SASL_SSL://u:hunter2@kafka:9092", "hunter2@kafka:9093"}, Topics: []string{""}, Timeout: -1,
		SASL: kafka.SASL{Mechanism: "GSSAPI", User: "u"},
	})
	for _, want := range []string{`"nohost"`, `"kafka:9092"`, `"kafka:9093"`, "topics", "GSSAPI", "password", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is told: %v", err)
	}
	if _, err := kafka.New(kafka.Config{}); err == nil {
		t.Error("no brokers, no error")
	}
}

func TestPasswordStaysHidden(t *testing.T) {
	t.Parallel()
	s := kafka.SASL{Mechanism: "PLAIN", User: "u", Password: "hunter2"}
	j, err := json.Marshal(kafka.Config{SASL: s}.SASL)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v", s, s, s), string(j)} {
		if strings.Contains(text, "hunter2") {
			t.Error(text)
		}
	}
}

// TestSecurity: TLS and each SASL mechanism work for everything, and what is wrong is told in words.
func TestSecurity(t *testing.T) {
	t.Parallel()
	server, roots := certificate(t)
	b := fake(t, broker.Config{Options: []kfake.Opt{
		kfake.TLS(server), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain", "right"),
		kfake.Superuser("SCRAM-SHA-256", "s256", "right"),
		kfake.Superuser("SCRAM-SHA-512", "s512", "right"),
	}})
	trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for name, c := range map[string]struct {
		tls  *tls.Config
		sasl kafka.SASL
		want string // in the error; none if empty
	}{
		"PLAIN":              {trusting, kafka.SASL{Mechanism: "PLAIN", User: "plain", Password: "right"}, ""},
		"SCRAM-SHA-256":      {trusting, kafka.SASL{Mechanism: "SCRAM-SHA-256", User: "s256", Password: "right"}, ""},
		"SCRAM-SHA-512":      {trusting, kafka.SASL{Mechanism: "SCRAM-SHA-512", User: "s512", Password: "right"}, ""},
		"wrong password":     {trusting, kafka.SASL{Mechanism: "PLAIN", User: "plain", Password: "wrong"}, "credentials"}, // real brokers say so with a code, [58]
		"unknown authority":  {&tls.Config{MinVersion: tls.VersionTLS12}, kafka.SASL{}, "x509"},
		"no TLS":             {nil, kafka.SASL{}, "TLS"},
		"TLS, no SASL":       {trusting, kafka.SASL{}, "SASL"},
		"TLS without a user": {trusting, kafka.SASL{Mechanism: "SCRAM-SHA-256", User: "nobody", Password: "right"}, "credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := kafka.Config{Brokers: b.Addrs(), SASL: c.sasl, Timeout: 2 * time.Second}
			if c.tls != nil {
				cfg.TLS = func() *tls.Config { return c.tls }
			}
			client, err := kafka.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			_, err = client.Topics(t.Context())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "right") {
					t.Errorf("want %q in: %v", c.want, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := topic(t, client, 1, nil)
			write(t, producer(t, client, kafka.ProducerConfig{TransactionalID: in}), text(in, 0, "a"))
			join(t, client, kafka.GroupConfig{ID: in, Topics: []string{in}}).owns(t, 1)
			if got := values(read(t, client, in, 0)); len(got) != 1 {
				t.Errorf("read %q", got)
			}
		})
	}
}

// A certificate that is for another host, or is over, is refused by every connection, although its authority is trusted.
func TestCertificateRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*x509.Certificate)
		want  string
	}{
		"another host": {func(c *x509.Certificate) { c.IPAddresses[0] = net.IPv4(127, 0, 0, 2) }, "not 127.0.0.1"},
		"over":         {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, roots := certificate(t, c.spoil)
			b := fake(t, broker.Config{Options: []kfake.Opt{kfake.TLS(server)}})
			encrypt := func() *tls.Config { return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12} }
			client, err := kafka.New(kafka.Config{Brokers: b.Addrs(), TLS: encrypt, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			if _, err := client.Topics(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q in: %v", c.want, err)
			}
		})
	}
}

// certificate makes one for 127.0.0.1, spoilt if need be, and the pool that trusts it.
func certificate(t *testing.T, spoil ...func(*x509.Certificate)) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	for _, spoil := range spoil {
		spoil(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, roots
}

// TestNobodyListens: a question to brokers that are away ends by itself, with the reason.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	// A socket that is bound and does not listen: the port of a closed listener could be somebody else's by now.
	bound, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(bound) })
	if err := syscall.Bind(bound, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(bound)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	wantRefused(t, kafka.Config{Brokers: []string{address}, Timeout: 2 * time.Second})
}

// TestReasonOutlastsTheEnd: what was wrong is told although the last try was ended by the time's end.
func TestReasonOutlastsTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 2 * time.Second
		began := time.Now()
		wantRefused(t, kafka.Config{
			Brokers: []string{"127.0.0.1:1"}, Timeout: timeout,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if time.Since(began) < 2*timeout {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				time.Sleep(time.Until(began.Add(3 * timeout))) // when the question's time is over
				return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
			},
		})
	})
}

// wantRefused asks the brokers something, and wants to hear that time ran out because they refused.
func wantRefused(t *testing.T, cfg kafka.Config) {
	t.Helper()
	c, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.Topics(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}
