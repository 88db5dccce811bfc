package handlers_test

import (
	"net/http"
	"strings"
	"time"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/sandbox"
)

// setStatus gives the investment of the case's order a status.
func (w *world) setStatus(status string) {
	w.t.Helper()
	if err := w.sandbox.SetStatus(w.investment("42", "1001"), status); err != nil {
		w.t.Fatal(err)
	}
}

// unpaid keeps the investment from being paid, so that a case can decide what becomes of it.
func unpaid(c *sandbox.Config) {
	c.StatusDelay = map[string]time.Duration{sandbox.StatusPaid: 24 * time.Hour}
}

var orderCases = []testCase{
	{name: "order.paid/done", run: after("person")},
	{name: "order.paid/least", run: after("person")},
	{name: "order.paid/no_credit", run: after("person")},
	{name: "order.paid/credit_by_hand", handlers: func(c *handlers.Config) { c.CreditByHand = true }, run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.setStatus(sandbox.StatusDelivered)
		w.settle()
	}},
	{name: "order.paid/before_customer", run: func(w *world) {
		w.handle("event")
		w.handle("verified")
	}},
	{name: "order.paid/same_twice_waiting", run: func(w *world) {
		w.handle("event")
		w.handle("again")
		w.handle("verified")
	}},
	{name: "order.paid/wallet_named", run: after("person", "wallet")},
	{name: "order.paid/wallet_managed", run: after("person", "wallet")},
	{name: "order.paid/wallet_missing", run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.handle("wallet")
	}},
	{name: "order.paid/wallet_ambiguous", run: func(w *world) {
		w.given("person-own-wallet", "wallet-2")
		w.handle("event")
		w.handle("corrected")
	}},
	{name: "order.paid/unknown_offering", run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.handle("corrected")
	}},
	{name: "order.paid/conflict", run: after("person", "order")},
	{name: "order.paid/repeated", run: after("person", "order")},
	{name: "order.paid/document_mismatch", run: after("person")},
	{name: "order.paid/refused", run: func(w *world) {
		w.given("person")
		w.fault(refused("create_investment"))
		w.handle("event")
		w.handle("corrected")
	}},
	{name: "order.paid/throttled", run: failingWith(sandbox.Fault{
		Operation: "create_investment", Kind: sandbox.Status, Status: 429, RetryAfter: 30 * time.Second, Nth: 1,
	}, "person")},
	{name: "order.paid/lost_answer", run: failingWith(lost("create_investment"), "person")},
	{name: "order.paid/lost_answer_other_wallet", run: func(w *world) {
		// In doubt, the customer gets a second wallet: the repeat has the same body all the same.
		w.given("person-own-wallet")
		w.fault(lost("create_investment"))
		w.fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Outage, Count: 30})
		w.submit("event")
		w.pass(10 * time.Second)
		w.handle("wallet")
	}},
	{name: "order.paid/lost_answer_aged", run: func(w *world) {
		// The API is away for longer than it keeps keys: whether the first call landed nobody knows.
		w.given("person")
		w.fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Torn, Applied: true, Nth: 1})
		w.submit("event")
		w.pass(0)
		w.fault(sandbox.Fault{Kind: sandbox.Outage, RetryAfter: time.Hour})
		w.pass(21 * time.Hour)
	}},
	{name: "order.paid/contract_broken", run: failingWith(sandbox.Fault{
		Operation: "create_investment", Kind: sandbox.Malformed, Applied: true,
	}, "person")},
	{name: "order.paid/statuses", sandbox: func(c *sandbox.Config) {
		c.StatusDelay = map[string]time.Duration{
			sandbox.StatusReview: 90 * time.Second, sandbox.StatusWaiting: time.Minute,
			sandbox.StatusAccepted: time.Minute, sandbox.StatusPaid: time.Minute,
		}
	}, run: func(w *world) {
		w.given("person")
		w.submit("event")
		w.pass(10 * time.Minute)
	}},
	{name: "order.paid/unknown_status", sandbox: unpaid, run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.setStatus("MOONLIT")
		w.settle()
		w.setStatus(sandbox.StatusPaid)
		w.settle()
	}},
	{name: "order.paid/kyc_insufficient", sandbox: unpaid, run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.setStatus(sandbox.StatusKYCInsufficient)
		w.settle()
	}},
	{name: "order.paid/delivered_by_hand", sandbox: unpaid, run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.setStatus(sandbox.StatusDelivered)
		w.settle()
	}},
	{name: "order.paid/delivered_between", run: func(w *world) {
		// The investment is read, and paid; before the credit arrives somebody has credited it by hand.
		w.given("person")
		w.arrives = func(r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/credits/") {
				w.setStatus(sandbox.StatusDelivered)
			}
		}
		w.handle("event")
	}},
	{name: "order.paid/credit_refused", run: failingWith(refused("create_credit"), "person")},
	{name: "order.paid/credit_processing", sandbox: task("create_credit", sandbox.TaskRule{Delay: 150 * time.Second}), run: after("person")},
	{name: "order.paid/credit_at_once", sandbox: task("create_credit", sandbox.TaskRule{AtOnce: true}), run: after("person")},
	{name: "order.paid/credit_failed", sandbox: task("create_credit", sandbox.TaskRule{Verdict: sandbox.TaskFailed}), run: after("person")},
	{name: "order.paid/credit_unknown", sandbox: task("create_credit", sandbox.TaskRule{Verdict: sandbox.TaskUnknown}), run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.setTask("create_credit", sandbox.TaskSucceeded) // a person looked, at the provider
		w.settle()
	}},
	{name: "order.paid/credit_task_gone", run: failingWith(sandbox.Fault{
		Operation: "get_credit", Kind: sandbox.Status, Status: 404,
	}, "person")},
	{name: "order.paid/credit_lost_answer", run: failingWith(lost("create_credit"), "person")},
}

// setTask ends the last task of an operation.
func (w *world) setTask(operation, verdict string) {
	w.t.Helper()
	var id string
	for _, e := range w.sandbox.Ledger() {
		if e.Operation == operation {
			id = e.ObjectID
		}
	}
	if err := w.sandbox.SetTask(id, verdict); err != nil {
		w.t.Fatal(err)
	}
}

// investor gives the ID of a customer's investor.
func (w *world) investor(customer string) string {
	w.t.Helper()
	c := w.objects[customer]["customer"].Customer
	if c == nil || c.InvestorID == "" {
		w.t.Fatalf("customer %s is not registered", customer)
	}
	return c.InvestorID
}
