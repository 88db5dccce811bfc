package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Kind is what goes wrong.
type Kind string

// The kinds of fault. Each is either not applied (the call has no effect) or applied (it has, and the answer is lost or
// wrong), by Fault.Applied; outage, rate and late are what they are.
//
// What a repeat under the same key gets: after an answer that got lost or was replaced on its way, the true one, if the
// call was applied, else it is a new call. After an answer that the API itself gave (Broken; Status where the mode keeps
// such errors), that answer again.
//
// Go's own transport repeats a Cut call by itself if it was sent on a reused connection, since it knows the header
// X-Idempotency-Key; Torn it does not.
const (
	Status    Kind = "status"    // answered with Fault.Status; 502 to 504 as a gateway's page, the rest as JSON
	Cut       Kind = "cut"       // connection closed before the first byte
	Torn      Kind = "torn"      // connection closed in the midst of the answer
	Hang      Kind = "hang"      // no answer until the client gives up
	Slow      Kind = "slow"      // Fault.Delay, then the answer; not applied: only to a client that waits for it
	Malformed Kind = "malformed" // a 2xx that is no JSON
	Broken    Kind = "broken"    // a 2xx that breaks the contract: id, person_id and status are missing
	Late      Kind = "late"      // Fault.Delay under way, then the effect, even if the client has gone
	Rate      Kind = "rate"      // 429 for calls above Fault.PerSecond
	Outage    Kind = "outage"    // a gateway answers 503, or Fault.Status
)

// Resources is, as the operation of a fault, every call but that for a token.
const Resources = "resources"

// Fault is something that goes wrong on demand. The zero values of its conditions mean every call, for ever.
type Fault struct {
	Operation string // by name, as create_investor or token; Resources; "" is every call
	Kind      Kind

	Status     int           // of Status and Outage
	RetryAfter time.Duration // sent along, in whole seconds; 0: not
	Delay      time.Duration // of Slow and Late
	PerSecond  float64       // of Rate
	Burst      int           // of Rate; default 1
	Applied    bool          // the effect happens all the same

	Nth   int            // strikes first at the nth call that fits, from 1
	Count int            // strikes so often; 0: once if Nth is set, else for ever
	Share float64        // strikes by chance, 0 < Share < 1
	Match map[string]any // fields of the body, as natural_person.surname or units, or of the path, as investor_id
}

// Validate says what is wrong with f.
func (f Fault) Validate() error {
	var errs []error
	kinds := []Kind{Status, Cut, Torn, Hang, Slow, Malformed, Broken, Late, Rate, Outage}
	if !slices.Contains(kinds, f.Kind) {
		errs = append(errs, fmt.Errorf("fault: kind %q does not exist", f.Kind))
	}
	if f.Operation != "" && f.Operation != Resources && !slices.Contains(operationNames, f.Operation) {
		errs = append(errs, fmt.Errorf("fault: operation %q does not exist", f.Operation))
	}
	if f.Kind == Status && (f.Status < 200 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("fault: status %d", f.Status))
	}
	if (f.Kind == Slow || f.Kind == Late) && f.Delay <= 0 {
		errs = append(errs, fmt.Errorf("fault: %s needs a delay", f.Kind))
	}
	if f.Kind == Rate && f.PerSecond <= 0 {
		errs = append(errs, errors.New("fault: rate needs calls per second"))
	}
	if f.Nth < 0 || f.Count < 0 || f.Burst < 0 || f.Share < 0 || f.Share >= 1 {
		errs = append(errs, errors.New("fault: nth, count, burst and share cannot be negative, share is under 1"))
	}
	return errors.Join(errs...)
}

// faults are the faults that are set, in the order in which they were.
type faults struct {
	armed  []*armed
	random *rand.Rand
}

// armed is a fault that is set.
type armed struct {
	Fault
	name    string
	seen    int // calls that fitted
	struck  int
	limiter *rate.Limiter
}

func (f *armed) id() string {
	if f == nil {
		return ""
	}
	return f.name
}

// Fault sets a fault and gives its ID. Of several that fit a call, the one set first strikes. A fault that is not valid
// is a mistake in the test: it panics.
func (s *Server) Fault(f Fault) string {
	if err := f.Validate(); err != nil {
		panic(err)
	}
	a := &armed{Fault: f, name: newID()}
	if f.Nth > 0 && f.Count == 0 {
		a.Count = 1
	}
	if f.Kind == Rate {
		a.limiter = rate.NewLimiter(rate.Limit(f.PerSecond), max(f.Burst, 1))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.armed = append(s.faults.armed, a)
	return a.name
}

// Unfault removes a fault, and says whether there was one.
func (s *Server) Unfault(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.faults.armed)
	s.faults.armed = slices.DeleteFunc(s.faults.armed, func(a *armed) bool { return a.name == id })
	return len(s.faults.armed) < before
}

// Clear removes every fault.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.armed = nil
}

func (f *armed) concerns(operation string) bool {
	switch f.Operation {
	case "":
		return true
	case Resources:
		return operation != opToken
	}
	return f.Operation == operation
}

// strike gives the fault that strikes this call, or nil.
func (f *faults) strike(c *call, now time.Time) *armed {
	for _, a := range f.armed {
		if !a.concerns(c.op.name) || !c.matches(a.Match) {
			continue
		}
		a.seen++
		switch {
		case a.Nth > 0 && a.seen < a.Nth,
			a.Count > 0 && a.struck >= a.Count,
			a.Share > 0 && f.random.Float64() >= a.Share,
			a.limiter != nil && a.limiter.AllowN(now, 1):
			continue
		}
		a.struck++
		return a
	}
	return nil
}

// matches says whether the call's body or path has these values.
func (c *call) matches(want map[string]any) bool {
	for name, value := range want {
		if v, ok := c.vars[name]; ok {
			if v != value {
				return false
			}
			continue
		}
		at := c.value
		for _, part := range strings.Split(name, ".") {
			fields, _ := at.(map[string]any)
			at = fields[part]
		}
		if !reflect.DeepEqual(at, plain(value)) {
			return false
		}
	}
	return true
}

// plain is v as JSON would have it, so that 300 equals 300.0.
func plain(v any) any {
	var p any
	if json.Unmarshal(mustJSON(v), &p) != nil {
		return nil
	}
	return p
}

// front is the first stage: what happens to a call before the API sees it. It chooses the call's fault.
func (s *Server) front(ctx context.Context, c *call) *answer {
	now := time.Now()
	s.mu.Lock()
	c.fault = s.faults.strike(c, now)
	s.mu.Unlock()
	if c.fault == nil {
		return s.throttle(now)
	}
	f := c.fault
	switch {
	case f.Kind == Outage:
		a := page(orDefault(f.Status, http.StatusServiceUnavailable))
		a.retryAfter = f.RetryAfter
		return &a
	case f.Kind == Rate:
		a := throttled(time.Duration(float64(time.Second) / f.PerSecond))
		return &a
	case f.Kind == Late:
		pause(life(ctx), nil, f.Delay)
		return s.throttle(time.Now())
	case f.Kind == Cut && !f.Applied:
		return &answer{end: cut}
	case f.Kind == Status && !f.Applied && infront(f.Status):
		a := f.refusal()
		return &a
	}
	return s.throttle(now)
}

// infront says whether a status comes from before the call itself: it needs no token, no key, and is never cached.
func infront(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (s *Server) throttle(now time.Time) *answer {
	if s.limiter == nil || s.limiter.AllowN(now, 1) {
		return nil
	}
	a := throttled(time.Duration(float64(time.Second) / s.config.Rate))
	return &a
}

func throttled(wait time.Duration) answer {
	a := detail(http.StatusTooManyRequests, "Request was throttled.").answer()
	a.retryAfter = wait
	return a
}

// refusal is the answer of a Status fault.
func (f *armed) refusal() answer {
	a := detail(f.Status, "%s (sandbox fault).", http.StatusText(f.Status)).answer()
	if f.Status >= http.StatusBadGateway && f.Status <= http.StatusGatewayTimeout {
		a = page(f.Status)
	}
	a.retryAfter = f.RetryAfter
	return a
}

// instead is the answer of a fault that is not applied; nil lets the call through.
func (f *armed) instead(ctx context.Context, success answer) *answer {
	switch f.Kind {
	case Slow:
		if pause(life(ctx), ctx.Done(), f.Delay) {
			return nil
		}
		return &answer{end: cut}
	case Late:
		return nil // it was late in front
	case Torn:
		success.body = []byte(`{"id": "`)
	}
	a := f.behind(success)
	return &a
}

// behind is what becomes of the true answer of a call that this fault strikes afterwards. A nil f leaves it as it is.
func (f *armed) behind(truth answer) answer {
	if f == nil {
		return truth
	}
	switch f.Kind {
	case Status:
		return f.refusal()
	case Cut:
		truth.end = cut
	case Torn:
		truth.end = torn
	case Hang:
		truth.end = hung
	case Malformed:
		truth.body = []byte("<!doctype html><p>Thank you")
	case Broken:
		truth.body = withoutIDs(truth.body)
	}
	return truth
}

// withoutIDs drops from an object, or the objects of a list, what the contract says is there.
func withoutIDs(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	items, isList := v.([]any)
	if !isList {
		items = []any{v}
	}
	for _, item := range items {
		if fields, ok := item.(object); ok {
			for _, name := range []string{"id", "person_id", "status", "access_token"} {
				delete(fields, name)
			}
		}
	}
	return mustJSON(v)
}
