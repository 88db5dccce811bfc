package distributor

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// newTransport makes the way to the token endpoint: a connection of its own, so that calls that fill theirs cannot keep it waiting.
func newTransport(cfg Config) *http.Transport {
	dial := cfg.dialer()
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Dial)
			defer cancel()
			return dial(ctx, network, addr)
		},
		TLSClientConfig:        cfg.tls(),
		TLSHandshakeTimeout:    cfg.Timeouts.TLS,
		ResponseHeaderTimeout:  cfg.Timeouts.FirstByte,
		IdleConnTimeout:        cfg.Timeouts.Idle,
		MaxConnsPerHost:        1,
		MaxResponseHeaderBytes: mostHeader,
		DisableCompression:     true, // so that the limit of an answer's size is one of what it becomes
	}
}

// dialer gives what makes the connections.
func (cfg Config) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if cfg.Dial != nil {
		return cfg.Dial
	}
	return new(net.Dialer).DialContext
}

func (cfg Config) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
}
