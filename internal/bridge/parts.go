package bridge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
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
	var err error
	if c.Kafka.TLS.Enabled {
		cfg.TLS, err = c.Kafka.TLS.config()
	}
	return cfg, err
}

// config reads the files.
func (t TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var errs []error
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.ca_file: %w", err))
		} else {
			cfg.RootCAs = x509.NewCertPool()
			if !cfg.RootCAs.AppendCertsFromPEM(pem) {
				errs = append(errs, fmt.Errorf("tls.ca_file: no certificate in %s", t.CAFile))
			}
		}
	}
	switch {
	case (t.CertFile == "") != (t.KeyFile == ""):
		errs = append(errs, errors.New("tls.cert_file: it and key_file are given together, or not at all"))
	case t.CertFile != "":
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.cert_file: %w", err))
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, errors.Join(errs...)
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
