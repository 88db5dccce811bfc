package bridge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// failingUnits marks the order that gets a 500 for ever.
const failingUnits = 13

// One event among some hundred gets a 500 for ever, be the error the key's for good (cached) or not: it alone is held, later
// events of its subject stay behind it, all others flow. 30 minutes later it is unknown, and not called again. max_wait after
// that it is given up, and what was behind it goes on.
func TestOneFailsForEver(t *testing.T) {
	t.Parallel()
	for _, cached := range []bool{false, true} {
		t.Run(fmt.Sprintf("cached %v", cached), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newPipes(t, sandbox.Config{Idempotency: sandbox.Idempotency{CacheErrors: cached}})
				w.cfg.Rules.MaxWait = time.Hour
				fault := w.api.Fault(sandbox.Fault{
					Operation: "create_investment", Kind: sandbox.Status, Status: http.StatusInternalServerError,
					Match: map[string]any{"units": failingUnits},
				})
				calm(&w.cfg)
				w.cfg.Rules.PollInterval = time.Second
				m := w.start()
				var people []string
				for i := range 5 {
					people = append(people, fmt.Sprintf("p%d", i))
					w.emit(event("person-"+people[i], schemas.TypeCustomerVerified, emitted, verified(people[i])))
				}
				for _, p := range people {
					w.await("person-" + p + " wallet.created")
				}
				began := time.Now()
				bare := order("p0", "bad", failingUnits)
				bare.SignedDocuments = bare.SignedDocuments[:1]
				w.emit(event("bad", schemas.TypeOrderPaid, emitted, bare))
				w.emit(event("behind", schemas.TypeOrderCreditReleased, emitted,
					schemas.OrderCreditReleased{CustomerID: "p0", OrderID: "bad"}))
				var want []string
				flow := func(n int) { // events of all customers, n minutes
					for range n {
						for _, p := range people {
							id := fmt.Sprintf("%s-%d", p, len(want))
							paid := order(p, id, 1)
							paid.SignedDocuments = paid.SignedDocuments[:1]
							w.emit(event("order-"+id, schemas.TypeOrderPaid, emitted, paid))
							want = append(want, "order-"+id+" credit.succeeded")
						}
						time.Sleep(time.Minute)
					}
				}
				flow(20)
				w.await(want...)
				if w.told("bad event.unresolved") || w.told("behind") {
					t.Fatal("it is unknown too soon, or what is behind it went on")
				}
				m.stop() // how long it has failed is not forgotten
				m = w.start()
				flow(15)
				w.await(append(want, "bad event.unresolved")...)
				if took := time.Since(began); took > 40*time.Minute {
					t.Errorf("unknown after %s", took)
				}
				calls := w.posts("create_investment", http.StatusInternalServerError)
				if calls < 25 {
					t.Errorf("only %d tries in half an hour", calls)
				}
				w.api.Unfault(fault)
				flow(5)
				if n := w.posts("create_investment", http.StatusInternalServerError); n != calls || w.told("behind") {
					t.Errorf("unknown, it was called %d times, or what is behind it went on", n-calls)
				}
				wantLetters(t, w, nil, 0)
				time.Sleep(time.Hour)
				wantLetters(t, w, map[string]string{"bad": "unresolved"}, 1)
				told(t, w, map[string]int{"bad": 2})
				m.stop()
				if n := w.effects()["create_investment"]; n != len(want) {
					t.Errorf("%d investments, want %d", n, len(want))
				}
			})
		})
	}
}

// While nobody is answered the clock of one that fails stands: an outage of an hour leaves nothing unknown.
func TestOutageIsNobodysFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		calm(&w.cfg)
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		for _, p := range []string{"p0", "p1"} {
			w.emit(event("person-"+p, schemas.TypeCustomerVerified, emitted, verified(p)))
			w.await("person-" + p + " wallet.created")
		}
		down := w.api.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Status, Status: http.StatusInternalServerError})
		w.emit(
			event("order-p0", schemas.TypeOrderPaid, emitted, order("p0", "o0", 5)),
			event("order-p1", schemas.TypeOrderPaid, emitted, order("p1", "o1", 5)),
		)
		time.Sleep(time.Hour)
		w.api.Unfault(down)
		w.await("order-p0 credit.succeeded", "order-p1 credit.succeeded")
		m.stop()
		told(t, w, map[string]int{})
		wantLetters(t, w, nil, 0)
	})
}

// Only one endpoint is down, for two hours: all that needs it fails, while other calls, of other customers too, succeed: looks,
// documents, new investors. Nobody's event is to blame, however long it takes.
func TestOutageOfOneEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{CallLog: 100_000})
		calm(&w.cfg)
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		var people, want []string
		for i := range 5 {
			people = append(people, fmt.Sprintf("p%d", i))
			w.emit(event("person-"+people[i], schemas.TypeCustomerVerified, emitted, verified(people[i])))
		}
		for _, p := range people {
			w.await("person-" + p + " wallet.created")
		}
		place := func(id string) {
			for _, p := range people {
				w.emit(event(id+"-"+p, schemas.TypeOrderPaid, emitted, order(p, id+"-"+p, 5)))
				want = append(want, id+"-"+p+" credit.succeeded")
			}
		}
		place("before")
		w.await(want...)
		down := w.api.Fault(sandbox.Fault{
			Operation: "create_investment", Kind: sandbox.Status, Status: http.StatusInternalServerError,
		})
		place("in")
		for i := range 120 {
			id := fmt.Sprintf("new-%d", i)
			v := verified(id)
			v.Person.Surname += id // else two customers look like a doubled effect
			w.emit(event(id, schemas.TypeCustomerVerified, emitted, v))
			if i == 60 {
				place("late")
			}
			time.Sleep(time.Minute)
		}
		if n := w.effects()["create_investor"]; n < 5+119 {
			t.Errorf("%d investors: they did not succeed while only investments fail", n)
		}
		if n := w.posts("create_investment", http.StatusInternalServerError); n < 100 {
			t.Errorf("only %d tries in two hours", n)
		}
		if told(t, w, map[string]int{}); t.Failed() {
			m.stop()
			return
		}
		w.api.Unfault(down)
		w.await(want...)
		m.stop()
		told(t, w, map[string]int{})
		wantLetters(t, w, nil, 0)
		if got := w.effects(); got["create_investment"] != len(want) || got["create_credit"] != len(want) {
			t.Errorf("effects %v, want %d investments and as many credits", got, len(want))
		}
	})
}

// told says whether there is a result with this cause, and of this type if one is given ("order investment.created").
func (w *world) told(kind string) bool {
	for _, e := range w.results() {
		if strings.HasPrefix(e.CausationID+" "+e.Name, kind) {
			return true
		}
	}
	return false
}

// posts counts the calls of an operation that were answered with a status.
func (w *world) posts(operation string, status int) (n int) {
	for _, c := range w.api.Calls() {
		if c.Operation == operation && c.Status == status {
			n++
		}
	}
	return n
}
