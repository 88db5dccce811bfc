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
	"sync"
	"time"

	"distributor-bridge/internal/config"
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
		if _, err := tls.LoadX509KeyPair(w.CertFile, w.KeyFile); err != nil {
			p.Add("webhooks.cert_file", "%v", err)
		}
	}
}

// longEnough gives the tokens that cannot be guessed.
func longEnough(tokens []string) []string {
	return slices.DeleteFunc(slices.Clone(tokens), func(t string) bool { return len(t) < leastToken })
}

// topicOfHints is where hints are passed on to all members.
func (b *Bridge) topicOfHints() webhook.Topic {
	return webhook.Topic{Client: b.client, Producer: b.hints, Name: b.cfg.Topics.Names().Hints, Log: b.cfg.Log}
}

// followHints lets the engine look at what any member's hints are about, until ctx ends.
func (b *Bridge) followHints(ctx context.Context) {
	b.topicOfHints().Follow(ctx, func(h webhook.Hint) { b.engine.Hint(h.InvestmentID) })
}

// Limits of the listener. Whoever sends slowly, or holds connections, costs no more than they say, and if they are used up
// only hints are late.
const (
	hintHeader  = 5 * time.Second  // to send the header
	hintRequest = 10 * time.Second // to send the request
	hintAnswer  = 20 * time.Second // from the header's end to the answer's
	hintIdle    = time.Minute      // between two requests
	hintHeaders = 8 << 10          // bytes
	hintConns   = 256              // at once
	hintEnd     = 5 * time.Second  // for requests in flight when the bridge ends
)

// takeHints listens for the provider's hints, if this member is to. What serves them until its context ends has to be called.
func (b *Bridge) takeHints(ctx context.Context) (serve func(context.Context) error, err error) {
	w := b.cfg.Webhooks
	if w.Listen == "" {
		return func(context.Context) error { return nil }, nil
	}
	cfg := webhook.Config{Write: b.topicOfHints().Write, Answered: b.hinted.answered, PerSecond: float64(w.PerSecond), Log: b.cfg.Log}
	if w.Token != "" {
		token := secretFrom(w.Token, w.TokenFile, b.cfg.Log)
		cfg.Tokens = func() []string { return longEnough(strings.Fields(token.get())) }
	}
	if w.ClientID != "" {
		cfg.Client = &webhook.Client{ID: w.ClientID, Secret: secretFrom(w.ClientSecret, w.ClientSecretFile, b.cfg.Log).get}
	}
	handler, err := webhook.New(cfg)
	if err != nil {
		return nil, err
	}
	if host, _, _ := net.SplitHostPort(w.Listen); w.CertFile == "" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
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
	listen := b.cfg.WebhookListen
	if listen == nil {
		listen = new(net.ListenConfig).Listen
	}
	ln, err := listen(ctx, "tcp", b.cfg.Webhooks.Listen)
	if err != nil {
		return nil, fmt.Errorf("webhooks.listen: %w", err)
	}
	return ln, nil
}

// serveHints serves until ctx ends, then lets requests in flight end. Should the listener fail it listens anew, with pauses: without
// hints only looks are late, and the bridge goes on.
func (b *Bridge) serveHints(ctx context.Context, ln net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: hintHeader, ReadTimeout: hintRequest, WriteTimeout: hintAnswer, IdleTimeout: hintIdle,
		MaxHeaderBytes: hintHeaders,
		ErrorLog:       stdlog.New(&strangers{log: b.cfg.Log}, "", 0),
		Protocols:      new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	serve := server.Serve
	if w := b.cfg.Webhooks; w.CertFile != "" {
		pair := &keyPair{certFile: w.CertFile, keyFile: w.KeyFile, log: b.cfg.Log}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
		serve = func(ln net.Listener) error { return server.ServeTLS(ln, "", "") }
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintEnd)
		defer cancel()
		if server.Shutdown(limit) != nil {
			_ = server.Close() // the provider repeats what was not answered
		}
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	places := make(chan struct{}, hintConns)
	for ln != nil {
		err := serve(limitConns(ln, places)) // which closes it
		ln = b.listenAnew(ctx, err)
	}
}

// Pauses before the listener that has failed is made anew.
const (
	listenFirst = time.Second
	listenMost  = time.Minute
)

// listenAnew listens again after the listener has failed; nil once ctx has ended.
func (b *Bridge) listenAnew(ctx context.Context, err error) net.Listener {
	for wait := listenFirst; ctx.Err() == nil; wait = min(2*wait, listenMost) {
		b.cfg.Log.Error().Err(err).Dur("pause_ms", wait).
			Msg("webhooks cannot be taken: the bridge goes on, and listens anew; until then changes are seen by polling")
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		var ln net.Listener
		if ln, err = b.listenHints(ctx); err == nil {
			return ln
		}
	}
	return nil
}

// limitConns lets no more connections be open at a time than there are places for; others wait to be accepted.
func limitConns(ln net.Listener, places chan struct{}) net.Listener {
	return &limitedListener{Listener: ln, places: places, closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept waits for a place, then for a connection.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close ends Accept as well.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
