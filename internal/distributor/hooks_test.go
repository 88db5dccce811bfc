package distributor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// hooks are what is fitted to a client, and what they were told.
type hooks struct {
	before func(ctx context.Context, late time.Time) error

	mu    sync.Mutex
	asked []time.Time // late, of each question
	ended []distributor.End
}

func (h *hooks) use(cfg *distributor.Config) {
	cfg.Before = func(ctx context.Context, late time.Time) error {
		h.mu.Lock()
		h.asked = append(h.asked, late)
		h.mu.Unlock()
		if h.before == nil {
			return nil
		}
		return h.before(ctx, late)
	}
	cfg.Ended = func(_ context.Context, end distributor.End) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = append(h.ended, end)
	}
}

// questions gives what Before was asked.
func (h *hooks) questions() []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asked)
}

// told gives the classes of what Ended was told; "" is a success.
func (h *hooks) told() []outcome.Class {
	h.mu.Lock()
	defer h.mu.Unlock()
	var classes []outcome.Class
	for _, e := range h.ended {
		if e.Verdict == nil {
			classes = append(classes, "")
			continue
		}
		classes = append(classes, e.Verdict.Class)
	}
	return classes
}

// Ended is told once how each call ended that says something of the API.
func TestEnded(t *testing.T) {
	t.Parallel()
	investor := func(ctx context.Context, c *distributor.Client) error {
		_, err := c.Investor(ctx, someID)
		return err
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		token  http.HandlerFunc
		call   func(ctx context.Context, c *distributor.Client) error
		want   []outcome.Class
		asked  int // Before
	}{
		"success":    {call: investor, want: []outcome.Class{""}, asked: 1},
		"down":       {answer: says(503, ""), call: investor, want: []outcome.Class{outcome.ClassServer}, asked: 1},
		"401 twice":  {answer: says(401, ""), call: investor, want: []outcome.Class{outcome.ClassUnauthorized}, asked: 2},
		"no token":   {token: says(502, ""), call: investor, want: []outcome.Class{outcome.ClassNotSent}, asked: 1},
		"our own ID": {call: func(ctx context.Context, c *distributor.Client) error { _, err := c.Investor(ctx, "x"); return err }},
		"probe":      {answer: says(503, ""), call: func(ctx context.Context, c *distributor.Client) error { return c.Probe(ctx) }},
		"too late": {call: func(ctx context.Context, c *distributor.Client) error {
			return investor(distributor.SendBefore(ctx, time.Now()), c)
		}, asked: 1},
		"closed": {call: func(ctx context.Context, c *distributor.Client) error { c.Close(); return investor(ctx, c) }, asked: 1},
		"caller's end": {call: func(ctx context.Context, c *distributor.Client) error {
			ctx, end := context.WithCancel(ctx)
			end()
			return investor(ctx, c)
		}, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, test.answer)
			if test.answer == nil {
				a.answer = says(200, fmt.Sprintf(`{"id":%q,"kyc_status":"SUCCESS"}`, someID))
			}
			if test.token != nil {
				a.token = test.token
			}
			var h hooks
			err := test.call(t.Context(), a.client(h.use))
			if (err == nil) != (name == "success") {
				t.Errorf("ended with %v", err)
			}
			if told := h.told(); !slices.Equal(told, test.want) {
				t.Errorf("told %q, want %q", told, test.want)
			}
			if len(h.questions()) != test.asked {
				t.Errorf("asked %d times, want %d", len(h.questions()), test.asked)
			}
		})
	}
}

// Ended is told which operation it was, since when, and whether it has an effect that counts for others.
func TestEndedSaysWhich(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.answer = says(201, fmt.Sprintf(`{"id":%q,"kyc_status":"SUCCESS"}`, someID))
	var h hooks
	c := a.client(h.use)
	began := time.Now()
	_, _ = c.Investor(t.Context(), someID)
	_, _ = c.CreateInvestment(t.Context(), newKey(), distributor.Investment{})
	_, _ = c.UploadDocument(t.Context(), newKey(), document("%PDF", func(r io.Reader) io.Reader { return r }))
	var got []string
	for _, e := range h.ended {
		got = append(got, fmt.Sprint(e.Operation, " ", e.Effect))
		if e.Began.Before(began) || e.Began.After(time.Now()) || e.Verdict != nil {
			t.Errorf("%s began at %v, and ended with %v", e.Operation, e.Began, e.Verdict)
		}
	}
	if want := []string{"get_investor false", "create_investment true", "upload_document false"}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// What Before refuses is not sent, and its verdict is the call's.
func TestBeforeRefuses(t *testing.T) {
	t.Parallel()
	a := newAPI(t, says(500, ""))
	h := hooks{before: func(context.Context, time.Time) error { return outcome.Retry(outcome.ClassThrottled, false, nil) }}
	e := wantVerdict(t, collection.make(t, a.client(h.use)), outcome.Retrying, outcome.ClassThrottled, false)
	if n := len(a.seen()); n != 0 || len(h.told()) > 0 {
		t.Errorf("%d calls were sent, %q told; %v", n, h.told(), e)
	}
}

// The time that Before takes is not the call's, and it is told how long that may be.
func TestBeforeWaits(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			_, _ = fmt.Fprintf(w, `{"id":%q,"kyc_status":"SUCCESS"}`, someID)
		}
		h := hooks{before: func(context.Context, time.Time) error { time.Sleep(4 * time.Second); return nil }}
		c := a.client(network.use, h.use, func(cfg *distributor.Config) { cfg.Timeouts.Call = 3 * time.Second })
		now := time.Now()
		if _, err := c.Investor(t.Context(), someID); err != nil {
			t.Error(err)
		}
		soon := now.Add(4*time.Second + 500*time.Millisecond)
		if _, err := c.Investor(distributor.SendBefore(t.Context(), soon), someID); err == nil {
			t.Error("a call was sent too late")
		}
		if asked := h.questions(); len(asked) != 2 || asked[0].Sub(now) != 5*time.Second || !asked[1].Equal(soon) {
			t.Errorf("it may take until %v, called at %v", asked, now)
		}
	})
}

// A call that Before has let go is sent at once: it does not wait for a connection that others have.
func TestBeforeIsTheLast(t *testing.T) {
	virtual(t, func(t *testing.T, a *api, network *pipes) {
		var inFlight, most atomic.Int64
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			if n := inFlight.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			inFlight.Add(-1)
			_, _ = fmt.Fprintf(w, `{"id":%q,"kyc_status":"SUCCESS"}`, someID)
		}
		var h hooks
		c := a.client(network.use, h.use, func(cfg *distributor.Config) { cfg.MaxInFlight = 2 })
		var calls sync.WaitGroup
		for range 6 {
			calls.Go(func() {
				if _, err := c.Investor(t.Context(), someID); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if len(h.questions()) != 2 {
			t.Errorf("%d were let go while two are in flight", len(h.questions()))
		}
		calls.Wait()
		if most.Load() != 2 || len(h.questions()) != 6 {
			t.Errorf("%d at once, %d asked", most.Load(), len(h.questions()))
		}
	})
}

// An answer in the API's own words is life; anything else is not.
func TestProbe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		class  outcome.Class
	}{
		"no such investor": {says(404, `{"detail":"Not found."}`), ""},
		"a page":           {says(404, "<p>Not found"), outcome.ClassEndpoint},
		"down":             {says(503, ""), outcome.ClassServer},
		"not allowed":      {says(403, ""), outcome.ClassUnauthorized},
		"too many":         {says(429, ""), outcome.ClassThrottled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, test.answer)
			err := a.client().Probe(t.Context())
			if class := classOf(err); class != test.class {
				t.Errorf("%v, want class %q", err, test.class)
			}
			calls := a.seen()
			if len(calls) != 1 || calls[0].method != http.MethodGet || calls[0].key != "" {
				t.Errorf("calls: %+v", calls)
			}
		})
	}
	// A 401 is not repeated, but the next probe has another token.
	a := newAPI(t, says(404, `{"detail":"Not found."}`))
	c := a.client()
	a.answer = says(401, "")
	if err := c.Probe(t.Context()); classOf(err) != outcome.ClassUnauthorized {
		t.Errorf("a 401: %v", err)
	}
	a.mu.Lock()
	a.answer = says(404, `{"detail":"Not found."}`)
	a.mu.Unlock()
	if err := c.Probe(t.Context()); err != nil {
		t.Errorf("with another token: %v", err)
	}
	calls := a.seen()
	if len(calls) != 2 || calls[0].authorization == calls[1].authorization {
		t.Errorf("%d probes; the second with the token of the first", len(calls))
	}
}

func classOf(err error) outcome.Class {
	var e *outcome.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Class
}
