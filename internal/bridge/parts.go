package bridge

import (
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
		return cfg, nil
	}
	files, err := c.Kafka.TLS.renewed(c.Log)
	if err == nil {
		cfg.TLS = files.get
	}
	return cfg, err
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
