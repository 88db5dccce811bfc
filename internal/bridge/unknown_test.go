package bridge_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// A task that the provider does not know the end of, be it a credit, a redemption or a transfer: it is never asked for again,
// not in 60 days. It is looked at ever more rarely; max_wait later its event is given up, once, and holds back nothing more;
// after that it is looked at once a day, so that it can still turn. All of it over restarts.
func TestTaskUnknownForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		calm(&w.cfg)
		w.cfg.Rules.PollInterval = 5 * time.Second
		run := func(d time.Duration, during func()) {
			m := w.start()
			end := time.Now().Add(d)
			during()
			time.Sleep(time.Until(end))
			m.stop()
		}
		tasks := map[string]string{} // operation → the task that is unknown
		begin := func(operation string, e schemas.Event) {
			if err := w.api.NextTask(operation, nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskUnknown, Applied: true}); err != nil {
				t.Fatal(err)
			}
			w.emit(e)
			w.await(e.ID + " event.unresolved")
			for _, effect := range w.api.Ledger() {
				if effect.Operation == operation {
					tasks[operation] = effect.ObjectID // the last one
				}
			}
		}
		var unknown time.Time // when the first task was so
		run(14*time.Hour, func() {
			for _, p := range []string{"p1", "p2", "p3"} {
				w.emit(event("person-"+p, schemas.TypeCustomerVerified, emitted, verified(p)))
				if p != "p1" {
					w.emit(event("order-"+p, schemas.TypeOrderPaid, emitted, order(p, "o-"+p, 300)))
					w.await("order-" + p + " credit.succeeded")
				}
			}
			w.await("person-p1 wallet.created")
			unknown = time.Now()
			begin("create_credit", event("credit", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
			begin("create_redemption", event("redeem", schemas.TypePositionRedeemed, emitted, redeem("p2", "r1", 100)))
			begin("create_transfer", event("transfer", schemas.TypePositionTransferred, emitted, schemas.PositionTransferred{
				CustomerID: "p3", TransferID: "t1", Offering: "solar-2026", Units: 20, TargetAddress: targetAddress,
			}))
		})
		for operation, task := range tasks {
			growing(t, operation, w.looksAt(task), unknown)
		}
		time.Sleep(15 * day)
		run(10*time.Minute, func() {
			w.emit(event("behind", schemas.TypePositionRedeemed, emitted, redeem("p2", "r2", 10)))
			w.await("behind event.waiting")
		})
		wantLetters(t, w, nil, 0)

		time.Sleep(time.Until(unknown.Add(30*day - 10*time.Minute)))
		run(20*time.Minute, func() {})
		given := map[string]string{"credit": "unresolved", "redeem": "unresolved", "transfer": "unresolved"}
		wantLetters(t, w, given, 3)
		before := map[string]int{}
		for operation, task := range tasks {
			before[operation] = len(w.looksAt(task))
		}
		time.Sleep(time.Until(unknown.Add(31*day - 20*time.Minute)))
		run(2*day+time.Hour, func() {}) // in which three days are over since they were given up
		for operation, task := range tasks {
			if n := len(w.looksAt(task)) - before[operation]; n != 3 {
				t.Errorf("%s: %d looks in the three days after it was given up, want 3", operation, n)
			}
		}
		w.await("behind redemption.succeeded") // nothing waits for what is given up

		told(t, w, map[string]int{"credit": 2, "redeem": 2, "transfer": 2}) // unresolved, and given up

		time.Sleep(time.Until(unknown.Add(60*day - 2*time.Hour))) // after 60 the topics forget
		posts := w.effects()
		for _, task := range tasks {
			if err := w.api.SetTask(task, sandbox.TaskSucceeded); err != nil {
				t.Fatal(err)
			}
		}
		run(time.Hour, func() {
			w.await("credit credit.succeeded", "redeem redemption.succeeded", "transfer transfer.succeeded")
		})
		wantLetters(t, w, given, 3)
		once(t, w, "create_credit", 3, "create_redemption", 2, "create_transfer", 1)
		if n := w.api.Stats().Replayed; n != 0 || !maps.Equal(w.effects(), posts) {
			t.Errorf("%d calls were repeated; effects %v, before %v", n, w.effects(), posts)
		}
	})
}

func redeem(customer, id string, units int64) schemas.PositionRedeemed {
	return schemas.PositionRedeemed{CustomerID: customer, RedemptionID: id, Offering: "solar-2026", Units: units}
}

// looksAt gives when a task was asked for.
func (w *world) looksAt(task string) (at []time.Time) {
	for _, c := range w.api.Calls() {
		if c.Method == http.MethodGet && strings.Contains(c.Path, task) {
			at = append(at, c.Time)
		}
	}
	return at
}

// growing looks at the pauses between two looks: from the poll interval on a tenth of the task's age, an hour at most.
func growing(t *testing.T, operation string, at []time.Time, since time.Time) {
	t.Helper()
	if len(at) < 50 || len(at) > 120 {
		t.Errorf("%s: %d looks in 14 hours", operation, len(at))
	}
	for i := 1; i < len(at); i++ {
		least, most := 5*time.Second, max(6*time.Second, at[i-1].Sub(since)/10+time.Second)
		if pause := at[i].Sub(at[i-1]); i > 3 && pause < least || pause > most {
			t.Errorf("%s: look %d came %s after the one before, when it was unknown for %s", operation, i, pause, at[i-1].Sub(since))
		}
	}
	if last := at[len(at)-1].Sub(at[len(at)-2]); last < 59*time.Minute || last > 61*time.Minute {
		t.Errorf("%s: after 14 hours there is a look each %s", operation, last)
	}
}

// once compares the numbers of calls of operations, answered or not, with what they must be.
func once(t *testing.T, w *world, want ...any) {
	t.Helper()
	calls := map[string]int{}
	for _, c := range w.api.Calls() {
		calls[c.Operation]++
	}
	for i := 0; i < len(want); i += 2 {
		if n := calls[want[i].(string)]; n != want[i+1] {
			t.Errorf("%d times %s, want %d", n, want[i], want[i+1])
		}
	}
}

// told compares how often event.unresolved was told, by the event's ID, with what it must be. The last one of each says that
// it was given up. What may have happened must not be told as rejected.
func told(t *testing.T, w *world, want map[string]int) {
	t.Helper()
	have, given := map[string]int{}, map[string]bool{}
	for _, e := range w.results() {
		switch e.Name {
		case schemas.TypeEventRejected:
			t.Errorf("%s was told as rejected: %s", e.CausationID, e.Data)
		case schemas.TypeEventUnresolved:
			data, err := schemas.Data[schemas.EventUnresolved](e)
			if err != nil {
				t.Fatal(err)
			}
			have[e.CausationID]++
			given[e.CausationID] = data.GivenUp
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("told as unresolved: %v, want %v", have, want)
	}
	for id := range want {
		if !given[id] {
			t.Errorf("%s: nobody was told that it is given up", id)
		}
	}
}

// An order that may have been made, and was given up, is not made again by another event: that is a conflict, for a person.
func TestGivenUpIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		w.cfg.Rules.MaxWait = 5 * time.Minute
		s := &script{answers: times(1, broken)}
		w.intercept(s.handler)
		m := w.start()
		w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
		w.await("person wallet.created")
		w.emit(event("lost", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
		w.await("lost event.unresolved")
		w.emit(event("again", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
		time.Sleep(4 * time.Minute)
		if w.told("again") {
			t.Error("it went on although the one before is unknown")
		}
		w.await("again event.rejected")
		m.stop()
		wantLetters(t, w, map[string]string{"lost": "unresolved", "again": "conflict order_id"}, 2)
		once(t, w, "create_investment", 1)
	})
}
