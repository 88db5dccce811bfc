package distributor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"distributor-bridge/internal/outcome"
)

// request is one call as a method asks for it.
type request struct {
	op   operation
	ids  []string // for op's path, in its order
	key  Key      // of a call with an effect
	body content  // nil: none
}

// do makes the call and decodes its answer into a. Every error is an *outcome.Error.
//
// A 401 is the one case in which the request is sent twice: it says that the call was refused for its token before
// anything came of it, and a token may end early.
func (c *Client) do(ctx context.Context, r request, a answer) error {
	u, err := r.op.locate(c.root, r.ids)
	if err != nil {
		return fault(r.op, err)
	}
	if r.op.effect() && r.key.IsZero() {
		return fault(r.op, errNoKey)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeouts.Call)
	defer cancel()

	for again := false; ; again = true {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return tried(r.op, err)
		}
		status, verdict := c.exchange(ctx, r, u, token, a)
		if status == http.StatusUnauthorized {
			c.tokens.drop(token)
			if !again {
				continue
			}
		}
		if verdict != nil {
			return tried(r.op, verdict)
		}
		return nil
	}
}

// fault is the verdict of a call that was not made because the bridge asked for it wrongly.
func fault(op operation, err error) error {
	return tried(op, outcome.Retry(outcome.ClassInternal, false, err))
}

// tried adds to a verdict what was tried. A call without an effect is never in doubt.
func tried(op operation, err error) error {
	e := *outcome.Of(err)
	e.InDoubt = e.InDoubt && op.effect()
	if e.Err == nil {
		e.Err = errors.New(op.String())
		return &e
	}
	e.Err = fmt.Errorf("%s: %w", op, e.Err)
	return &e
}

// exchange sends one HTTP request and classifies its answer; status is 0 if there was none. It tells Observe.
func (c *Client) exchange(ctx context.Context, r request, u *url.URL, token string, a answer) (status int, verdict error) {
	start := time.Now()
	defer func() {
		if c.cfg.Observe == nil {
			return
		}
		call := Call{Operation: r.op.name, Method: r.op.method, Status: status, Duration: time.Since(start), Key: r.key}
		if verdict != nil {
			call.Class = outcome.Of(verdict).Class
		}
		c.cfg.Observe(call)
	}()

	stoppable, cancel := context.WithCancel(ctx)
	defer cancel()
	gate := newGate(ctx, cancel)
	req, sent, err := c.build(httptrace.WithClientTrace(stoppable, gate.trace()), r, u, token)
	if err != nil {
		return 0, err
	}
	res, err := c.transport.RoundTrip(req)
	if failure := sent.failure(); failure != nil && ctx.Err() == nil {
		// The request was never whole, so whatever the API made of it, it did not take the document. (Where the call's
		// time was over first, the content failed only for that.)
		if err == nil {
			_ = res.Body.Close()
		}
		return 0, failure
	}
	if err != nil {
		return 0, gate.verdict(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode, c.read(ctx, r, res, a)
}

// build makes the HTTP request. Its body is nil, or one that net/http cannot repeat.
func (c *Client) build(ctx context.Context, r request, u *url.URL, token string) (*http.Request, *body, error) {
	var b *body
	if r.body != nil {
		var err error
		if b, err = r.body(ctx); err != nil {
			return nil, nil, source(err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.op.method, u.String(), nil)
	if err != nil {
		return nil, nil, outcome.Retry(outcome.ClassInternal, false, outcome.Cause(err))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if r.op.effect() {
		req.Header.Set("X-Idempotency-Key", r.key.String())
	}
	if b != nil {
		req.Header.Set("Content-Type", b.contentType)
		req.Body, req.ContentLength = b.ReadCloser, b.length
	}
	return req, b, nil
}

// failure gives the verdict on a content that could not be read, nil if it could.
func (b *body) failure() error {
	if b == nil || b.failed == nil {
		return nil
	}
	if err := b.failed(); err != nil {
		return source(err)
	}
	return nil
}

// source gives the verdict on a content that could not be had: its own, if it has one. Nothing was uploaded.
func source(err error) error {
	var e *outcome.Error
	if errors.As(err, &e) {
		return e
	}
	return outcome.Retry(outcome.ClassInternal, false, outcome.Cause(err))
}

// read reads the answer, as far as it may be large, and classifies it.
func (c *Client) read(ctx context.Context, r request, res *http.Response, a answer) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, c.cfg.MaxAnswerBytes+1))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		// The status alone decides; what was read of the body can only say more.
		return classify(r.op, res.StatusCode, res.Header, b)
	}
	if err != nil {
		e := outcome.Retry(outcome.ClassNoAnswer, true, ended(ctx, err))
		e.Status = res.StatusCode
		return e
	}
	if int64(len(b)) > c.cfg.MaxAnswerBytes {
		return broken(r.op, res.StatusCode, errTooLarge)
	}
	want := ""
	if !r.op.effect() {
		want = r.ids[len(r.ids)-1]
	}
	if err := decode(b, a, want); err != nil {
		return broken(r.op, res.StatusCode, err)
	}
	return nil
}
