package documents

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"

	"code.dny.dev/ssrf"
)

// maxRetryAfter bounds what a Retry-After can ask for.
const maxRetryAfter = time.Hour

// newClient makes the HTTP client for links. The guard looks at each address that is dialed, thus after DNS.
func newClient(cfg Config) *http.Client {
	dial := cfg.Dial
	if dial == nil {
		dialer := new(net.Dialer)
		if !cfg.AllowPrivate {
			dialer.Control = ssrf.New(ssrf.WithAnyPort()).Safe // ports are a matter of AllowedHosts
		}
		dial = dialer.DialContext
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, cfg.Timeouts.Dial)
				defer cancel()
				return dial(ctx, network, addr)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
			TLSHandshakeTimeout:    cfg.Timeouts.TLS,
			ResponseHeaderTimeout:  cfg.Timeouts.FirstByte,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConnsPerHost:    8,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // the hash is over what lies there
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// openLink gives what an https link leads to.
func (f *Fetcher) openLink(ctx context.Context, u *url.URL, size int64) (io.ReadCloser, error) {
	host := f.hosts[withPort(u.Host)]
	if u.User != nil || host == nil {
		return nil, outcome.Reject(outcome.DocumentRefusedLink)
	}
	told, err := host.ask()
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeouts.Fetch)
	res, err := f.get(ctx, u)
	if err == nil {
		err = answerVerdict(res, size)
		if err != nil {
			_ = res.Body.Close()
		}
	}
	if err != nil {
		told(caller, err)
		cancel()
		return nil, err
	}
	return &download{
		ReadCloser: res.Body, ended: ctx.Err, cancel: cancel, told: func(err error) { told(caller, err) },
		framed: res.ContentLength >= 0 || len(res.TransferEncoding) > 0, left: size,
	}, nil
}

func (f *Fetcher) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, outcome.Reject(outcome.DocumentRefusedLink)
	}
	req.Header.Set("User-Agent", "distributor-bridge")
	res, err := f.client.Do(req)
	if errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) {
		return nil, outcome.Reject(outcome.DocumentRefusedLink)
	}
	if err != nil {
		return nil, retry(err)
	}
	return res, nil
}

// answerVerdict classifies an answer; nil means that the document follows.
func answerVerdict(res *http.Response, size int64) error {
	status := res.StatusCode
	var e *outcome.Error
	switch {
	case status == http.StatusOK && (res.ContentLength < 0 || res.ContentLength == size):
		return nil
	case status >= 200 && status <= 299:
		e = outcome.Reject(outcome.DocumentMismatch)
	case status >= 300 && status <= 399:
		e = outcome.Reject(outcome.DocumentRefusedLink)
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly,
		status >= 500, status < 200:
		e = outcome.Retry(outcome.ClassDocument, false, nil)
		e.After = retryAfter(res.Header)
	default:
		e = outcome.Reject(outcome.DocumentGone)
	}
	e.Status = status
	return e
}

// retryAfter reads Retry-After, in seconds or as a date; 0 if it tells nothing.
func retryAfter(h http.Header) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), maxRetryAfter)
}

// download is the body of an answer, with the end of its context.
type download struct {
	io.ReadCloser
	ended  func() error // why the fetch is over, if it is
	cancel context.CancelFunc
	told   func(error) // takes how it ended, from the first one that tells it
	framed bool        // a length or chunks tell where the body ends
	left   int64       // bytes of the promised size that did not come yet
}

// Read gives the body. An early end that nothing but the connection's end tells is a broken connection as likely as a
// wrong document, so it is tried again; and so is one after the fetch is over: a host that sees its client hang up may still
// end its body in good form, and that can be read before the connection is closed.
func (d *download) Read(p []byte) (int, error) {
	n, err := d.read(p)
	if errors.Is(err, io.EOF) {
		d.told(nil)
	} else if err != nil {
		d.told(err)
	}
	return n, err
}

func (d *download) read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	d.left -= int64(n)
	if err != io.EOF || d.left <= 0 {
		return n, err
	}
	if ended := d.ended(); ended != nil {
		return n, ended
	}
	if !d.framed {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// Close ends the fetch. One that is closed before its end was not needed any more: the host has done well so far.
func (d *download) Close() error {
	d.told(nil)
	d.cancel()
	return d.ReadCloser.Close()
}

// retry gives the verdict on a fault that may pass. Its cause is in words of our own: those of net/http quote the link.
func retry(err error) error { return outcome.Retry(outcome.ClassDocument, false, outcome.Cause(err)) }
