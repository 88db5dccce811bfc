// Package server serves HTTP within limits, and outlives its listener: what is served beside the program's work must neither end it,
// nor take from it more than the limits say.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"time"
)

// Config says what is served, and within which limits. Listen and Handler are required. Whoever sends slowly, or holds
// connections, costs no more than the limits say.
type Config struct {
	Handler http.Handler
	// Listen opens the listener; after it has failed, again.
	Listen func(ctx context.Context) (net.Listener, error)
	// TLS, if set, encrypts. Its MinVersion and certificates are the caller's.
	TLS *tls.Config

	Header  time.Duration // to send a request's header; default 5 s
	Request time.Duration // to send the request; default 10 s
	Answer  time.Duration // from the header's end to the answer's; default 20 s
	Idle    time.Duration // between two requests; default 1 min
	End     time.Duration // for requests in flight when the server ends; default 5 s
	Conns   int           // connections at once; others wait to be accepted; default 256

	// Failed, if set, is told that the listener has failed, and after which pause it is made anew.
	Failed func(err error, pause time.Duration)
	// Strangers, if set, takes net/http's complaints about clients.
	Strangers *log.Logger
}

// maxHeader is how large a request's header may be, in bytes.
const maxHeader = 8 << 10

func (c Config) withDefaults() Config {
	c.Header = cmp.Or(c.Header, 5*time.Second)
	c.Request = cmp.Or(c.Request, 10*time.Second)
	c.Answer = cmp.Or(c.Answer, 20*time.Second)
	c.Idle = cmp.Or(c.Idle, time.Minute)
	c.End = cmp.Or(c.End, 5*time.Second)
	c.Conns = cmp.Or(c.Conns, 256)
	if c.Failed == nil {
		c.Failed = func(error, time.Duration) {}
	}
	return c
}

// Serve serves what comes to ln until ctx ends, then lets requests in flight end. Should the listener fail it listens anew, with
// pauses.
func Serve(ctx context.Context, cfg Config, ln net.Listener) {
	cfg = cfg.withDefaults()
	server := &http.Server{
		Handler: cfg.Handler, TLSConfig: cfg.TLS,
		ReadHeaderTimeout: cfg.Header, ReadTimeout: cfg.Request, WriteTimeout: cfg.Answer, IdleTimeout: cfg.Idle,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       cfg.Strangers,
		Protocols:      new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	serve := server.Serve
	if cfg.TLS != nil {
		serve = func(ln net.Listener) error { return server.ServeTLS(ln, "", "") }
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.End)
		defer cancel()
		if server.Shutdown(limit) != nil {
			_ = server.Close() // what was not answered is asked again
		}
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	places := make(chan struct{}, cfg.Conns)
	for ln != nil {
		err := serve(limitConns(ln, places)) // which closes it
		ln = cfg.listenAnew(ctx, err)
	}
}

// Pauses before the listener that has failed is made anew.
const (
	listenFirst = time.Second
	listenMost  = time.Minute
)

// listenAnew listens again after the listener has failed; nil once ctx has ended.
func (c Config) listenAnew(ctx context.Context, err error) net.Listener {
	for wait := listenFirst; ctx.Err() == nil; wait = min(2*wait, listenMost) {
		c.Failed(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		var ln net.Listener
		if ln, err = c.Listen(ctx); err == nil {
			return ln
		}
	}
	return nil
}
