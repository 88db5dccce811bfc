package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"distributor-bridge/internal/broker"
)

func authority(t *testing.T, name string) *broker.Authority {
	t.Helper()
	a, err := broker.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A broker with Security lets in who has certificate and password, and lets them do what a rule allows, until it is taken away.
func TestApacheSecured(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	servers, clients := authority(t, "servers"), authority(t, "clients")
	b, err := broker.Apache(ctx, broker.ApacheConfig{Libs: libs(t), Dir: t.TempDir(), Security: &broker.Security{
		Authority: servers, Clients: clients, Users: map[string]string{"anna": "one"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	admin, err := b.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()

	produce := func(signer *broker.Authority, password string) error {
		t.Helper()
		cert, key, err := signer.Issue("anna")
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.RetryTimeout(time.Second), kgo.DisableIdempotentWrite(),
			kgo.UnknownTopicRetries(0), kgo.RecordDeliveryTimeout(5*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.DialTLSConfig(&tls.Config{RootCAs: broker.Pool(servers), Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
			kgo.SASL(scram.Auth{User: "anna", Pass: password}.AsSha512Mechanism()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return client.ProduceSync(ctx, &kgo.Record{Topic: "kept", Value: []byte("a")}).FirstErr()
	}
	if err := admin.CreateTopic(ctx, "kept", 1); err != nil {
		t.Fatal(err)
	}
	rule := broker.ACL{User: "anna", Operation: "Write", Resource: "topic", Name: "ke", Prefixed: true}
	if err := produce(clients, "one"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("without a rule: %v", err)
	}
	if err := admin.Allow(ctx, rule); err != nil {
		t.Fatal(err)
	}
	if err := produce(clients, "one"); err != nil {
		t.Errorf("with a rule: %v", err)
	}
	if err := produce(clients, "two"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := produce(authority(t, "strangers"), "one"); err == nil {
		t.Error("with a stranger's certificate: nothing is wrong")
	}
	if err := admin.SetPassword(ctx, "anna", "two"); err != nil {
		t.Fatal(err)
	}
	if err := produce(clients, "two"); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if err := admin.Forbid(ctx, rule); err != nil {
		t.Fatal(err)
	}
	if err := produce(clients, "two"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("with the rule taken away: %v", err)
	}
	if err := admin.Forbid(ctx, rule); err == nil {
		t.Error("a rule that is not there was taken away")
	}
	if err := admin.Allow(ctx, broker.ACL{Operation: "Fly", Resource: "topic"}); err == nil {
		t.Error("an operation that is not there was allowed")
	}
}
