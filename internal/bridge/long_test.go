package bridge_test

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

const day = 24 * time.Hour

// calm makes membership cheap in virtual time: weeks of heartbeats, renewals and looks are what such a test would be busy with.
func calm(cfg *bridge.Config) {
	cfg.Group.Heartbeat, cfg.Group.Session, cfg.Group.Rebalance = 10*time.Minute, 30*time.Minute, time.Hour
	cfg.Rules.Lease = 25 * time.Minute
	cfg.Rules.CommitEvery = time.Minute
	cfg.Kafka.MetadataAge, cfg.Kafka.FetchWait = 10*time.Minute, 10*time.Minute
}

// TestWeeks tells of an order that comes 3 days before its customer, whose KYC takes a week with a correction in between, and
// whose investment is paid 10 days later, with a new member each day, stopped or killed: it is delivered, with one effect each.
func TestWeeks(t *testing.T) {
	t.Parallel()
	if !*everyPoint {
		t.Skip("it takes half a minute: make crash")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{
			KYC:         sandbox.KYC{Verdict: sandbox.KYCPending},
			StatusDelay: map[string]time.Duration{sandbox.StatusPaid: 10 * day},
			Tasks:       map[string]sandbox.TaskRule{"create_credit": {Delay: time.Hour}},
		})
		calm(&w.cfg)
		w.cfg.Rules.PollInterval = time.Minute
		w.emit(event("order", schemas.TypeOrderPaid, emitted, order("p1", "o1", 300)))
		w.pass(3)
		w.emit(event("person", schemas.TypeCustomerVerified, emitted, verified("p1")))
		w.pass(3)
		investor := w.made("create_investor")
		if err := w.api.SetKYC(investor, sandbox.KYC{Verdict: sandbox.KYCRejected}); err != nil {
			t.Fatal(err)
		}
		w.pass(1)
		contact := schemas.Contact{Email: mark + "new@example.org", EmailConfirmed: true}
		w.emit(event("update", schemas.TypeCustomerUpdated, "2026-11-26T11:00:00Z", schemas.CustomerUpdated{CustomerID: "p1", Contact: &contact}))
		w.pass(3)
		if err := w.api.SetKYC(investor, sandbox.KYC{Verdict: sandbox.KYCSuccess}); err != nil {
			t.Fatal(err)
		}
		w.pass(1)
		w.made("create_investment")
		w.pass(11)

		want := map[string]int{
			"create_document": 1 + 2, "create_investor": 1, "create_identification": 1, "update_investor": 1,
			"create_managed_wallet": 1, "create_investment": 1, "create_credit": 1,
		}
		if got := w.effects(); !maps.Equal(got, want) {
			t.Errorf("effects: %v, want %v\nlog:\n%s", got, want, w.log.tail())
		}
		w.published(map[string]int{
			"order event.waiting": 2, "person customer.registered": 1, "person customer.kyc_changed": 3, "update customer.updated": 1,
			"person wallet.created": 1, "order investment.created": 1, "order investment.status_changed": 2,
			"order credit.started": 1, "order credit.succeeded": 1,
		})
		wantLetters(t, w, nil, 0)
	})
}

// pass lets days pass, each with a member of its own, of which every second one is killed.
func (w *world) pass(days int) {
	w.t.Helper()
	for i := range days {
		if i%2 == 0 {
			m := w.start()
			time.Sleep(day)
			m.stop()
			continue
		}
		k := &killer{dead: make(chan struct{})}
		m := w.start(k.take)
		time.Sleep(day)
		k.kill()
		m.cancel()
		<-m.done // whatever it says: it is dead
	}
}

// made gives the ID of the only object that an operation has made.
func (w *world) made(operation string) string {
	w.t.Helper()
	var made []string
	for _, e := range w.api.Ledger() {
		if e.Operation == operation {
			made = append(made, e.ObjectID)
		}
	}
	if len(made) != 1 {
		w.t.Fatalf("%s had %d effects, want 1\nlog:\n%s", operation, len(made), w.log.tail())
	}
	return made[0]
}

// published fails the test unless these results have been published, so often each ("order credit.succeeded": cause and type).
func (w *world) published(want map[string]int) {
	w.t.Helper()
	got := map[string]int{}
	for _, e := range w.results() {
		got[e.CausationID+" "+e.Name]++
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("published: %v, want %v", got, want)
	}
}
