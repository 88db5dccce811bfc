package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// cleanProof is of a customer who is linked, gets two wallets and then makes an order, and of a run in which nothing went
// wrong: a call was repeated, a result published again, an event appended twice, an outcome no longer needed in state.
func cleanProof(t *testing.T) proof {
	t.Helper()
	contract, err := newContract()
	if err != nil {
		t.Fatal(err)
	}
	l := &chaosLoad{
		up: &upstream{partitions: map[string]int{}}, contract: contract, topics: []string{"customers", "payments"},
		linked: []schemas.CustomerLinked{{CustomerID: "c"}}, random: rand.New(rand.NewPCG(1, 1)),
	}
	p := proof{state: map[string]*state.Record{}}
	linked := emitted{
		source: chaosSource, id: "linked-0", customer: "c", subject: attempt.KeyCustomer, topic: "customers",
		results: []string{schemas.TypeCustomerRegistered, schemas.TypeWalletCreated},
	}
	p.emitted = append(p.emitted, linked)
	for _, n := range []int{0, 1, orderEvery - 1} {
		_, e, err := l.next(n)
		if err != nil {
			t.Fatal(err)
		}
		p.emitted = append(p.emitted, e)
	}
	customer := state.NewRecord()
	customer.Customer, customer.Seen = &attempt.Customer{}, 0
	customer.Last = &attempt.Outcome{Verdict: outcome.Done}
	p.state["c/customer"] = customer
	for i, e := range p.emitted {
		p.add(e, int64(i), customer)
	}
	p.state["c/"+p.emitted[1].subject].Last = nil
	p.inbox = append(p.inbox, inboxEvent{eventIdentity{chaosSource, p.emitted[1].id}, 0, 9})
	p.calls = append(p.calls, p.calls[0])
	p.results = append(p.results, p.results[0])
	return p
}

// add lets an event be done, at an offset.
func (p *proof) add(e emitted, offset int64, customer *state.Record) {
	cause := eventIdentity{e.source, e.id}
	p.inbox = append(p.inbox, inboxEvent{cause, 0, offset})
	for _, w := range e.effects {
		p.calls = append(p.calls, sandbox.Call{Key: w.key})
		p.effects = append(p.effects, sandbox.Effect{Seq: len(p.effects) + 1, Operation: w.operation, Key: w.key, ObjectID: "of " + w.key})
	}
	for _, typ := range e.results {
		p.results = append(p.results, resultSeen{id: e.id + typ, typ: typ, cause: cause, digest: "bytes of " + e.id + typ})
	}
	if e.subject == attempt.KeyCustomer {
		return
	}
	rec := state.NewRecord()
	rec.Seen, rec.Last = offset, &attempt.Outcome{Verdict: outcome.Done}
	if e.wallet != "" {
		customer.Customer.AddWallet(attempt.Wallet{ID: "of " + e.effects[0].key, Address: e.wallet})
	} else {
		rec.Order = &attempt.Order{
			InvestmentID: "of " + keyOf(e, "create_investment"), CreditTask: "of " + keyOf(e, "create_credit"),
			Status: sandbox.StatusDelivered, CreditStatus: sandbox.TaskSucceeded,
		}
	}
	p.state["c/"+e.subject] = rec
}

func TestChaosAuditClean(t *testing.T) {
	t.Parallel()
	f := audit(cleanProof(t))
	if problems := f.problems(); len(problems) > 0 {
		t.Errorf("accuses the innocent: %s", strings.Join(problems, "; "))
	}
	if f.Events != 4 || f.Effects != 6 || f.Calls != 7 || f.Repeated != 1 || f.Again != 1 || f.Appended != 1 {
		t.Errorf("%+v", f)
	}
}

// Every fault that is planted is found, and counted as what it is.
func TestChaosAuditFinds(t *testing.T) {
	t.Parallel()
	order := func(p *proof) *state.Record { return p.state["c/"+p.emitted[3].subject] }
	for name, c := range map[string]struct {
		plant func(p *proof)
		count func(f findings) int // nil: it has no count of its own
		says  string
	}{
		"effect missing": {func(p *proof) { p.effects = p.effects[1:] }, func(f findings) int { return f.Missing },
			"wallet-0: create_generic_wallet has not happened"},
		"effect of a follow-up missing": {func(p *proof) { p.effects = p.effects[:len(p.effects)-1] },
			func(f findings) int { return f.Missing }, "create_credit has not happened"},
		"effect twice": {func(p *proof) { p.effects = append(p.effects, p.effects[0]) }, func(f findings) int { return f.Doubled },
			"create_generic_wallet happened twice"},
		"effect under another key": {func(p *proof) {
			again := p.effects[0]
			again.Key = "another"
			p.effects = append(p.effects, again)
		}, func(f findings) int { return f.Strange }, "belongs to no step of an event"},
		"effect of another kind under the key": {func(p *proof) { p.effects[0].Operation = "create_managed_wallet" },
			func(f findings) int { return f.Strange }, "belongs to no step of an event"},
		"the API's own suspicion": {func(p *proof) { p.doubles = 1 }, nil, "look as if they were done twice"},
		"effects inverted": {func(p *proof) { p.effects[0], p.effects[1] = p.effects[1], p.effects[0] },
			func(f findings) int { return f.Inversions }, "came after an effect of a later event of c"},
		"a step after the next event": {func(p *proof) {
			e := p.effects[0]
			p.effects = append(slices.Delete(p.effects, 0, 1), e)
		}, func(f findings) int { return f.Inversions }, "wallet-0: create_generic_wallet came after"},
		"not in the inbox": {func(p *proof) { p.inbox = slices.Delete(p.inbox, 2, 3) }, func(f findings) int { return f.Lost },
			"wallet-1 is not in the inbox"},
		"overtaken on the way to the inbox": {func(p *proof) {
			p.inbox[1], p.inbox[2] = p.inbox[2], p.inbox[1]
			p.inbox = p.inbox[:4]
		}, func(f findings) int { return f.Overtaken }, "comes after a later one"},
		"an event that nobody sent": {func(p *proof) { p.inbox[0].id = "ghost" }, nil, "nobody sent: ghost"},
		"result missing": {func(p *proof) { p.results = slices.Delete(p.results, 2, 3) },
			func(f findings) int { return f.NoResult }, "wallet-0 has no result wallet.created"},
		"result repeated with other bytes": {func(p *proof) { p.results[len(p.results)-1].digest = "others" },
			func(f findings) int { return f.Contradicting }, "was repeated with other bytes"},
		"two results of one thing": {func(p *proof) {
			p.results[len(p.results)-1].id, p.results[len(p.results)-1].digest = "another", "others"
		}, func(f findings) int { return f.Contradicting }, "has two results"},
		"result that tells of trouble": {func(p *proof) { p.results[len(p.results)-1].typ = schemas.TypeEventUnresolved },
			func(f findings) int { return f.StrangeResult }, "has a result event.unresolved"},
		"result of no event": {func(p *proof) { p.results[len(p.results)-1].cause.id = "ghost" },
			func(f findings) int { return f.StrangeResult }, "ghost has a result"},
		"dead letter": {func(p *proof) { p.dead = []string{"api_rejected"} }, func(f findings) int { return f.DeadLetters },
			"a dead letter: api_rejected"},
		"state forgotten": {func(p *proof) { delete(p.state, "c/"+p.emitted[1].subject) },
			func(f findings) int { return f.Disagreeing }, "state of wallet-0: there is none"},
		"state not done": {func(p *proof) { order(p).Last.Verdict = outcome.Rejected },
			func(f findings) int { return f.Disagreeing }, "it is not done"},
		"state held": {func(p *proof) { order(p).Work = []attempt.Work{{}} }, func(f findings) int { return f.Disagreeing },
			"something is held"},
		"state of another offset": {func(p *proof) { order(p).Seen = 77 }, func(f findings) int { return f.Disagreeing },
			"done at offset 77, where it is not"},
		"state of an older time": {func(p *proof) { p.state["c/customer"].Customer.Wallets = p.state["c/customer"].Customer.Wallets[:1] },
			func(f findings) int { return f.Disagreeing }, "state of wallet-1: the customer does not have its wallet"},
		"another investment": {func(p *proof) { order(p).Order.InvestmentID = "another" },
			func(f findings) int { return f.Disagreeing }, "its investment or its credit is another"},
		"credit forgotten": {func(p *proof) { order(p).Order.CreditStatus = "" }, func(f findings) int { return f.Disagreeing },
			"its credit"},
		"state of no event": {func(p *proof) { p.state["c/order/ghost"] = state.NewRecord() }, nil, "no event: c/order/ghost"},
	} {
		p := cleanProof(t)
		c.plant(&p)
		f := audit(p)
		told := strings.Join(f.problems(), "\n")
		if !strings.Contains(told, c.says) {
			t.Errorf("%s: tells %q, want %q", name, told, c.says)
		}
		if c.count != nil && c.count(f) == 0 {
			t.Errorf("%s: counted as something else: %+v", name, f)
		}
	}
}

// Of a customer with many wallets state keeps some in records of their own.
func TestChaosAuditManyWallets(t *testing.T) {
	t.Parallel()
	p := cleanProof(t)
	customer, own := p.state["c/customer"].Customer, p.state["c/"+p.emitted[2].subject]
	own.Wallet = &customer.Wallets[1]
	customer.Wallets = customer.Wallets[:1]
	f := audit(p)
	if problems := f.problems(); len(problems) > 0 {
		t.Errorf("accuses the innocent: %s", strings.Join(problems, "; "))
	}
	own.Wallet.ID = "another"
	if f := audit(p); f.Disagreeing != 1 {
		t.Errorf("does not see another wallet: %+v", f)
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	began := time.Now()
	at := func(seconds ...float64) []time.Time {
		times := make([]time.Time, len(seconds))
		for i, s := range seconds {
			times[i] = began.Add(time.Duration(s * float64(time.Second)))
		}
		return times
	}
	times := map[int][]time.Time{0: at(0, 1, 2, 5, 6, 20), 1: at(0.5, 3.5, 4, 6, 21)}
	partition, all := pauses(times, []stretch{{at(2.5)[0], at(4.5)[0]}, {at(100)[0], at(101)[0]}})
	if !slices.Equal(partition, []time.Duration{3 * time.Second, 0}) || !slices.Equal(all, []time.Duration{1500 * time.Millisecond, 0}) {
		t.Errorf("%v, %v", partition, all)
	}
	if m := middle([]time.Duration{3, 1, 2}); m != 2 {
		t.Errorf("median %d", m)
	}
}
