package bridge_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// All that has an effect fails, and what only looks succeeds, the probe among it: few calls are made, no event is to blame, and
// afterwards all is soon as before.
func TestOnlyPostsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{Latency: 20 * time.Millisecond, CallLog: 100_000})
		quietly(w)
		o := &outage{answer: says(503), method: http.MethodPost}
		w.intercept(o.handler)
		l := under(w, 400*time.Millisecond)
		m := w.start(l.watch)
		l.begin()
		time.Sleep(15 * time.Second)
		o.on.Store(true)
		time.Sleep(5 * time.Minute)
		o.on.Store(false)
		ended := time.Now()
		opened := l.outages()
		if len(opened) == 0 {
			t.Fatal("the breaker did not open")
		}
		failed := o.after(opened[0])
		if n := busiest(failed); n > 10 || len(failed) > 5*60*2 {
			t.Errorf("%d calls failed once it was noticed, %d within a second", len(failed), n)
		}
		time.Sleep(2 * time.Minute)
		l.end()
		if left := l.left(ended); len(left) > 0 {
			t.Errorf("2 min after the outage %d are not done", len(left))
		}
		l.await(2 * time.Minute)
		m.stop()
		t.Logf("%d failed, opened %d times, %d held", len(failed), len(l.outages()), l.holds())
		if held := l.holds(); held > l.count()/10 {
			t.Errorf("%d were held, of %d", held, l.count())
		}
		l.audit()
	})
}

// One operation is refused for all, as if its permission were missing, and the others work: what needs it waits, be it little or
// most of all, the others flow, and nothing is given up.
func TestOneOperationRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		orders int
		every  time.Duration // an order
		settle time.Duration // until others are not late
		late   time.Duration // which is this
	}{
		"some":         {orders: 10, every: 5 * time.Second, settle: time.Minute, late: 5 * time.Second},
		"many at once": {orders: 60, settle: 3 * time.Minute, late: 30 * time.Second}, // it looks like an outage until others are done
	} {
		t.Run(name, func(t *testing.T) {
			if c.orders > 10 && !*everyPoint {
				t.Skip("it takes long: make crash")
			}
			synctest.Test(t, func(t *testing.T) { oneRefused(t, c.orders, c.every, c.settle, c.late) })
		})
	}
}

func oneRefused(t *testing.T, n int, every, settle, late time.Duration) {
	w := newPipes(t, sandbox.Config{Latency: 20 * time.Millisecond, CallLog: 100_000})
	quietly(w)
	l := under(w, time.Second)
	m := w.start(l.watch)
	var people, orders []string
	for i := range n {
		v := verified(fmt.Sprint("investor", i))
		v.Person.Surname += fmt.Sprint("investor", i) // else two customers look like a doubled effect
		w.emit(event(fmt.Sprint("person", i), schemas.TypeCustomerVerified, emitted, v))
		people = append(people, fmt.Sprintf("person%d wallet.created", i))
		orders = append(orders, fmt.Sprintf("paid%d investment.created", i))
	}
	w.await(people...)
	fault := w.api.Fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Status, Status: http.StatusForbidden})
	for i := range n {
		w.emit(event(fmt.Sprint("paid", i), schemas.TypeOrderPaid, emitted, order(fmt.Sprint("investor", i), fmt.Sprint("o", i), 1)))
		if i == 0 {
			l.begin()
		}
		time.Sleep(every)
	}
	time.Sleep(settle)
	left := l.left(time.Now().Add(-late))
	t.Logf("%d of %d are late, opened %d times, %d held, %d refused", len(left), l.count(), len(l.outages()), l.holds(),
		w.posts("create_investment", http.StatusForbidden))
	if len(left) > 0 {
		t.Errorf("%d of %d events are late that need nothing that is refused", len(left), l.count())
	}
	for _, o := range orders {
		if w.told(o) {
			t.Errorf("%s was told", o)
		}
	}
	w.api.Unfault(fault)
	w.await(orders...)
	l.end()
	l.await(2 * time.Minute)
	m.stop()
	if letters := w.read(w.cfg.Topics.Names().DeadLetters); len(letters) > 0 {
		t.Errorf("%d dead letters", len(letters))
	}
	if got := w.effects()["create_investment"]; got != n {
		t.Errorf("%d investments, want %d", got, n)
	}
	if doubles := w.api.Doubles(); len(doubles) > 0 {
		t.Errorf("doubled effects: %v", doubles)
	}
}
