package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/kafka"
)

// kafkaConfig is the client's configuration. An error says which file of TLS cannot be used; the rest is good then.
func (c *Config) kafkaConfig() (kafka.Config, error) {
	cfg := kafka.Config{
		Brokers:  c.Kafka.Brokers,
		ClientID: c.Kafka.ClientID,
		SASL: kafka.SASL{
			Mechanism: c.Kafka.SASL.Mechanism, User: c.Kafka.SASL.User, Password: string(c.Kafka.SASL.Password),
		},
		MetadataAge: c.Kafka.MetadataAge, FetchWait: c.Kafka.FetchWait,
		Dial: c.Dial,
		Log:  c.Log,
	}
	if sasl := c.Kafka.SASL; sasl.PasswordFile != "" {
		cfg.SASL.Renew = secret("kafka.sasl.password_file", sasl.Password, sasl.PasswordFile, 0, c.Log).get
	}
	if !c.Kafka.TLS.Enabled {
		if !c.Kafka.TLS.Plaintext {
			cfg.Dial = onThisMachine(c.Dial)
		}
		return cfg, nil
	}
	files, err := c.Kafka.TLS.renewed(c.Log)
	if err == nil {
		cfg.TLS = files.get
	}
	return cfg, err
}

// errReadable is that a broker of the cluster, which only the cluster has named, cannot be reached without others on the way reading.
var errReadable = errors.New("it is on another machine, and TLS is off: personal data could be read on the way")

// onThisMachine dials brokers of this machine alone. Validate knows those of the configuration; the cluster names the others: behind a
// tunnel, or a proxy, on localhost they can be anywhere.
func onThisMachine(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext // with the limits of those who dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if remote(address) {
			return nil, fmt.Errorf("broker %s: %w (kafka.tls.enabled, kafka.tls.plaintext)", address, errReadable)
		}
		return dial(ctx, network, address)
	}
}

// groupConfig is the inbox group's configuration, without its topics.
func (c *Config) groupConfig() kafka.GroupConfig {
	return kafka.GroupConfig{
		ID:                c.Group.Name,
		HeartbeatInterval: c.Group.Heartbeat,
		SessionTimeout:    c.Group.Session,
		RebalanceTimeout:  c.Group.Rebalance,
		Drain:             c.Rules.Drain,
		TopicPoll:         5 * c.Kafka.MetadataAge,
	}
}

// apiConfig is the API client's configuration.
func (c *Config) apiConfig() distributor.Config {
	a := c.API
	cfg := distributor.Config{
		BaseURL:              a.BaseURL,
		Prefix:               a.Prefix,
		AllowPlainHTTP:       strings.HasPrefix(a.BaseURL, "http://"), // to a loopback address only, which the client sees to
		ClientID:             a.ClientID,
		ClientSecret:         distributor.Secret(a.ClientSecret),
		Scopes:               a.Scopes,
		DefaultTokenLifetime: a.TokenLifetime,
		RefreshAhead:         a.RefreshAhead,
		Timeouts:             distributor.Timeouts(a.Timeouts),
		MaxInFlight:          c.Rules.MaxInFlight,
		MaxAnswerBytes:       int64(a.MaxAnswerBytes),
		Dial:                 c.APIDial,
	}
	if a.ClientSecretFile != "" { // the secret was read from it for a first look; the client reads it again for each token
		cfg.ClientSecret, cfg.ClientSecretFile = "", a.ClientSecretFile
	}
	return cfg
}

// documentsConfig is the configuration of what fetches documents.
func (c *Config) documentsConfig() documents.Config {
	return documents.Config{
		AllowedHosts: c.Documents.AllowedHosts,
		FileRoot:     c.Documents.FileRoot,
		MaxBytes:     int64(c.Documents.MaxBytes),
		AllowPrivate: c.AllowPrivateDocuments,
		Log:          c.Log,
	}
}
