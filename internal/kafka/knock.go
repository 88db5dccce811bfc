package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// Stage is what a connection to a broker has to get through, one after the other.
type Stage string

// The stages. A Knock names the one at which it failed.
const (
	StageDial      Stage = "dial"      // TCP, DNS included
	StageTLS       Stage = "tls"       // the handshake; only with Config.TLS
	StageVersions  Stage = "versions"  // the first request, which every listener answers
	StageMechanism Stage = "mechanism" // the listener takes the SASL mechanism; only with Config.SASL
	StageLogin     Stage = "login"     // user and password are right; only with Config.SASL
	StageUse       Stage = "use"       // a request that is answered to those who have logged in only
	StageOpen      Stage = "open"      // nothing failed
)

// Knock is how far a connection to one broker came. kafka-go's own connections repeat what fails, and tell of most of it only
// that the connection has ended.
type Knock struct {
	Stage Stage
	Err   error // nil for StageOpen
	// OtherTLS: the listener speaks TLS although Config.TLS is nil, or does not although it is set.
	OtherTLS bool
	// TLS is what was agreed on; nil without TLS, or where it came to no agreement.
	TLS *tls.ConnectionState
	// Mechanisms are those that the listener offers, where it told them.
	Mechanisms []string
	// Brokers are those of the cluster, host:port by their IDs, as they have to be reached for all else. Of StageOpen only.
	Brokers map[int]string
}

// Knock connects to one broker of cfg's cluster, as a client would, asks who else there is, and hangs up.
func (c Config) Knock(ctx context.Context, address string) Knock {
	c = c.withDefaults()
	k := c.knock(ctx, address)
	broken := k.Stage == StageTLS || k.Stage == StageVersions && c.TLS == nil
	if broken && ctx.Err() == nil {
		k.OtherTLS = c.otherTLS(ctx, address)
	}
	return k
}

// handshakeLimit is half of what a Knock is usually given: a listener without TLS may wait for the rest of what it takes for a large
// request, and then there is time left to find that out.
const handshakeLimit = dialTimeout / 2

func (c Config) knock(ctx context.Context, address string) (k Knock) {
	k.Stage = StageDial
	nc, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		k.Err = err
		return k
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	defer func() {
		if k.Err != nil && ctx.Err() != nil {
			k.Err = fmt.Errorf("no answer: %w", context.Cause(ctx))
		}
	}()
	if c.TLS != nil {
		k.Stage = StageTLS
		tc := tls.Client(nc, c.tlsFor(address))
		shaking, cancel := context.WithTimeout(ctx, handshakeLimit)
		defer cancel()
		if k.Err = tc.HandshakeContext(shaking); k.Err != nil {
			return k
		}
		state := tc.ConnectionState()
		k.TLS, nc = &state, tc
	}
	conn := protocol.NewConn(nc, c.ClientID)
	k.Stage = StageVersions
	if k.Err = negotiate(conn); k.Err != nil {
		return k
	}
	if mechanism, _ := c.SASL.mechanism(); mechanism != nil { // an error is Validate's to tell
		if k.login(ctx, conn, mechanism, address); k.Err != nil {
			return k
		}
	}
	k.Stage = StageUse
	if k.Brokers, k.Err = whoElse(conn); k.Err != nil {
		return k
	}
	k.Stage = StageOpen
	return k
}

func (c Config) tlsFor(address string) *tls.Config {
	cfg := c.TLS().Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	return cfg
}

// negotiate finds out which versions both sides speak.
func negotiate(conn *protocol.Conn) error {
	conn.SetVersions(map[protocol.ApiKey]int16{protocol.ApiVersions: 0})
	m, err := conn.RoundTrip(&apiversions.Request{})
	if err != nil {
		return err
	}
	res := m.(*apiversions.Response)
	if res.ErrorCode != 0 {
		return code(res.ErrorCode)
	}
	versions := make(map[protocol.ApiKey]int16)
	for _, k := range res.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
	}
	conn.SetVersions(versions)
	return nil
}

// login goes through SASL.
func (k *Knock) login(ctx context.Context, conn *protocol.Conn, mechanism sasl.Mechanism, address string) {
	k.Stage = StageMechanism
	m, err := conn.RoundTrip(&saslhandshake.Request{Mechanism: mechanism.Name()})
	if err != nil {
		k.Err = err
		return
	}
	res := m.(*saslhandshake.Response)
	k.Mechanisms = res.Mechanisms
	if k.Err = code(res.ErrorCode); k.Err != nil {
		return
	}
	k.Stage = StageLogin
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	ctx = sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: number})
	session, words, err := mechanism.Start(ctx)
	for done := false; err == nil && !done; {
		m, err = conn.RoundTrip(&saslauthenticate.Request{AuthBytes: words})
		if err != nil {
			break
		}
		res := m.(*saslauthenticate.Response)
		if err = code(res.ErrorCode); err != nil {
			break
		}
		done, words, err = session.Next(ctx, res.AuthBytes)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // some brokers refuse a login by hanging up
		err = code(int16(kafkago.SASLAuthenticationFailed))
	}
	k.Err = err
}

// whoElse asks for the cluster's brokers.
func whoElse(conn *protocol.Conn) (map[int]string, error) {
	m, err := conn.RoundTrip(&metadata.Request{TopicNames: []string{}})
	if err != nil {
		return nil, err
	}
	brokers := make(map[int]string)
	for _, b := range m.(*metadata.Response).Brokers {
		brokers[int(b.NodeID)] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	return brokers, nil
}

// otherTLS tries whether a listener speaks TLS, where it should not, or the reverse. It sends nothing but the beginning of a
// handshake, or a request that needs no login.
func (c Config) otherTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	nc, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	if c.TLS != nil {
		return negotiate(protocol.NewConn(nc, c.ClientID)) == nil
	}
	greeted := false
	tc := tls.Client(nc, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent: that there is a certificate at all is what is asked
		VerifyConnection:   func(tls.ConnectionState) error { greeted = true; return errors.New("seen enough") },
	})
	return tc.HandshakeContext(ctx) != nil && greeted
}
