package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// keyHeader carries the idempotency key [G1][G2][D].
const keyHeader = "X-Idempotency-Key"

// call is a request to the API while it is being worked on.
type call struct {
	op            *operation
	vars          map[string]string // of the path
	method        string
	path          string // whole
	resource      string // path below the prefix
	key           string
	authorization string
	contentType   string
	body          []byte
	digest        string // of body
	tooLarge      bool
	early         bool // the client stopped in the midst of the body

	value any   // the JSON body; nil if there is none
	bad   error // why the body is no JSON, or ambiguous

	started time.Time
	now     time.Time // when its effect happens
	fault   *armed    // what strikes it, if anything

	applied  bool
	replayed bool
}

// answer is what goes over the wire.
type answer struct {
	status     int
	body       []byte
	media      string // content type
	retryAfter time.Duration
	allow      string
	end        ending
}

// ending is how an answer fails to arrive.
type ending int

const (
	whole ending = iota // it arrives
	cut                 // the connection is cut before its first byte
	torn                // … in the midst of its body
	hung                // nothing comes until the client gives up
)

func (r reply) answer() answer {
	return answer{status: r.status, body: mustJSON(r.body), media: "application/json"}
}

// page is an answer that does not come from the API but from what stands in front of it.
func page(status int) answer {
	title := http.StatusText(status)
	return answer{
		status: status,
		media:  "text/html",
		body:   fmt.Appendf(nil, "<html><head><title>%d %s</title></head><body>%s</body></html>\n", status, title, title),
	}
}

// begin reads the request; the call counts as in flight until finish.
func (s *Server) begin(r *http.Request, op *operation) *call {
	now := time.Now()
	c := &call{
		op:            op,
		method:        r.Method,
		path:          r.URL.Path,
		key:           r.Header.Get(keyHeader),
		authorization: r.Header.Get("Authorization"),
		contentType:   r.Header.Get("Content-Type"),
		started:       now,
		now:           now,
	}
	s.mu.Lock()
	s.ledger.enter(op.name)
	s.mu.Unlock()

	body, err := io.ReadAll(io.LimitReader(r.Body, s.config.MaxDocument+1))
	if int64(len(body)) > s.config.MaxDocument {
		body, c.tooLarge = nil, true
	}
	c.body = body
	sum := sha256.Sum256(body)
	c.digest = hex.EncodeToString(sum[:])
	c.early = err != nil
	if media, _, _ := mime.ParseMediaType(c.contentType); media == "application/json" && len(body) > 0 {
		c.value, c.bad = parse(body)
	}
	return c
}

// finish notes the call and writes the answer, in this order, so that who has the answer finds the call.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, c *call, a answer) {
	if a.end == hung {
		<-r.Context().Done()
	}
	status := a.status
	if a.end != whole {
		status = 0
	}
	s.mu.Lock()
	s.ledger.leave(Call{
		Time: c.started, Method: c.method, Path: c.path, Operation: c.op.name, Key: c.key, Digest: c.digest,
		Status: status, Applied: c.applied, Replayed: c.replayed, Fault: c.fault.id(), Took: time.Since(c.started),
	})
	s.mu.Unlock()
	a.write(w)
}

func (a answer) write(w http.ResponseWriter) {
	if a.end == cut || a.end == hung {
		panic(http.ErrAbortHandler) // the way to close a connection without an answer
	}
	h := w.Header()
	h.Set("Content-Type", a.media)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="api"`)
	}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.retryAfter.Seconds()))))
	}
	w.WriteHeader(a.status)
	if a.end == torn {
		_, _ = w.Write(a.body[:len(a.body)/2]) // who reads it, finds out
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body) // a client that has gone is no news
}

// serveNothing answers for a path that there is not.
func (s *Server) serveNothing(w http.ResponseWriter, r *http.Request) {
	c := s.begin(r, &operation{name: opNone})
	a := s.process(r, c, func(*call) reply { return notFound() })
	if a.status == http.StatusNotFound {
		a = page(a.status) // Django's, since no view of the API was reached
	}
	s.finish(w, r, c, a)
}

// serveResource answers for a path below one of the prefixes.
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request, resource string) {
	path, slash := strings.CutSuffix(resource, "/")
	op, vars, allowed := s.contract.route(r.Method, path)
	switch {
	case !slash && op != nil && r.Method == http.MethodGet:
		http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently) // Django's APPEND_SLASH
	case slash && op != nil:
		c := s.begin(r, op)
		c.vars, c.resource = vars, path
		s.finish(w, r, c, s.process(r, c, s.handlers[op.name]))
	case slash && len(allowed) > 0:
		c := s.begin(r, &operation{name: opNone})
		a := s.process(r, c, func(*call) reply {
			return detail(http.StatusMethodNotAllowed, "Method %q not allowed.", r.Method)
		})
		a.allow = strings.Join(allowed, ", ")
		s.finish(w, r, c, a)
	default:
		s.serveNothing(w, r)
	}
}

// process takes a call its whole way, up to the answer. Each stage may answer instead of the next.
func (s *Server) process(r *http.Request, c *call, handler func(*call) reply) answer {
	ctx := r.Context()
	if c.early {
		return answer{end: cut} // a gateway passes no half requests on
	}
	if c.tooLarge {
		return page(http.StatusRequestEntityTooLarge)
	}
	if a := s.front(ctx, c); a != nil {
		return *a
	}
	if c.op.scope != "" {
		if refusal := s.authorise(c); refusal != nil {
			return refusal.answer()
		}
	}
	if !c.op.keyed {
		a, _ := s.inside(ctx, c, handler)
		return a
	}
	if c.key == "" || len(c.key) > 255 {
		return detail(http.StatusBadRequest, "The header %s is missing or too long.", keyHeader).answer()
	}
	s.mu.Lock()
	instead, replayed := s.keys.claim(c, time.Now())
	s.mu.Unlock()
	if instead != nil {
		c.replayed = replayed
		if c.fault != nil && c.fault.Kind == Slow {
			pause(life(ctx), ctx.Done(), c.fault.Delay)
		}
		return c.fault.behind(*instead)
	}
	a, kept := s.inside(ctx, c, handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.settle(c.key, kept, time.Now())
	return a
}

// inside does what the call is for, between the faults before and after it. It gives the answer, and what is kept under
// the call's key: nil, if a repeat is to be a new call.
func (s *Server) inside(ctx context.Context, c *call, handler func(*call) reply) (a answer, kept *answer) {
	if c.fault != nil && !c.fault.Applied {
		if a := c.fault.instead(ctx, c.success()); a != nil {
			return *a, s.keep(c, a, nil)
		}
	}
	pause(life(ctx), nil, s.config.Latency)
	refusal := s.validate(c)
	var r reply
	if refusal != nil {
		r = *refusal
	} else {
		r = s.execute(c, handler)
	}
	truth := r.answer()
	if c.fault == nil || !c.fault.Applied {
		return truth, s.keep(c, nil, &truth)
	}
	if c.fault.Kind == Slow {
		pause(life(ctx), ctx.Done(), c.fault.Delay)
	}
	a = c.fault.behind(truth)
	return a, s.keep(c, &a, &truth)
}

// keep decides what is kept under the key, of the fault's answer and the true one (nil: there is none). An answer that
// the API itself gave, be it wrong, is the first answer. One that got lost or was replaced on its way is not: the true
// one is.
func (s *Server) keep(c *call, faulty, truth *answer) *answer {
	if faulty != nil && faulty.end == whole && (c.fault.Kind == Broken || c.fault.Kind == Status) {
		if s.config.Idempotency.keeps(faulty.status) {
			return faulty
		}
	}
	if truth != nil && s.config.Idempotency.keeps(truth.status) {
		return truth
	}
	return nil
}

func (s *Server) execute(c *call, handler func(*call) reply) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = time.Now()
	return handler(c)
}

// validate holds the body to the description and gives the refusal, or nil.
func (s *Server) validate(c *call) *reply {
	refuse := func(r reply) *reply { return &r }
	if c.op.multipart || !c.op.keyed {
		return nil // checked by hand
	}
	if c.op.body == nil {
		if len(c.body) > 0 && string(c.body) != "{}" {
			return refuse(detail(http.StatusBadRequest, "This call has no body."))
		}
		return nil
	}
	if len(c.body) == 0 && !c.op.required {
		return nil
	}
	if media, _, _ := mime.ParseMediaType(c.contentType); media != "application/json" {
		return refuse(detail(http.StatusUnsupportedMediaType, "Unsupported media type %q in request.", c.contentType))
	}
	var twice *duplicateError
	if errors.As(c.bad, &twice) {
		return refuse(detail(http.StatusBadRequest, "JSON parse error - the property %q is there twice.", twice.property))
	}
	if c.bad != nil || len(c.body) == 0 {
		return refuse(detail(http.StatusBadRequest, "JSON parse error - the body is not valid JSON."))
	}
	return s.contract.check(c.op, c.value)
}

// success is an answer that says nothing but that all went well.
func (c *call) success() answer {
	a := answer{status: http.StatusOK, body: []byte("{}"), media: "application/json"}
	if c.method == http.MethodPost && c.op.keyed {
		a.status = http.StatusCreated
	}
	return a
}

// fingerprint tells whether two calls are the same one.
func (c *call) fingerprint() string { return c.method + " " + c.resource + " " + c.digest }

// decode puts the validated body into v. What Go finds too strict, like 300.0 for an integer, is refused.
func (c *call) decode(v any) *reply {
	err := json.Unmarshal(c.body, v)
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		r := refused(mistyped.Field, "A valid value is required.")
		return &r
	}
	if err != nil {
		r := detail(http.StatusBadRequest, "JSON parse error - the body is not valid JSON.")
		return &r
	}
	return nil
}

// pause waits for d, or until one of the channels is closed; nil channels never are.
func pause(end, gone <-chan struct{}, d time.Duration) (full bool) {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-end:
	case <-gone:
	}
	return false
}
