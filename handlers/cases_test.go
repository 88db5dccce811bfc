package handlers_test

import (
	"slices"
	"time"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/sandbox"
)

// testCase is a folder of testdata: events in, calls and results out.
type testCase struct {
	name     string // TYPE/CASE
	sandbox  func(*sandbox.Config)
	handlers func(*handlers.Config)
	run      func(*world)
}

// one does the case's only event.
func one(w *world) { w.handle("event") }

// after does what is given, then the case's only event.
func after(given ...string) func(*world) {
	return func(w *world) {
		w.given(given...)
		w.handle("event")
	}
}

// failing does the case's only event while something goes wrong.
func failingWith(f sandbox.Fault, given ...string) func(*world) {
	return func(w *world) {
		w.given(given...)
		w.fault(f)
		w.handle("event")
	}
}

// lost is the first answer to an operation, which gets lost after the effect.
func lost(operation string) sandbox.Fault {
	return sandbox.Fault{Operation: operation, Kind: sandbox.Torn, Applied: true, Nth: 1}
}

// refused is the first answer to an operation: a refusal, and no effect.
func refused(operation string) sandbox.Fault {
	return sandbox.Fault{Operation: operation, Kind: sandbox.Status, Status: 400, Nth: 1}
}

func kyc(verdict string, delay time.Duration) func(*sandbox.Config) {
	return func(c *sandbox.Config) { c.KYC = sandbox.KYC{Verdict: verdict, Delay: delay} }
}

func task(operation string, rule sandbox.TaskRule) func(*sandbox.Config) {
	return func(c *sandbox.Config) { c.Tasks = map[string]sandbox.TaskRule{operation: rule} }
}

var cases = slices.Concat(verifiedCases, updatedCases, walletCases, linkedCases, orderCases, releaseCases,
	positionCases("position.redeemed", "create_redemption"), positionCases("position.transferred", "create_transfer"))

var verifiedCases = []testCase{
	{name: "customer.verified/person", run: one},
	{name: "customer.verified/company", run: one},
	{name: "customer.verified/own_wallet", run: one},
	{name: "customer.verified/no_wallet", run: one},
	{name: "customer.verified/kyc_pending", sandbox: kyc(sandbox.KYCSuccess, 150*time.Second), run: one},
	{name: "customer.verified/kyc_refused", sandbox: kyc(sandbox.KYCRejected, 0), run: one},
	{name: "customer.verified/again", run: after("person")},
	{name: "customer.verified/again_company", run: after("company")},
	{name: "customer.verified/again_older", run: after("person")},
	{name: "customer.verified/company_change", run: after("person")},
	{name: "customer.verified/refused", run: func(w *world) {
		w.handle("event")
		w.handle("corrected") // goes on from the investor that is there
	}},
	{name: "customer.verified/refused_persons", run: func(w *world) {
		w.fault(refused("create_benefiting_persons"))
		w.handle("event")
		w.handle("corrected")
	}},
	{name: "customer.verified/document_gone", run: one},
	{name: "customer.verified/document_mismatch", run: one},
	{name: "customer.verified/document_too_large", run: one},
	{name: "customer.verified/document_refused_link", run: one},
	{name: "customer.verified/lost_answer", run: failingWith(lost("create_investor"))},
	{name: "customer.verified/lost_answer_refused", run: func(w *world) {
		// In doubt, refusals count only when all has been quiet for a minute.
		w.fault(sandbox.Fault{Operation: "create_identification", Kind: sandbox.Torn, Nth: 1})
		w.fault(sandbox.Fault{Operation: "create_identification", Kind: sandbox.Status, Status: 400})
		w.handle("event")
	}},
	{name: "customer.verified/outage", run: failingWith(sandbox.Fault{Kind: sandbox.Outage, Operation: "create_investor", Count: 3})},
	{name: "customer.verified/contract_broken", run: failingWith(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Broken, Applied: true})},
	{name: "customer.verified/key_reused", run: failingWith(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Status, Status: 422})},
}

var updatedCases = []testCase{
	{name: "customer.updated/parts", run: after("person")},
	{name: "customer.updated/identification", run: after("person")},
	{name: "customer.updated/company", run: after("company")},
	{name: "customer.updated/before_customer", run: func(w *world) {
		w.handle("event")
		w.handle("verified")
	}},
	{name: "customer.updated/older_than_customer", run: func(w *world) {
		w.handle("event")
		w.handle("verified")
	}},
	{name: "customer.updated/newer_first", run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.handle("older")
	}},
	{name: "customer.updated/person_for_company", run: after("company")},
	{name: "customer.updated/company_for_person", run: after("person")},
	{name: "customer.updated/refused", run: after("person")},
	{name: "customer.updated/kyc_corrected", sandbox: kyc(sandbox.KYCRejected, 0), run: func(w *world) {
		w.given("person")
		if err := w.sandbox.SetKYC(w.investor("42"), sandbox.KYC{Delay: 90 * time.Second}); err != nil {
			w.t.Fatal(err)
		}
		w.submit("event")
		w.settle()
	}},
	{name: "customer.updated/lost_answer", run: failingWith(lost("create_identification"), "person")},
}

var walletCases = []testCase{
	{name: "customer.wallet_added/done", run: after("person")},
	{name: "customer.wallet_added/before_customer", run: func(w *world) {
		w.handle("event")
		w.handle("verified")
	}},
	{name: "customer.wallet_added/kyc_pending", sandbox: kyc(sandbox.KYCSuccess, 6*time.Minute), run: after("person-no-wallet")},
	{name: "customer.wallet_added/known", run: after("person-own-wallet")},
	{name: "customer.wallet_added/refused", run: after("other-person", "person")},
	{name: "customer.wallet_added/lost_answer", run: failingWith(lost("create_generic_wallet"), "person")},
}

var linkedCases = []testCase{
	{name: "customer.linked/wallets", run: after("other-person")},
	{name: "customer.linked/managed", run: after("other-managed")},
	{name: "customer.linked/company", run: func(w *world) {
		w.given("other-company")
		w.handle("event")
		w.handle("person")
	}},
	{name: "customer.linked/kyc_pending", sandbox: kyc(sandbox.KYCSuccess, 7*time.Minute), run: after("other-no-wallet")},
	{name: "customer.linked/not_registered", run: one},
	{name: "customer.linked/wallet_not_registered", run: after("other-managed")},
	{name: "customer.linked/conflict", run: after("person", "other-person")},
	{name: "customer.linked/known", run: after("person")},
}

var releaseCases = []testCase{
	{name: "order.credit_released/done", run: after("person", "order-no-credit")},
	{name: "order.credit_released/before_order", run: func(w *world) {
		w.given("person")
		w.handle("event")
		w.handle("paid")
	}},
	{name: "order.credit_released/failed_before", run: func(w *world) {
		w.given("person")
		if err := w.sandbox.NextTask("create_credit", nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskFailed}); err != nil {
			w.t.Fatal(err)
		}
		w.given("order")
		w.handle("event")
	}},
	{name: "order.credit_released/credited", run: after("person", "order")},
	{
		name:    "order.credit_released/under_way",
		sandbox: task("create_credit", sandbox.TaskRule{Verdict: sandbox.TaskProcessing}), run: after("person", "order"),
	},
	{
		name:     "order.credit_released/by_hand",
		handlers: func(c *handlers.Config) { c.CreditByHand = true }, run: after("person", "order-no-credit"),
	},
}

// positionCases are those of a redemption or a transfer: both take 100 of the 300 units that an order has brought.
func positionCases(typ, operation string) []testCase {
	holding := []string{"person", "order"}
	return []testCase{
		{name: typ + "/done", run: after(holding...)},
		{name: typ + "/own_wallet", run: after("person-own-wallet", "order")},
		{name: typ + "/at_once", sandbox: task(operation, sandbox.TaskRule{AtOnce: true}), run: after(holding...)},
		{name: typ + "/failed", sandbox: task(operation, sandbox.TaskRule{Verdict: sandbox.TaskFailed}), run: after(holding...)},
		{name: typ + "/unknown", sandbox: task(operation, sandbox.TaskRule{Verdict: sandbox.TaskUnknown, AtOnce: true}), run: after(holding...)},
		{name: typ + "/lost_answer", run: failingWith(lost(operation), holding...)},
		{name: typ + "/contract_broken", run: failingWith(sandbox.Fault{Operation: operation, Kind: sandbox.Broken, Applied: true}, holding...)},
		{name: typ + "/before_customer", run: func(w *world) {
			w.given("other-managed", "other-order")
			w.handle("event")
			w.handle("linked")
		}},
		{name: typ + "/before_units", run: func(w *world) {
			w.handle("event")
			w.handle("verified")
		}},
		{name: typ + "/wallet_missing", run: after(holding...)},
		{name: typ + "/wallet_ambiguous", run: after("person-own-wallet", "order", "wallet-2")},
		{name: typ + "/refused", run: func(w *world) {
			w.given(holding...)
			w.handle("event")
			w.handle("corrected")
		}},
		{name: typ + "/unknown_offering", run: after(holding...)},
		{name: typ + "/conflict", run: func(w *world) {
			w.given(holding...)
			w.handle("event")
			w.handle("other")
		}},
		{name: typ + "/repeated", run: func(w *world) {
			w.given(holding...)
			w.handle("event")
			w.handle("again")
		}},
		{name: typ + "/one_after_another", sandbox: task(operation, sandbox.TaskRule{Delay: 90 * time.Second}), run: func(w *world) {
			w.given(holding...)
			w.submit("event")
			w.submit("second")
			w.submit("third")
			w.pass(time.Hour)
		}},
		{name: typ + "/while_credit", sandbox: task("create_credit", sandbox.TaskRule{Delay: 6 * time.Minute}), run: after(holding...)},
	}
}
