package replay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/state"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLettersByFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.die(w.event("1", schemas.TypeOrderPaid, order("anna", "a1")), now)
	w.die(w.event("2", schemas.TypeOrderPaid, order("bert", "b1")), now.Add(time.Hour), func(l *producer.Letter) {
		l.Reason, l.Step, l.Status, l.Fields = outcome.UnknownOffering, "", 0, []string{"offering"}
	})
	w.die(w.event("3", schemas.TypeCustomerVerified, `{"customer_id":"anna"}`), now.Add(2*time.Hour), func(l *producer.Letter) {
		l.Record.Topic, l.Record.Key = "orders", nil // of intake
		l.Record.Headers = l.Record.Headers[:len(l.Record.Headers)-1]
		l.Reason, l.Step, l.Fields = outcome.Invalid, "", []string{"/data/person required", "/data/tax required"}
	})
	w.die(schemas.Event{}, now.Add(3*time.Hour), func(l *producer.Letter) {
		l.Record = kafka.Record{Topic: "orders", Partition: 0, Offset: 1, Value: []byte("no event")}
		l.Reason, l.Step, l.Fields = outcome.Undecodable, "", nil
	})
	for _, c := range []struct {
		what   string
		filter replay.Filter
		want   string
	}{
		{"all, in the order of their times", replay.Filter{}, "1 2 3 1@3"},
		{"reason", replay.Filter{Reasons: []string{"refused", "invalid"}}, "1 3"},
		{"type", replay.Filter{Types: []string{"order.paid"}}, "1 2"},
		{"type with prefix", replay.Filter{Types: []string{"distributor.order.paid"}}, "1 2"},
		{"customer", replay.Filter{Customers: []string{"anna"}}, "1 3"},
		{"subject", replay.Filter{Subjects: []string{"order/b1"}}, "2"},
		{"step", replay.Filter{Steps: []string{"investment"}}, "1"},
		{"field", replay.Filter{Fields: []string{"offering"}}, "2"},
		{"pointer", replay.Filter{Fields: []string{"/data/tax"}}, "3"},
		{"pointer and keyword", replay.Filter{Fields: []string{"/data/tax required"}}, "3"},
		{"event", replay.Filter{IDs: []string{"2", "1@3"}}, "2 1@3"},
		{"source", replay.Filter{Source: "/other"}, ""},
		{"since", replay.Filter{Since: now.Add(time.Hour)}, "2 3 1@3"},
		{"until", replay.Filter{Until: now.Add(time.Hour)}, "1"},
		{"two of them", replay.Filter{Types: []string{"order.paid"}, Customers: []string{"anna"}}, "1"},
	} {
		if got := strings.Join(names(w.letters(replay.Query{Filter: c.filter})), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	l := w.letters(replay.Query{Filter: replay.Filter{IDs: []string{"1"}}, Payload: true})[0]
	if l.Status != 400 || l.Read.Topic != "inbox" || l.Upstream.Topic != "orders" || !l.Emitted.Equal(now.Add(-time.Hour)) || len(l.Value) == 0 {
		t.Errorf("a letter lost something: %+v", l)
	}
	if bare := w.letters(replay.Query{Filter: replay.Filter{IDs: []string{"1"}}})[0]; bare.Value != nil || bare.Event.Data != nil {
		t.Error("a payload that nobody asked for")
	}
}

// What state knows closes a letter, and nothing else does.
func TestClosedBySomethingNewer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hash := func(id string) string { return attempt.Event{Source: "/shop", ID: id}.Hash() }
	invested := func(event string) attempt.Object {
		return attempt.Object{Order: &attempt.Order{Event: hash(event), InvestmentID: "i"}}
	}
	conflict := func(l *producer.Letter) { l.Reason = outcome.Conflict }
	emitted := now.Add(-time.Hour)
	registered := attempt.Object{Customer: &attempt.Customer{
		InvestorID: "inv", Wallets: []attempt.Wallet{{ID: "w", Address: "0x" + strings.Repeat("a", 40)}},
		Parts: map[string]time.Time{"tax": emitted.Add(time.Minute), "contact": emitted},
	}}
	w.die(w.event("again", schemas.TypeOrderPaid, order("anna", "again")), now)
	w.die(w.event("again", schemas.TypeOrderPaid, order("anna", "again")), now.Add(time.Minute))
	w.die(w.event("open", schemas.TypeOrderPaid, order("anna", "open")), now)
	w.die(w.event("corrected", schemas.TypeOrderPaid, order("anna", "corrected")), now)
	w.die(w.event("own", schemas.TypeOrderPaid, order("anna", "own")), now)
	w.die(w.event("conflict", schemas.TypeOrderPaid, order("anna", "corrected")), now, conflict)
	w.die(w.event("held", schemas.TypeOrderPaid, order("anna", "held")), now)
	w.die(w.event("newer-tax", schemas.TypeCustomerUpdated, `{"customer_id":"anna","tax":{}}`), now)
	w.die(w.event("same-time", schemas.TypeCustomerUpdated, `{"customer_id":"anna","tax":{},"contact":{}}`), now)
	w.die(w.event("wallet", schemas.TypeCustomerWalletAdded, `{"customer_id":"anna","address":"0x`+strings.Repeat("A", 40)+`"}`), now)
	w.die(w.event("other-wallet", schemas.TypeCustomerWalletAdded, `{"customer_id":"anna","address":"0x`+strings.Repeat("b", 40)+`"}`), now)
	w.die(w.event("failed", schemas.TypePositionRedeemed, `{"customer_id":"anna","redemption_id":"failed"}`), now)
	w.die(w.event("redeemed", schemas.TypePositionRedeemed, `{"customer_id":"anna","redemption_id":"redeemed"}`), now)
	follow := func(step string) func(*producer.Letter) {
		return func(l *producer.Letter) { l.Step, l.Follow = step, step }
	}
	w.die(w.event("credited", schemas.TypeOrderPaid, order("anna", "credited")), now, follow("credit"))
	w.die(w.event("own-credit", schemas.TypeOrderPaid, order("anna", "own")), now, follow("credit"))
	w.die(w.event("no-wallet", schemas.TypeCustomerVerified, `{"customer_id":"anna","tax":{}}`), now, follow("wallet"))
	w.die(w.event("task-failed", schemas.TypePositionRedeemed, `{"customer_id":"anna","redemption_id":"failed"}`), now, follow("task"))
	w.die(w.event("at-work", schemas.TypeOrderPaid, order("anna", "at-work")), now)
	w.die(w.event("being-told", schemas.TypeOrderPaid, order("anna", "being-told")), now)
	w.die(w.event("put-back", schemas.TypeOrderPaid, order("anna", "put-back")), now, conflict)
	w.die(w.event("again-rejected", schemas.TypeOrderPaid, order("anna", "again-rejected")), now)
	w.die(w.event("mended", schemas.TypeOrderPaid, order("anna", "mended")), now, func(l *producer.Letter) {
		l.Record.Topic, l.Record.Headers = "orders", l.Record.Headers[:len(l.Record.Headers)-1] // of intake
	})
	w.die(w.event("forsaken", schemas.TypeOrderPaid, order("anna", "forsaken")), now, follow("credit"))
	w.die(w.event("stranger", schemas.TypeOrderPaid, order("bert", "corrected")), now)
	rejected := func(id string, round int, closed bool) *state.Record {
		r := with(attempt.Object{})
		r.Remember(hash(id))
		if closed {
			r.CloseRejection(hash(id), "", round)
		} else {
			r.Reject(attempt.Work{Event: attempt.Event{Source: "/shop", ID: id}, Round: round}, "", outcome.Reject(outcome.Refused))
		}
		return r
	}
	known := with(attempt.Object{})
	known.Remember(hash("mended"))
	w.remember("anna", map[string]*state.Record{
		"customer": with(registered), "order/corrected": with(invested("corrected-2")), "order/own": with(invested("own")),
		"order/open":     with(attempt.Object{}),
		"order/held":     with(attempt.Object{}, attempt.Work{Event: attempt.Event{Source: "/shop", ID: "held"}, Offset: 9, Held: outcome.Waiting}),
		"order/put-back": rejected("put-back", 1, true), "order/again-rejected": rejected("again-rejected", 1, false),
		"order/mended": known,
		"order/forsaken": with(attempt.Object{Order: &attempt.Order{Event: hash("forsaken"), InvestmentID: "i", GivenUp: true}},
			attempt.Work{Event: attempt.Event{Source: "/shop", ID: "forsaken"}, Offset: 12, Follow: "credit",
				Held: outcome.Unresolved, Reason: outcome.TaskUnknown, Told: []outcome.Reason{outcome.TaskUnknown, outcome.NeverResolved}}),
		"order/credited": with(attempt.Object{Order: &attempt.Order{
			Event: hash("credited"), InvestmentID: "i", CreditStatus: attempt.TaskSucceeded,
		}}),
		"order/at-work": with(attempt.Object{}, attempt.Work{
			Event: attempt.Event{Source: "/shop", ID: "at-work"}, Offset: 10, Intent: &attempt.Intent{Step: "investment"},
		}),
		"order/being-told": with(attempt.Object{}, attempt.Work{
			Event: attempt.Event{Source: "/shop", ID: "being-told"}, Offset: 11, Outcome: &attempt.Outcome{Verdict: outcome.Rejected},
		}),
		"redemption/failed":   with(attempt.Object{Position: &attempt.Position{Event: "x", TaskID: "t", Status: attempt.TaskFailed}}),
		"redemption/redeemed": with(attempt.Object{Position: &attempt.Position{Event: "x", TaskID: "t", Status: attempt.TaskProcessing}}),
	})
	want := map[string]replay.Closed{
		"again": replay.Open, "open": replay.Open, "corrected": replay.ClosedDone, "own": replay.Open, "conflict": replay.Open,
		"held": replay.ClosedHeld, "newer-tax": replay.ClosedDone, "same-time": replay.Open, "wallet": replay.ClosedDone,
		"other-wallet": replay.Open, "failed": replay.Open, "redeemed": replay.ClosedDone, "stranger": replay.Open,
		"credited": replay.ClosedDone, "own-credit": replay.Open, "no-wallet": replay.Open, "at-work": replay.ClosedHeld,
		"being-told": replay.Open, "put-back": replay.ClosedReplayed, "again-rejected": replay.Open, "mended": replay.ClosedReplayed,
		"forsaken": replay.Open, "task-failed": replay.ClosedDone,
	}
	got, newer := map[string]replay.Closed{}, 0
	for _, l := range w.letters(replay.Query{All: true}) {
		if l.Closed == replay.ClosedNewer && l.ID == "again" && l.Failed.Equal(now) {
			newer++
			continue
		}
		got[l.ID] = l.Closed
	}
	if !maps.Equal(got, want) || newer != 1 {
		t.Errorf("%v, and %d closed by a newer letter; want %v, and 1", got, newer, want)
	}
	closed := names(w.letters(replay.Query{Closed: true}))
	slices.Sort(closed)
	if want := []string{"again", "at-work", "corrected", "credited", "held", "mended", "newer-tax", "put-back", "redeemed", "task-failed", "wallet"}; !slices.Equal(closed, want) {
		t.Errorf("closed ones %q, want %q", closed, want)
	}
	if n := len(w.letters(replay.Query{})); n != 13 {
		t.Errorf("%d open ones, want 13", n)
	}
}

func TestHeldAndStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ev := func(id string) attempt.Event { return attempt.Event{Source: "/shop", ID: id, Type: "order.paid"} }
	stuck := with(attempt.Object{Order: &attempt.Order{InvestmentID: "i", Status: "PAID"}},
		attempt.Work{Event: ev("u"), Offset: 5, Held: outcome.Unresolved, Reason: outcome.ContractBroken, Since: now.Add(time.Minute),
			Intent: &attempt.Intent{Step: "credit", Ambiguous: true}},
		attempt.Work{Event: ev("u"), Offset: 5, Follow: "status", Held: outcome.Waiting, Reason: outcome.StatusPending, Since: now})
	stuck.Behind = []int64{6, 7, 8}
	w.remember("anna", map[string]*state.Record{
		"order/1": stuck, "customer": with(attempt.Object{Customer: &attempt.Customer{InvestorID: "inv"}}),
		"order/2": with(attempt.Object{}, attempt.Work{Event: ev("w"), Offset: 4, Held: outcome.Waiting, Reason: outcome.KYCPending,
			On: "customer", Since: now}),
	})
	w.remember("bert", map[string]*state.Record{"order/1": with(attempt.Object{Order: &attempt.Order{InvestmentID: "j"}})})
	w.die(w.event("d", schemas.TypeOrderPaid, order("anna", "3")), now)
	if err := w.producer.Results(t.Context(), "anna", schemas.Result{
		Name: schemas.TypeInvestmentCreated, Subject: "order/1", Time: now, Key: "k", Cause: schemas.Cause{Source: "/shop", ID: "u"},
		Data: json.RawMessage(`{"customer_id":"anna","order_id":"1","investment_id":"5fcf7edc-c4e6-44cb-87f1-8840cd39cb7f","status":"PAID"}`),
	}); err != nil {
		t.Fatal(err)
	}
	show := func(q replay.HeldQuery) (list []string) {
		t.Helper()
		held, err := w.desk().Held(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range held {
			list = append(list, fmt.Sprintf("%s %s%s×%d", h.Verdict, h.ID, h.Follow, h.Count))
		}
		return list
	}
	for what, c := range map[string]struct {
		query replay.HeldQuery
		want  []string
	}{
		"events, longest first":  {replay.HeldQuery{}, []string{"waiting w×1", "unknown u×1", "behind ×3"}},
		"with follow-ups":        {replay.HeldQuery{FollowUps: true}, []string{"waiting w×1", "waiting ustatus×1", "unknown u×1", "behind ×3"}},
		"by verdict":             {replay.HeldQuery{Filter: replay.Filter{Verdicts: []string{"behind"}}}, []string{"behind ×3"}},
		"by the step of intents": {replay.HeldQuery{Filter: replay.Filter{Steps: []string{"credit"}}}, []string{"unknown u×1"}},
		"by customer":            {replay.HeldQuery{Filter: replay.Filter{Customers: []string{"bert"}}}, nil},
		"by time":                {replay.HeldQuery{Filter: replay.Filter{Until: now.Add(time.Second)}}, []string{"waiting w×1"}},
	} {
		if got := show(c.query); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	st, err := w.desk().Customer(t.Context(), "anna", "", now.Add(-time.Hour))
	if err != nil || len(st.Objects) != 3 || st.Objects[0].Key != "customer" || len(st.Held) != 4 || len(st.Results) != 1 || len(st.Letters) != 1 {
		t.Errorf("customer: %+v, %v", st, err)
	}
	st, err = w.desk().Customer(t.Context(), "anna", "2", now.Add(-time.Hour))
	if err != nil || len(st.Objects) != 2 || st.Objects[0].Key != "customer" || len(st.Held) != 1 || len(st.Results)+len(st.Letters) != 0 {
		t.Errorf("its second order: %+v, %v", st, err)
	}
	found, err := w.desk().Order(t.Context(), "1", now.Add(time.Second))
	if err != nil || len(found) != 2 || found[0].Customer != "anna" || found[1].Customer != "bert" || len(found[0].Results) != 0 {
		t.Errorf("orders of two customers, results later than any: %+v, %v", found, err)
	}
	if found, err = w.desk().Order(t.Context(), "3", now); err != nil || len(found) != 1 || len(found[0].Letters) != 1 {
		t.Errorf("an order that only a letter knows: %+v, %v", found, err)
	}
	if st, err = w.desk().Customer(t.Context(), "nobody", "", now); err != nil || st.Known() {
		t.Errorf("nobody: %+v, %v", st, err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.desk().Open(t.Context()); err != nil {
		t.Error(err)
	}
	missing := w.cfg
	missing.State = broker.Name(t, "missing")
	if err := replay.New(missing).Open(t.Context()); err == nil || !strings.Contains(err.Error(), missing.State+" does not exist") {
		t.Errorf("a topic that is missing: %v", err)
	}
	silent, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	away := w.cfg
	away.Client, away.Patience = silent, 50*time.Millisecond
	desk := replay.New(away)
	defer desk.Close()
	if err := desk.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "do not answer") {
		t.Errorf("brokers that are away: %v", err)
	}
}
