package broker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Security makes an Apache Kafka that lets nobody in without TLS and a password (SCRAM-SHA-512), and lets nobody but its
// administrator do what no access rule allows (StandardAuthorizer).
type Security struct {
	// Authority signs the broker's certificate. Required.
	Authority *Authority
	// Clients signs the certificates that clients have to show, the administrator's too. Default: they show none.
	Clients *Authority
	// Users are the users, with their passwords. None is known later on that is not among them.
	Users map[string]string
}

// The administrator, who may do everything.
const (
	AdminUser     = "admin"
	AdminPassword = "the admin's own"
)

func (s *Security) format() []string {
	args := []string{"--add-scram", scramOf(AdminUser, AdminPassword)}
	for _, user := range slices.Sorted(maps.Keys(s.Users)) {
		args = append(args, "--add-scram", scramOf(user, s.Users[user]))
	}
	return args
}

func scramOf(user, password string) string {
	return fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", user, password)
}

// write writes the broker's own certificate with its key, and whom it trusts.
func (s *Security) write(dir string) error {
	if s.Authority == nil {
		return errors.New("an authority is required")
	}
	cert, key, err := s.Authority.Issue("broker")
	if err != nil {
		return err
	}
	// To itself the broker is a client, too: what it shows then is signed by its own authority.
	trusted := Bundle(s.Authority)
	if s.Clients != nil {
		trusted = Bundle(s.Authority, s.Clients)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "broker.pem"), append(bytes.Clone(key), cert...), 0o600),
		os.WriteFile(filepath.Join(dir, "trusted.pem"), trusted, 0o600),
	)
}

// properties are for a listener named SASL_SSL.
func (s *Security) properties(dir string) string {
	asked := "none"
	if s.Clients != nil {
		asked = "required"
	}
	return fmt.Sprintf(`inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=%s required username="%s" password="%s";
listener.name.sasl_ssl.ssl.client.auth=%s
ssl.keystore.type=PEM
ssl.keystore.location=%s
ssl.truststore.type=PEM
ssl.truststore.location=%s
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:%[2]s;User:ANONYMOUS
`, "org.apache.kafka.common.security.scram.ScramLoginModule", AdminUser, AdminPassword, asked,
		filepath.Join(dir, "broker.pem"), filepath.Join(dir, "trusted.pem"))
}

// options are how the administrator connects.
func (s *Security) options() ([]kgo.Opt, error) {
	cfg := &tls.Config{RootCAs: Pool(s.Authority), MinVersion: tls.VersionTLS12}
	if s.Clients != nil {
		cert, key, err := s.Clients.Issue(AdminUser)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("the administrator's certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	login := scram.Auth{User: AdminUser, Pass: AdminPassword}.AsSha512Mechanism()
	return []kgo.Opt{kgo.DialTLSConfig(cfg), kgo.SASL(login)}, nil
}
