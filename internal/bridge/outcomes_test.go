package bridge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// answer is what an investment's POST gets instead of the API's answer; nil is the API's.
type answer func(rw http.ResponseWriter, r *http.Request, next http.Handler)

func status(code int, headers ...string) answer {
	return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i < len(headers); i += 2 {
			rw.Header().Set(headers[i], headers[i+1])
		}
		rw.WriteHeader(code)
		_, _ = io.WriteString(rw, `{"units":["`+mark+` too many"]}`)
	}
}

// reset cuts the connection, after the effect or before.
func reset(applied bool) answer {
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		if applied {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	}
}

// slow has its effect, and answers too late.
func slow(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	<-r.Context().Done()
}

// broken has its effect, and an answer without what was promised.
func broken(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	rw.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(rw, `{}`)
}

// times repeats an answer.
func times(n int, a answer) []answer { return slices.Repeat([]answer{a}, n) }

// TestOutcomes is the table of design section 5 through the front door: what the POST of an investment is answered, and what
// comes of its event. Rows that need more than that POST are below, and in TestDownForLong (too old), TestOneFailsForEver (failing)
// and consumer's TestPanics.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const done, rejected, unresolved = "order credit.succeeded", "order event.rejected", "order event.unresolved"
	retried := func(n int) string { return fmt.Sprintf("%d calls", n) }
	for _, row := range []struct {
		name    string
		answers []answer
		result  string        // that is published in the end
		calls   string        // "", if any number is right
		least   time.Duration // from the first call to the last
		most    time.Duration
		effects int
		letter  string // reason and fields
		reason  string // in the result
	}{
		{"done", nil, done, retried(1), 0, 0, 1, "", ""},
		{"reset before", times(1, reset(false)), done, "", 0, time.Minute, 1, "", ""},
		{"reset after", times(1, reset(true)), done, "", 0, time.Minute, 1, "", ""},
		{"timeout", times(1, slow), done, retried(2), 15 * time.Second, time.Minute, 1, "", ""},
		{"500", times(3, status(500)), done, retried(4), 0, time.Minute, 1, "", ""},
		{"502", times(3, status(502)), done, retried(4), 0, time.Minute, 1, "", ""},
		{"503", times(3, status(503)), done, retried(4), 0, time.Minute, 1, "", ""},
		{"504", times(3, status(504)), done, retried(4), 0, time.Minute, 1, "", ""},
		{"409, the key is in flight", times(3, status(409)), done, retried(4), 0, time.Minute, 1, "", ""},
		{"429", times(1, status(429, "Retry-After", "7")), done, retried(2), 7 * time.Second, time.Minute, 1, "", ""},
		{"503 with Retry-After", times(1, status(503, "Retry-After", "70")), done, retried(2), 70 * time.Second, 4 * time.Minute, 1, "", ""},
		{"401 once", times(1, status(401)), done, retried(2), 0, 0, 1, "", ""},
		{"401 for long", times(8, status(401)), done, retried(9), 0, 5 * time.Minute, 1, "", ""},
		{"403", times(4, status(403)), done, retried(5), 0, 5 * time.Minute, 1, "", ""},
		{"404 on a collection", times(4, status(404)), done, retried(5), 0, 5 * time.Minute, 1, "", ""},
		{"405 on a collection", times(4, status(405)), done, retried(5), 0, 5 * time.Minute, 1, "", ""},
		{"400", times(1, status(400)), rejected, retried(1), 0, 0, 0, "refused units", "refused"},
		{"410", times(1, status(410)), rejected, retried(1), 0, 0, 0, "refused", "refused"},
		{"400 after a lost answer", append(times(1, status(500)), times(1000, status(400))...), rejected, "",
			time.Minute - time.Millisecond /* times are kept by the millisecond */, 3 * time.Minute, 0, "refused units", "refused"},
		{"400 after a lost answer, the call lands late", append(times(1, status(500)), status(400), nil), done, "", 0,
			2 * time.Minute, 1, "", ""},
		{"422, the key was used", times(1, status(422)), unresolved, retried(1), 0, 0, 0, "", "key_reused"},
		{"201 without an ID", times(1, broken), unresolved, retried(1), 0, 0, 1, "", "contract_broken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{})
				s := &script{answers: row.answers}
				w.intercept(s.handler)
				m := w.start()
				w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
				w.await("person wallet.created")
				w.emit(event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
				w.await(row.result)
				time.Sleep(75 * time.Second) // nothing more comes
				m.stop()
				s.check(t, row.calls, row.least, row.most)
				if n := w.effects()["create_investment"]; n != row.effects {
					t.Errorf("%d investments, want %d", n, row.effects)
				}
				if row.letter == "" {
					wantLetters(t, w, nil, 0)
				} else {
					wantLetters(t, w, map[string]string{"order": row.letter}, 1)
				}
				for _, e := range w.results() {
					kind := e.CausationID + " " + e.Name
					if (kind == rejected || kind == unresolved) && (kind != row.result || !strings.Contains(string(e.Data), `"reason":"`+row.reason+`"`)) {
						t.Errorf("told %s %s", kind, e.Data)
					}
				}
			})
		})
	}
}

// script answers the POSTs of investments, one after another.
type script struct {
	mu      sync.Mutex
	answers []answer
	at      []time.Time
	keys    map[string]bool
	bodies  map[string]bool
}

func (s *script) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/investments/") {
			next.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.mu.Lock()
		if s.keys == nil {
			s.keys, s.bodies = map[string]bool{}, map[string]bool{}
		}
		s.at = append(s.at, time.Now())
		s.keys[r.Header.Get("X-Idempotency-Key")], s.bodies[string(body)] = true, true
		var a answer
		if len(s.answers) > 0 {
			a, s.answers = s.answers[0], s.answers[1:]
		}
		s.mu.Unlock()
		if a == nil {
			next.ServeHTTP(rw, r)
			return
		}
		a(rw, r, next)
	})
}

func (s *script) check(t *testing.T, calls string, least, most time.Duration) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := fmt.Sprintf("%d calls", len(s.at)); calls != "" && n != calls {
		t.Errorf("%s, want %s", n, calls)
	}
	if len(s.keys) != 1 || len(s.bodies) != 1 {
		t.Errorf("%d keys and %d bodies in %d calls of one step", len(s.keys), len(s.bodies), len(s.at))
	}
	if took := s.at[len(s.at)-1].Sub(s.at[0]); took < least || took > most {
		t.Errorf("%s from the first call to the last, want %s to %s", took, least, most)
	}
}

// TestTaskOutcomes is the table's rows on tasks.
func TestTaskOutcomes(t *testing.T) {
	t.Parallel()
	for verdict, result := range map[string]string{
		sandbox.TaskSucceeded: "redeem redemption.succeeded", sandbox.TaskFailed: "redeem redemption.failed",
		sandbox.TaskUnknown: "redeem event.unresolved",
	} {
		t.Run(verdict, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{Tasks: map[string]sandbox.TaskRule{"create_redemption": {Verdict: verdict}}})
				m := w.start()
				w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
				w.await("person wallet.created")
				w.emit(event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
				w.await("order credit.succeeded")
				w.emit(event("redeem", schemas.TypePositionRedeemed, emitted, redeem("p1", "r1", 10)))
				w.await("redeem redemption.started", result)
				w.emit(event("next", schemas.TypePositionRedeemed, emitted, redeem("p1", "r2", 10)))
				if verdict == sandbox.TaskUnknown {
					w.await("next event.waiting") // it has not been said to have ended
				} else {
					w.await("next redemption.started")
				}
				m.stop()
				wantLetters(t, w, nil, 0)
				if n := w.posts("create_redemption", http.StatusCreated); n != 1 && verdict == sandbox.TaskUnknown {
					t.Errorf("%d redemptions were asked for, want 1", n)
				}
			})
		})
	}
}

// TestWaitOutcomes is the table's row on waiting: told once, done when it is there, dead as expired when it does not come.
func TestWaitOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{KYC: sandbox.KYC{Delay: 2 * time.Minute}})
		w.cfg.Rules.MaxWait = 5 * time.Minute
		m := w.start()
		w.emit(
			event("no-investor", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)),
			event("no-investment", schemas.TypeOrderCreditReleased, emitted, schemas.OrderCreditReleased{CustomerID: "p1", OrderID: "o1"}),
			event("nobody", schemas.TypeOrderPaid, emitted, order("p2", "o1", 300)),
		)
		w.await("no-investor event.waiting", "no-investment event.waiting", "nobody event.waiting")
		w.emit(
			event("person", schemas.TypeCustomerVerified, emitted, verified("p1")),
			event("no-kyc", schemas.TypeCustomerWalletAdded, emitted, schemas.CustomerWalletAdded{CustomerID: "p1", Address: addedAddress}),
		)
		w.await("no-kyc event.waiting", "no-kyc wallet.created", "no-investor credit.succeeded", "nobody event.rejected")
		m.stop()
		wantLetters(t, w, map[string]string{"nobody": "expired "}, 1)
		reasons := map[string][]string{}
		for _, e := range w.results() {
			if data, err := schemas.Data[schemas.EventWaiting](e); err == nil && e.Name == schemas.TypeEventWaiting {
				reasons[e.CausationID] = append(reasons[e.CausationID], string(data.Reason))
			}
		}
		want := map[string][]string{
			"no-investor": {"investor_missing", "wallet_missing"}, "no-investment": {"investment_missing"}, "nobody": {"investor_missing"},
			"no-kyc": {"kyc_pending"},
		}
		if fmt.Sprint(reasons) != fmt.Sprint(want) {
			t.Errorf("waiting was told for %v, want %v", reasons, want)
		}
	})
}
