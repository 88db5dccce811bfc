package attempt_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

func TestChanged(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	known := func() map[string]attempt.Object {
		return map[string]attempt.Object{
			attempt.KeyCustomer: {Customer: &attempt.Customer{
				InvestorID: "inv-1", Wallets: []attempt.Wallet{{ID: "w-1"}}, Parts: map[string]time.Time{"tax": day},
			}},
			attempt.KeyOrder("1"):      {Order: &attempt.Order{Digest: "d", Event: "e"}},
			attempt.KeyRedemption("1"): {Position: &attempt.Position{Digest: "d", Event: "e"}},
		}
	}
	for name, c := range map[string]struct {
		change func(r *attempt.Run)
		want   map[string]attempt.Object
	}{
		"looking changes nothing": {
			func(r *attempt.Run) {
				r.Customer()
				r.Order("1")
				r.Order("unheard of")
				r.Position(attempt.KeyTransfer("unheard of"))
			},
			map[string]attempt.Object{},
		},
		"a field": {
			func(r *attempt.Run) { r.Order("1").InvestmentID = "i-1" },
			map[string]attempt.Object{"order/1": {Order: &attempt.Order{Digest: "d", Event: "e", InvestmentID: "i-1"}}},
		},
		"a map": {
			func(r *attempt.Run) { r.Customer().Apply(day.AddDate(0, 0, 1), "tax") },
			map[string]attempt.Object{"customer": {Customer: &attempt.Customer{
				InvestorID: "inv-1", Wallets: []attempt.Wallet{{ID: "w-1"}}, Parts: map[string]time.Time{"tax": day.AddDate(0, 0, 1)},
			}}},
		},
		"a list": {
			func(r *attempt.Run) { r.Customer().AddWallet(attempt.Wallet{ID: "w-1", Address: "0xAB"}) },
			map[string]attempt.Object{"customer": {Customer: &attempt.Customer{
				InvestorID: "inv-1", Wallets: []attempt.Wallet{{ID: "w-1", Address: "0xab"}}, Parts: map[string]time.Time{"tax": day},
			}}},
		},
		"there and back": {
			func(r *attempt.Run) {
				r.Order("1").Status = "PAID"
				r.Order("1").Status = ""
			},
			map[string]attempt.Object{},
		},
		"a new one": {
			func(r *attempt.Run) { r.Position(attempt.KeyTransfer("2")).Event = "e" },
			map[string]attempt.Object{"transfer/2": {Position: &attempt.Position{Event: "e"}}},
		},
		"made nothing again": {
			func(r *attempt.Run) {
				*r.Order("1") = attempt.Order{}
				*r.Position(attempt.KeyRedemption("1")) = attempt.Position{}
			},
			map[string]attempt.Object{"order/1": {}, "redemption/1": {}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{objects: known()}
			r := attempt.New(rules, j, attempt.Work{Event: paid})
			c.change(r)
			if got := byKey(t, r.Changed()); !reflect.DeepEqual(got, c.want) {
				t.Errorf("changed %s, want %s", show(t, got), show(t, c.want))
			}
			if !reflect.DeepEqual(j.objects, known()) {
				t.Error("the journal's own objects were changed")
			}
		})
	}
}

// What an intent has written is in state: an object that the handler takes back afterwards has to be written again, and
// who waits for one that an intent has changed has to be woken, even if nothing changes it any more.
func TestChangedAfterAnIntent(t *testing.T) {
	t.Parallel()
	j := &journal{}
	a := &api{journal: j, answers: []error{refused()}}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	r.Order("1001").Digest = "d"
	r.Customer().InvestorID = "inv-1"
	_, err := attempt.Do(t.Context(), r, "investment", attempt.Refs{"investor": "inv-1"}, body, a.send)
	verdict(t, err, outcome.Rejected, outcome.Refused)
	*r.Order("1001") = attempt.Order{}

	want := map[string]attempt.Object{"order/1001": {}, "customer": {Customer: &attempt.Customer{InvestorID: "inv-1"}}}
	if got := byKey(t, r.Changed()); !reflect.DeepEqual(got, want) {
		t.Errorf("changed %s, want %s", show(t, got), show(t, want))
	}
}

// What an intent has written is the journal's: the handler goes on with its own, and what it looks at later comes on top.
func TestWhatAnIntentHasWrittenStays(t *testing.T) {
	t.Parallel()
	j := &journal{}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	r.Customer().InvestorID = "inv-1"
	r.Customer().Parts = map[string]time.Time{"person": paid.Time}
	if _, err := attempt.Do(t.Context(), r, "investment", attempt.Refs{"investor": "inv-1"}, body, (&api{journal: j}).send); err != nil {
		t.Fatal(err)
	}
	r.Customer().InvestorID = "inv-2"
	r.Customer().Apply(paid.Time, "company")
	for _, id := range []string{"1", "2", "3"} {
		r.Order(id).Digest = id
	}
	got := byKey(t, j.changed[0])
	if c := got["customer"].Customer; len(got) != 1 || c.InvestorID != "inv-1" || len(c.Parts) != 1 {
		t.Errorf("the intent had written %s", show(t, got))
	}
	if got := byKey(t, r.Changed()); len(got) != 4 || got["customer"].Customer.InvestorID != "inv-2" || got["order/3"].Order.Digest != "3" {
		t.Errorf("changed %s", show(t, got))
	}
}

func TestAttemptLeavesItsWorkAlone(t *testing.T) {
	t.Parallel()
	j := &journal{}
	w := attempt.Work{Event: paid, Answers: map[string]json.RawMessage{}}
	r, _, err := do(t, &api{journal: j}, w, "inv-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Answers) != 0 || len(r.Work().Answers) != 1 {
		t.Errorf("answers %v of the work given, %v of the attempt; want 0 and 1", w.Answers, r.Work().Answers)
	}
	inherited := j.restored(t)
	before := *inherited.Intent
	if _, _, err := do(t, &api{journal: j, answers: []error{lost()}}, inherited, "inv-1"); err == nil {
		t.Fatal("want an error")
	}
	if !reflect.DeepEqual(*inherited.Intent, before) {
		t.Errorf("intent of the work given became %+v, was %+v", *inherited.Intent, before)
	}
}

func TestResultsAndFollows(t *testing.T) {
	t.Parallel()
	r := attempt.New(rules, &journal{}, attempt.Work{Event: paid, Follow: "status"})
	if err := r.Publish("investment.created", "order/1001", map[string]string{"order_id": "1001"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish("credit.started", "order/1001", func() {}); err == nil {
		t.Error("Publish took data that is no JSON")
	}
	r.Follow("order/1001", "status")
	r.Follow("order/1001", "credit")

	if got := r.Results(); len(got) != 1 || got[0].Type != "investment.created" || string(got[0].Data) != `{"order_id":"1001"}` {
		t.Errorf("results %v", got)
	}
	want := []attempt.Follow{{Key: "order/1001", Name: "status"}, {Key: "order/1001", Name: "credit"}}
	if got := r.Follows(); !slices.Equal(got, want) {
		t.Errorf("follows %v, want %v", got, want)
	}
	if r.FollowUp() != "status" || r.Event().ID != "e-1" {
		t.Errorf("follow-up %q of event %q", r.FollowUp(), r.Event().ID)
	}
}

func TestProcessing(t *testing.T) {
	t.Parallel()
	order := func(task, status string) attempt.Object {
		return attempt.Object{Order: &attempt.Order{CreditTask: task, CreditStatus: status}}
	}
	position := func(task, status string) attempt.Object {
		return attempt.Object{Position: &attempt.Position{TaskID: task, Status: status}}
	}
	for name, c := range map[string]struct {
		object attempt.Object
		want   bool
	}{
		"nothing known":            {attempt.Object{}, false},
		"customer":                 {attempt.Object{Customer: &attempt.Customer{InvestorID: "inv-1"}}, false},
		"credit not asked for":     {order("", ""), false},
		"credit by hand":           {order("", attempt.TaskSucceeded), false},
		"credit processing":        {order("t", attempt.TaskProcessing), true},
		"credit unknown":           {order("t", attempt.TaskUnknown), true},
		"credit succeeded":         {order("t", attempt.TaskSucceeded), false},
		"credit failed":            {order("t", attempt.TaskFailed), false},
		"redemption not asked for": {position("", ""), false},
		"redemption processing":    {position("t", attempt.TaskProcessing), true},
		"redemption unknown":       {position("t", attempt.TaskUnknown), true},
		"redemption succeeded":     {position("t", attempt.TaskSucceeded), false},
		"redemption failed":        {position("t", attempt.TaskFailed), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.object.Processing(); got != c.want {
				t.Errorf("Processing() = %v, want %v", got, c.want)
			}
			r := attempt.New(rules, &journal{objects: map[string]attempt.Object{"k": c.object}}, attempt.Work{Event: paid})
			if got := r.Processing("other"); got != c.want {
				t.Errorf("the attempt says %v, want %v", got, c.want)
			}
			if r.Processing("k") {
				t.Error("an object waits for itself")
			}
		})
	}
}

func TestWallets(t *testing.T) {
	t.Parallel()
	var c attempt.Customer
	if _, ok := c.Managed(); ok {
		t.Error("a customer without wallets has a managed one")
	}
	c.AddWallet(attempt.Wallet{ID: "w-1", Address: "0xABCD"})
	c.AddWallet(attempt.Wallet{ID: "w-2", Managed: true})
	c.AddWallet(attempt.Wallet{ID: "w-2", Managed: true, Address: "0xEF"}) // the API has told the address since

	if w, ok := c.Wallet("0xaBcD"); !ok || w.ID != "w-1" {
		t.Errorf("wallet 0xaBcD is %v, %v", w, ok)
	}
	if w, ok := c.Managed(); !ok || w.Address != "0xef" {
		t.Errorf("managed wallet is %v, %v", w, ok)
	}
	if w, ok := c.Wallet(""); ok {
		t.Errorf("no address finds %v", w)
	}
	if len(c.Wallets) != 2 {
		t.Errorf("wallets %v, want two", c.Wallets)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	a := attempt.Event{Source: "ab", ID: "c"}.Hash()
	b := attempt.Event{Source: "a", ID: "bc"}.Hash()
	if a == b || len(a) != 16 || len(b) != 16 {
		t.Errorf("hashes %s and %s, want two different ones of 16 digits", a, b)
	}
}

func show(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What a handler holds of an object stays the attempt's, however many others are looked at meanwhile.
func TestObjectsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	r := attempt.New(rules, &journal{}, attempt.Work{Event: paid})
	c, o := r.Customer(), r.Order("0")
	for i := range 9 {
		r.Order(strconv.Itoa(i)).Digest = "d"
	}
	c.InvestorID, o.Event = "inv-1", "e"
	got := byKey(t, r.Changed())
	if len(got) != 10 || got["customer"].Customer.InvestorID != "inv-1" || *got["order/0"].Order != (attempt.Order{Digest: "d", Event: "e"}) {
		t.Errorf("changed %s", show(t, got))
	}
}
