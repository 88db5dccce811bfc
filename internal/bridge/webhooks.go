package bridge

import (
	"context"
	"crypto/tls"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/config"
	"distributor-bridge/internal/server"
	"distributor-bridge/internal/webhook"
)

// leastToken is how short a token or secret of webhooks may be.
const leastToken = 16

func (c *Config) checkWebhooks(p *config.Problems) {
	w := c.Webhooks
	between(p, "webhooks.per_second", w.PerSecond, 1, 10_000)
	if w.Listen == "" {
		return // the rest may be given all the same: members share a file, and one of them listens
	}
	if _, port, err := net.SplitHostPort(w.Listen); err != nil || port == "" {
		p.Add("webhooks.listen", "%q is not host:port", w.Listen)
	}
	if w.Token == "" && w.ClientID == "" && w.ClientSecret == "" {
		p.Add("webhooks", "a token or a client is required: else anybody could send hints")
	}
	if given := strings.Fields(string(w.Token)); w.Token != "" && len(longEnough(given)) < max(1, len(given)) {
		p.Add("webhooks.token", "want %d characters or more", leastToken)
	}
	switch {
	case w.ClientID == "" && w.ClientSecret != "":
		p.Add("webhooks.client_id", "is required, since there is a client_secret")
	case w.ClientID != "" && len(w.ClientSecret) < leastToken:
		p.Add("webhooks.client_secret", "want %d characters or more", leastToken)
	}
	if (w.CertFile == "") != (w.KeyFile == "") {
		p.Add("webhooks.cert_file", "it and key_file are given together, or not at all")
	} else if w.CertFile != "" {
		if err := fits(w.CertFile, w.KeyFile); err != nil {
			p.Add("webhooks.cert_file", "%v", err)
		}
	}
}

// longEnough gives the tokens that cannot be guessed.
func longEnough(tokens []string) []string {
	return slices.DeleteFunc(slices.Clone(tokens), func(t string) bool { return len(t) < leastToken })
}

func oneWord(text string) []string { return []string{text} }

// strong takes from the file, too, only what cannot be guessed, be it one or several. What is too short may be half written.
func strong(r *renewed[string], each func(string) []string) *renewed[string] {
	parse := r.parse
	r.parse = func(contents [][]byte) (string, error) {
		text, err := parse(contents)
		if given := each(text); err == nil && len(longEnough(given)) < len(given) {
			err = fmt.Errorf("%s: want %d characters or more", r.key, leastToken)
		}
		return text, err
	}
	return r
}

// topicOfHints is where hints are passed on to all members.
func (b *Bridge) topicOfHints() webhook.Topic {
	return webhook.Topic{Client: b.client, Producer: b.hints, Name: b.cfg.Topics.Names().Hints, Log: b.cfg.Log}
}

// followHints lets the engine look at what any member's hints are about, until ctx ends.
func (b *Bridge) followHints(ctx context.Context) {
	b.topicOfHints().Follow(ctx, func(h webhook.Hint) { b.engine.Hint(h.InvestmentID) })
}

// takeHints listens for the provider's hints, if this member is to. What serves them until its context ends has to be called.
func (b *Bridge) takeHints(ctx context.Context) (serve func(context.Context) error, err error) {
	w := b.cfg.Webhooks
	if w.Listen == "" {
		return func(context.Context) error { return nil }, nil
	}
	cfg := webhook.Config{Write: b.topicOfHints().Write, Answered: b.hinted.answered, PerSecond: float64(w.PerSecond), Log: b.cfg.Log}
	if w.Token != "" {
		token := strong(secret("webhooks.token_file", w.Token, w.TokenFile, reread, b.cfg.Log), strings.Fields)
		cfg.Tokens = func() []string { return longEnough(strings.Fields(token.get())) }
	}
	if w.ClientID != "" {
		given := strong(secret("webhooks.client_secret_file", w.ClientSecret, w.ClientSecretFile, reread, b.cfg.Log), oneWord)
		cfg.Client = &webhook.Client{ID: w.ClientID, Secret: given.get}
	}
	handler, err := webhook.New(cfg)
	if err != nil {
		return nil, err
	}
	if w.CertFile == "" && remote(w.Listen) {
		b.cfg.Log.Warn().Str("webhooks.listen", w.Listen).Msg("webhooks are taken without TLS: something in front of the bridge " +
			"has to end it, or else set webhooks.cert_file and key_file: tokens can be read on their way")
	}
	ln, err := b.listenHints(ctx)
	if err != nil {
		return nil, err
	}
	b.cfg.Log.Info().Stringer("address", ln.Addr()).Bool("tls", w.CertFile != "").Msg("hints of the provider are taken")
	return func(ctx context.Context) error { b.serveHints(ctx, ln, handler); return nil }, nil
}

func (b *Bridge) listenHints(ctx context.Context) (net.Listener, error) {
	return b.cfg.listen(ctx, b.cfg.WebhookListen, "webhooks.listen", b.cfg.Webhooks.Listen)
}

// serveHints serves until ctx ends, then lets requests in flight end; the provider repeats what was not answered. Without hints
// only looks are late.
func (b *Bridge) serveHints(ctx context.Context, ln net.Listener, handler http.Handler) {
	cfg := server.Config{
		Handler: handler, Listen: b.listenHints,
		Failed: func(err error, pause time.Duration) {
			b.cfg.Log.Error().Err(err).Dur("pause_ms", pause).
				Msg("webhooks cannot be taken: the bridge goes on, and listens anew; until then changes are seen by polling")
		},
		Strangers: stdlog.New(&strangers{log: b.cfg.Log, is: "webhooks: the server has trouble with a client"}, "", 0),
	}
	if w := b.cfg.Webhooks; w.CertFile != "" {
		pair := keyPair("webhooks", w.CertFile, w.KeyFile, b.cfg.Log)
		cfg.TLS = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil },
		}
	}
	server.Serve(ctx, cfg, ln)
}
