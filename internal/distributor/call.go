package distributor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"distributor-bridge/internal/outcome"
)

// request is one call as a method asks for it.
type request struct {
	op  operation
	ids ids
	key Key // of a call with an effect

	json     any       // the body, as JSON; nil: none
	document *Document // the body instead, in a form
}

// do makes the call and decodes its answer into a. Every error is an *outcome.Error.
func (c *Client) do(ctx context.Context, r request, a answer) error {
	if err := r.op.check(r.ids); err != nil {
		return fault(r.op, err)
	}
	if r.op.effect() && r.key.IsZero() {
		return fault(r.op, errNoKey)
	}
	began := time.Now()
	verdict, tried := c.call(ctx, r, a)
	if verdict != nil {
		verdict = about(r.op, verdict)
	}
	if tried && c.cfg.Ended != nil && ctx.Err() == nil {
		c.cfg.Ended(ctx, End{r.op.name, r.op.effect() && r.document == nil, began, verdict})
	}
	if verdict == nil {
		return nil
	}
	return verdict
}

// call makes the call. tried says whether how it ended tells something of the API, or of the way there.
//
// A 401 is the one case in which the request is sent twice: it says that the call was refused for its token before
// anything came of it, and a token may end early.
func (c *Client) call(ctx context.Context, r request, a answer) (verdict *outcome.Error, tried bool) {
	end := time.Now().Add(c.cfg.Timeouts.Call)
	if err := c.places.enter(ctx, end); err != nil {
		return outcome.Of(err), false
	}
	defer c.places.leave()
	for again := false; ; again = true {
		waited, err := c.before(ctx)
		if err != nil {
			return outcome.Of(err), false
		}
		end = end.Add(waited)
		token, err := c.tokens.get(ctx, end)
		if err != nil {
			return outcome.Of(err), !errors.Is(err, errClosed)
		}
		status, err := c.exchange(ctx, end, r, token, a)
		if status == http.StatusUnauthorized {
			c.tokens.drop(token)
			if !again {
				continue
			}
		}
		return outcome.Of(err), !errors.Is(err, errLate)
	}
}

// wait is how long a call waits for Config.Before at most. Then it gives its place to others, and is repeated.
const wait = 5 * time.Second

// before asks Config.Before, and gives how long that took: it is not the call's own time.
func (c *Client) before(ctx context.Context) (waited time.Duration, err error) {
	if c.cfg.Before == nil {
		return 0, nil
	}
	now := time.Now()
	late := now.Add(wait)
	if before, ok := ctx.Value(sendBeforeKey{}).(time.Time); ok && before.Before(late) {
		late = before
	}
	if err := c.cfg.Before(ctx, late); err != nil {
		return 0, err
	}
	return time.Since(now), nil
}

// places are those of the calls in flight. Each has a connection, be it a new one (wire relies on that there are no more), so that a
// call that Before has let go is not kept waiting for one, and sent when it may not be any more.
type places chan struct{}

// enter waits for a place until end.
func (p places) enter(ctx context.Context, end time.Time) error {
	select {
	case p <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case p <- struct{}{}:
		return nil
	case <-timer.C:
		return outcome.Retry(outcome.ClassNotSent, false, errBusy)
	case <-ctx.Done():
		return outcome.Retry(outcome.ClassNotSent, false, ctx.Err())
	}
}

func (p places) leave() { <-p }

var errBusy = errors.New("too many calls are in flight")

// fault is the verdict of a call that was not made because the bridge asked for it wrongly.
func fault(op operation, err error) error {
	return about(op, outcome.Retry(outcome.ClassInternal, false, err))
}

// about adds to a verdict what was tried. A call without an effect is never in doubt.
func about(op operation, verdict *outcome.Error) *outcome.Error {
	e := *verdict
	e.InDoubt = e.InDoubt && op.effect()
	if e.Err == nil {
		e.Err = errors.New(op.String())
		return &e
	}
	e.Err = fmt.Errorf("%s: %w", op, e.Err)
	return &e
}

// exchange sends one HTTP request, for which there is time until end, and classifies its answer; status is 0 if there was
// none. It tells Observe and Trace.
func (c *Client) exchange(ctx context.Context, end time.Time, r request, token *grant, a answer) (status int, verdict error) {
	start := time.Now()
	defer func() {
		if c.cfg.Observe == nil && c.cfg.Trace == nil {
			return
		}
		call := Call{Operation: r.op.name, Method: r.op.method, Path: r.op.path, Status: status, Duration: time.Since(start), Key: r.key}
		if verdict != nil {
			call.Class = outcome.Of(verdict).Class
		}
		if c.cfg.Observe != nil {
			c.cfg.Observe(call)
		}
		if c.cfg.Trace != nil {
			c.cfg.Trace(ctx, call)
		}
	}()

	limited := ctx
	if r.document != nil { // its source has to end with the call
		var cancel context.CancelFunc
		limited, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	m, err := c.build(limited, r, token)
	if err != nil {
		return 0, err
	}
	free, err := c.wire.conn(ctx, end)
	if err != nil {
		m.body.close()
		return 0, outcome.Retry(outcome.ClassNotSent, false, ended(ctx, end, err))
	}
	if err := cmp.Or(ctx.Err(), tooLate(ctx)); err != nil {
		m.body.close()
		c.wire.keep(free)
		return 0, outcome.Retry(outcome.ClassNotSent, false, err)
	}
	x := free.begin(ctx, m, end)
	defer x.finish()
	h, err := x.send()
	if failure := m.body.failure(); failure != nil && limited.Err() == nil {
		// The request was never whole, so whatever the API made of it, it did not take the document. (Where the call's
		// time was over first, the content failed only for that.)
		return 0, failure
	}
	switch {
	case err == nil:
		return h.status, c.read(ctx, x, r, h, a)
	case x.isSent():
		return 0, outcome.Retry(outcome.ClassNoAnswer, true, ended(ctx, end, err))
	}
	return 0, outcome.Retry(outcome.ClassNotSent, false, ended(ctx, end, err))
}

// ended gives the cause of a call without an answer: the end of its context or of its time, if that is what ended it.
func ended(ctx context.Context, end time.Time, err error) error {
	var u unfit
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !time.Now().Before(end):
		return context.DeadlineExceeded
	case errors.As(err, &u):
		return u
	}
	return outcome.Cause(err)
}

// message is a request as it is sent.
type message struct {
	request
	root, header string // what all requests' paths begin with, and the header that all have
	token        *grant
	body         body
}

// build makes the request.
func (c *Client) build(ctx context.Context, r request, token *grant) (m message, err error) {
	m = message{request: r, root: c.path, header: c.header, token: token}
	switch {
	case r.document != nil:
		m.body, err = multipartBody(ctx, r.key, r.document)
	case r.json != nil:
		m.body, err = jsonBody(r.json)
	}
	if err != nil {
		return m, source(err)
	}
	return m, nil
}

// appendHead appends the first line and the header. Nothing in them has to be escaped: paths are our own, with UUIDs; Validate has
// looked at host and user agent, and who fetched the token at that.
func (m *message) appendHead(to []byte) []byte {
	add := func(parts ...string) {
		for _, part := range parts {
			to = append(to, part...)
		}
	}
	add(m.op.method, " ", m.root)
	to = m.op.appendPath(to, m.ids)
	add(" HTTP/1.1\r\n", m.header, "Authorization: Bearer ", m.token.token)
	if m.op.effect() {
		add("\r\nX-Idempotency-Key: ")
		to = m.key.append(to)
	}
	switch {
	case m.body.ReadCloser != nil:
		add("\r\nContent-Type: ", m.body.contentType, "\r\nContent-Length: ")
		to = strconv.AppendInt(to, m.body.length, 10)
	case m.op.effect():
		add("\r\nContent-Length: 0")
	}
	add("\r\n\r\n")
	return to
}

// failure gives the verdict on a content that could not be read, nil if it could.
func (b *body) failure() error {
	if b.failed == nil {
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

// answers are buffers that answers are read into.
var answers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 2<<10)) }}

// keepBuffer gives a buffer back, unless a rare large answer has made it large.
func keepBuffer(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		b.Reset()
		answers.Put(b)
	}
}

// read reads the answer, as far as it may be large, and classifies it.
func (c *Client) read(ctx context.Context, x *exchange, r request, h head, a answer) error {
	buffer := answers.Get().(*bytes.Buffer)
	defer keepBuffer(buffer)
	err := x.read(h, buffer, c.cfg.MaxAnswerBytes)
	b := buffer.Bytes() // of which neither a verdict nor a decoded answer keeps anything
	if h.status < 200 || h.status > 299 {
		// The status alone decides; what was read of the body can only say more.
		return classify(r.op, h.status, h.header, b)
	}
	if err != nil {
		e := outcome.Retry(outcome.ClassNoAnswer, true, ended(ctx, x.end, err))
		e.Status = h.status
		return e
	}
	if int64(len(b)) > c.cfg.MaxAnswerBytes {
		return broken(r.op, h.status, errTooLarge)
	}
	want := ""
	if !r.op.effect() {
		want = cmp.Or(r.ids[1], r.ids[0])
	}
	if err := decode(b, a, want); err != nil {
		return broken(r.op, h.status, err)
	}
	return nil
}
