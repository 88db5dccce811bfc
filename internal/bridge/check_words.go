package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"distributor-bridge/internal/kafka"
)

// words are what is wrong, and what to do.
type words struct{ text, mend string }

// ofNetwork tells of an error of dialing, or of a TLS handshake, as a client gets it; false for any other. address is a key of the
// configuration, trust what to do about an authority that is not known.
func ofNetwork(err error, address, trust string) (words, bool) {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return words{fmt.Sprintf("the name %s is not known here", dns.Name), "mend " + address + ", or this machine's DNS"}, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return words{"nobody listens there (connection refused)", "mend " + address + ", or start what should listen"}, true
	case errors.As(err, &authority):
		return words{"its certificate comes from an authority that is not trusted", trust}, true
	case errors.As(err, &name):
		return words{"its certificate is for other names: " + certificateNames(name.Certificate),
			"use one of these in " + address + ", or have the certificate made for " + name.Host}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return words{fmt.Sprintf("its certificate is good from %s to %s only", date(invalid.Cert.NotBefore), date(invalid.Cert.NotAfter)),
			"have it renewed there, or set this machine's clock"}, true
	case errors.As(err, &record):
		return words{"it does not speak TLS", "mend " + address}, true
	case errors.As(err, &op) && op.Op == "remote error":
		return words{"it refuses the connection: " + op.Err.Error(), "give it a certificate that it trusts"}, true
	case late(err):
		return words{"it does not answer in time", "mend " + address + ", or what lies between (firewall, network policy)"}, true
	}
	return words{}, false
}

func certificateNames(cert *x509.Certificate) string {
	all := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "it has none"
	}
	return strings.Join(all, ", ")
}

// late says whether an error is that time was over.
func late(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// ofKnock tells why a broker cannot be used.
func (c *Config) ofKnock(k kafka.Knock) words {
	const address = "kafka.brokers"
	ended := errors.Is(k.Err, io.EOF) || errors.Is(k.Err, io.ErrUnexpectedEOF) || errors.Is(k.Err, syscall.ECONNRESET) ||
		errors.Is(k.Err, syscall.EPIPE)
	if errors.Is(k.Err, errReadable) {
		return words{errReadable.Error(), "set kafka.tls.enabled: true, or kafka.tls.plaintext: true if the network is closed"}
	}
	if k.OtherTLS && c.Kafka.TLS.Enabled {
		return words{"this listener does not speak TLS", "give the port of one that does, or set kafka.tls.enabled: false"}
	}
	if k.OtherTLS {
		return words{"this listener speaks TLS", "set kafka.tls.enabled: true, or give the port of one that does not"}
	}
	if w, ok := c.ofLogin(k, ended); ok {
		return w
	}
	var op *net.OpError
	refused := errors.As(k.Err, &op) && op.Op == "remote error"
	if c.Kafka.TLS.Enabled && k.Stage != kafka.StageDial && (refused || ended) {
		if c.Kafka.TLS.CertFile == "" {
			return words{"it asks for a certificate of ours", "give kafka.tls.cert_file and key_file"}
		}
		return words{"it refuses our certificate", "give one in kafka.tls.cert_file that comes from an authority the brokers trust"}
	}
	trust := "give that authority's certificate in kafka.tls.ca_file"
	if c.Kafka.TLS.CAFile != "" {
		trust = "kafka.tls.ca_file holds another authority: give that of the brokers"
	}
	if w, ok := ofNetwork(k.Err, address, trust); ok {
		return w
	}
	if ended {
		return words{"it ends the connection", "look at its log; is this the port of a Kafka listener?"}
	}
	return words{k.Err.Error(), "look at the broker's log"}
}

// ofLogin tells of SASL; false if it is not about that.
func (c *Config) ofLogin(k kafka.Knock, ended bool) (words, bool) {
	s := c.Kafka.SASL
	switch k.Stage {
	case kafka.StageMechanism:
		if len(k.Mechanisms) > 0 {
			return words{fmt.Sprintf("this listener does not take %s, but %s", s.Mechanism, strings.Join(k.Mechanisms, ", ")),
				"set kafka.sasl.mechanism: " + best(k.Mechanisms)}, true
		}
		if !late(k.Err) {
			return words{"this listener asks for no login", "take out kafka.sasl, or give the port of one that does"}, true
		}
	case kafka.StageLogin:
		if !late(k.Err) {
			return words{fmt.Sprintf("user or password is wrong (%s, user %s)", s.Mechanism, s.User),
				"mend kafka.sasl.user or what password_file holds, or have the user made for " + s.Mechanism}, true
		}
	case kafka.StageUse:
		if ended && s.Mechanism == "" {
			return words{"this listener asks for a login", "set kafka.sasl.mechanism, user and password_file"}, true
		}
	}
	return words{}, false
}

// best gives the mechanism to take of those that are offered.
func best(offered []string) string {
	for _, m := range []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"} {
		if slices.Contains(offered, m) {
			return m
		}
	}
	return "one of PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, which the brokers have to offer"
}

// failed tells of a question that brokers, who have let us in, have not answered as they should.
func (k *checkup) failed(f *findings, about, what string, err error) {
	switch {
	case late(err) && k.lost:
		f.leftOut(about, "%s: a broker cannot be reached", what)
	case late(err):
		f.wrong(about, "look at the brokers' logs, or give more time with --timeout", "%s: the brokers do not answer in time", what)
	case errors.Is(err, kafka.ErrDenied):
		f.wrong(about, "have it allowed to "+k.cfg.who(), "%s: %v", what, err)
	default:
		f.wrong(about, "look at the brokers' logs", "%s: %v", what, err)
	}
}
