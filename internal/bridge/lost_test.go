package bridge_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// idempotencies are what the API may do with keys: its documentation leaves these open.
var idempotencies = map[string]sandbox.Idempotency{
	"errors not cached":            {},
	"errors cached":                {CacheErrors: true},
	"other body answered":          {AnswerMismatch: true},
	"errors cached, body answered": {CacheErrors: true, AnswerMismatch: true},
}

// The first answer to each key gets lost, in each step of the story, whether the call had its effect or not: the story comes to
// its end, and has each effect once.
func TestEveryAnswerIsLost(t *testing.T) {
	for name, mode := range idempotencies {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %v", name, applied), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newPipes(t, sandbox.Config{Idempotency: mode})
					l := &loser{applied: applied, seen: map[string]bool{}}
					w.intercept(l.handler)
					tellStory(t, w)
					audit(t, w)
					if steps := len(l.seen); steps != len(w.api.Ledger()) {
						t.Errorf("answers to %d keys were lost, of %d", steps, len(w.api.Ledger()))
					}
				})
			})
		}
	}
}

// loser loses the first answer to each key.
type loser struct {
	applied bool

	mu   sync.Mutex
	seen map[string]bool
}

func (l *loser) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("X-Idempotency-Key")
		l.mu.Lock()
		known := key == "" || l.seen[key]
		if !known {
			l.seen[key] = true
		}
		l.mu.Unlock()
		if known {
			next.ServeHTTP(rw, r)
			return
		}
		if l.applied {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	})
}

// rounds is for how many minutes others succeed, at each kind of call once a minute.
const rounds = 12

// effectsOfErrors are those of eleven customers, each of whom comes to another step, and of those who succeed.
var effectsOfErrors = map[string]int{
	"create_document": 21 + 6*rounds, "create_investor": 10 + 2*rounds, "create_identification": 9 + 2*rounds,
	"create_benefiting_persons": 1 + rounds, "create_managed_wallet": 7 + 2*rounds, "create_generic_wallet": 1 + rounds,
	"update_investor": 1 + rounds, "create_investment": 4 + rounds, "create_credit": 3 + rounds,
	"create_redemption": 1 + rounds, "create_transfer": 1 + rounds,
}

// all does every kind of call, for a person and a company who are new, and waits for it.
func (w *world) all(i int) {
	w.t.Helper()
	person, firm := fmt.Sprint("person-", i), fmt.Sprint("firm-", i)
	contact := schemas.Contact{Email: mark + "@example.org", EmailConfirmed: true}
	w.emit(
		event("verified-"+person, schemas.TypeCustomerVerified, emitted, verified(person)),
		event("verified-"+firm, schemas.TypeCustomerVerified, emitted, company(firm)),
		event("update-"+person, schemas.TypeCustomerUpdated, "2026-11-22T10:00:00Z", schemas.CustomerUpdated{CustomerID: person, Contact: &contact}),
		event("wallet-"+firm, schemas.TypeCustomerWalletAdded, emitted, schemas.CustomerWalletAdded{CustomerID: firm, Address: fmt.Sprintf("0x%040x", i+1)}),
		event("order-"+person, schemas.TypeOrderPaid, emitted, order(person, "o", 300)),
	)
	w.await("order-"+person+" credit.succeeded", "wallet-"+firm+" wallet.created", "update-"+person+" customer.updated")
	w.emit(
		event("redeem-"+person, schemas.TypePositionRedeemed, emitted, redeem(person, "r", 10)),
		event("transfer-"+person, schemas.TypePositionTransferred, emitted, schemas.PositionTransferred{
			CustomerID: person, TransferID: "t", Offering: "solar-2026", Units: 20, TargetAddress: targetAddress,
		}),
	)
	w.await("redeem-"+person+" redemption.succeeded", "transfer-"+person+" transfer.succeeded")
}

// Each kind of call has its effect and is answered with a 500, and the API keeps that error for the key: no repeat can ever learn
// of the effect. Each event ends unknown, nothing is done twice, and nobody else notices.
func TestEveryErrorIsCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{Idempotency: sandbox.Idempotency{CacheErrors: true}})
		calm(&w.cfg)
		w.cfg.Rules.PollInterval, w.cfg.Rules.FailingAfter = time.Second, 5*time.Minute
		m := w.start()
		register := func(customer string) {
			w.emit(event("person-"+customer, schemas.TypeCustomerVerified, emitted, verified(customer)))
			w.await("person-" + customer + " wallet.created")
		}
		invest := func(customer string) {
			register(customer)
			w.emit(event("order-"+customer, schemas.TypeOrderPaid, emitted, order(customer, "o", 300)))
			w.await("order-" + customer + " credit.succeeded")
		}
		contact := schemas.Contact{Email: mark + "@example.org", EmailConfirmed: true}
		var want []string
		for _, c := range []struct {
			operation string
			before    func(customer string)
			typ       string
			data      func(customer string) any
		}{
			{"create_document", nil, schemas.TypeCustomerVerified, func(c string) any { return verified(c) }},
			{"create_investor", nil, schemas.TypeCustomerVerified, func(c string) any { return verified(c) }},
			{"create_identification", nil, schemas.TypeCustomerVerified, func(c string) any { return verified(c) }},
			{"create_benefiting_persons", nil, schemas.TypeCustomerVerified, func(c string) any { return company(c) }},
			{"create_managed_wallet", nil, schemas.TypeCustomerVerified, func(c string) any { return verified(c) }},
			{"create_generic_wallet", register, schemas.TypeCustomerWalletAdded, func(c string) any {
				return schemas.CustomerWalletAdded{CustomerID: c, Address: addedAddress}
			}},
			{"update_investor", register, schemas.TypeCustomerUpdated, func(c string) any {
				return schemas.CustomerUpdated{CustomerID: c, Contact: &contact}
			}},
			{"create_investment", register, schemas.TypeOrderPaid, func(c string) any { return order(c, "o", 300) }},
			{"create_credit", register, schemas.TypeOrderPaid, func(c string) any { return order(c, "o", 300) }},
			{"create_redemption", invest, schemas.TypePositionRedeemed, func(c string) any { return redeem(c, "r", 10) }},
			{"create_transfer", invest, schemas.TypePositionTransferred, func(c string) any {
				return schemas.PositionTransferred{
					CustomerID: c, TransferID: "t", Offering: "solar-2026", Units: 20, TargetAddress: targetAddress,
				}
			}},
		} {
			if c.before != nil {
				c.before(c.operation)
			}
			w.api.Fault(sandbox.Fault{
				Operation: c.operation, Kind: sandbox.Status, Status: http.StatusInternalServerError, Applied: true, Nth: 1,
			})
			w.emit(event("bad-"+c.operation, c.typ, "2026-11-21T10:00:00Z", c.data(c.operation)))
			for w.posts(c.operation, http.StatusInternalServerError) == 0 {
				time.Sleep(time.Second)
			}
			want = append(want, "bad-"+c.operation+" event.unresolved")
		}
		for i := range rounds {
			begun := time.Now()
			w.all(i)
			time.Sleep(time.Until(begun.Add(time.Minute)))
		}
		w.await(want...)
		calls := len(w.api.Calls())
		time.Sleep(30 * time.Minute)
		if n := len(w.api.Calls()) - calls; n != 0 {
			t.Errorf("%d more calls, although all is unknown or done", n)
		}
		m.stop()
		for _, e := range w.results() {
			if e.Name != schemas.TypeEventUnresolved {
				continue
			}
			if data, err := schemas.Data[schemas.EventUnresolved](e); err != nil || data.Reason != schemas.ReasonFailing || data.GivenUp {
				t.Errorf("%s: %+v, %v", e.CausationID, data, err)
			}
		}
		if got := w.effects(); !maps.Equal(got, effectsOfErrors) {
			t.Errorf("effects: %v, want %v", got, effectsOfErrors)
		}
		wantLetters(t, w, nil, 0)
	})
}
