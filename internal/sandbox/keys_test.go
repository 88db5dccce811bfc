package sandbox_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

// TestARepeatGetsTheFirstAnswer makes every call with an effect twice.
func TestARepeatGetsTheFirstAnswer(t *testing.T) {
	a := start(t, sandbox.Config{})
	natural, firm := a.investor(), a.company()
	holder, wallet := a.holder(10)
	investment := a.investment(holder, 1)
	order := a.order(holder, 2)
	for name, call := range map[string]func() response{
		"document":       func() response { return a.upload("1") },
		"investor":       func() response { return a.post("/investors/", "2", person()) },
		"update":         func() response { return a.patch("/investors/"+natural+"/", "3", fields{"is_beneficiary": false}) },
		"identification": func() response { return a.post("/investors/"+natural+"/identifications/", "4", identification()) },
		"persons": func() response {
			return a.post("/investors/"+firm+"/benefiting-persons/", "5", []fields{benefitingPerson()})
		},
		"managed wallet": func() response { return a.post("/investors/"+natural+"/wallets/eth-managed/", "6", nil) },
		"generic wallet": func() response {
			return a.post("/investors/"+natural+"/wallets/eth-generic/", "7", fields{"address": address})
		},
		"investment": func() response { return a.post("/investments/", "8", order) },
		"credit":     func() response { return a.post("/investments/"+investment+"/credits/", "9", nil) },
		"redemption": func() response { return a.post("/redemptions/", "10", a.redemption(holder, wallet, 6)) },
		"transfer": func() response {
			return a.post("/transfers/", "11", a.transfer(wallet, "0x1111111111111111111111111111111111111111", 3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(a.server.Ledger())
			first, second := call(), call()
			if first.status >= 300 || second.status != first.status || string(second.body) != string(first.body) {
				t.Errorf("got %d %s, then %d %s", first.status, first.body, second.status, second.body)
			}
			if n := len(a.server.Ledger()) - before; n != 1 {
				t.Errorf("%d effects, want 1", n)
			}
			calls := a.server.Calls()
			if last := calls[len(calls)-1]; !last.Replayed || last.Applied || last.Status != first.status {
				t.Errorf("the repeat is noted as %+v", last)
			}
		})
	}
}

func TestErrorsAreCachedOrNot(t *testing.T) {
	for _, cached := range []bool{false, true} {
		a := start(t, sandbox.Config{Idempotency: sandbox.Idempotency{CacheErrors: cached}})
		id := a.must(a.post("/investors/", a.key(), person()))
		wallet := func() response { return a.post("/investors/"+id+"/wallets/eth-managed/", "w", nil) }
		if r := wallet(); r.status != 400 {
			t.Fatalf("a wallet before KYC got %d", r.status)
		}
		a.must(a.post("/investors/"+id+"/identifications/", a.key(), identification()))
		if r := wallet(); (r.status == 400) != cached {
			t.Errorf("errors cached %t: the repeat of a refusal got %d", cached, r.status)
		}
		for _, status := range []int{400, 404, 409, 422, 500, 401, 403, 429, 502, 503, 504} {
			ours := status == 500 || status < 500 && status != 401 && status != 403 && status != 429
			key := a.key()
			a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Status, Status: status, Count: 1})
			if r := a.post("/investors/", key, person()); r.status != status {
				t.Errorf("the fault %d got %d", status, r.status)
			}
			if r := a.post("/investors/", key, person()); (r.status == status) != (cached && ours) {
				t.Errorf("errors cached %t: the repeat after %d got %d", cached, status, r.status)
			}
		}
	}
}

func TestAKeyWithAnotherBody(t *testing.T) {
	for _, answers := range []bool{false, true} {
		a := start(t, sandbox.Config{Idempotency: sandbox.Idempotency{AnswerMismatch: answers}})
		first := a.must(a.post("/investors/", "k", person()))
		a.must(a.upload("d"))
		media, body := file(t, "d", "file", "proof.pdf", "something else")
		for name, r := range map[string]response{
			"other body":     a.post("/investors/", "k", with(person(), "is_beneficiary", false)),
			"other path":     a.post("/investors/"+first+"/identifications/", "k", identification()),
			"other document": a.send("POST", a.base+"/v2/documents/", "d", media, body),
		} {
			want := http.StatusUnprocessableEntity
			if answers {
				want = http.StatusCreated
			}
			if r.status != want {
				t.Errorf("answers %t, %s: got %d %s, want %d", answers, name, r.status, r.body, want)
			}
		}
		if n := len(a.server.Ledger()); n != 2 {
			t.Errorf("%d effects, want 2", n)
		}
	}
}

func TestAKeyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, sandbox.Config{TokenLifetime: 1000 * time.Hour, Idempotency: sandbox.Idempotency{Retention: time.Hour}})
		first := a.must(a.post("/investors/", "k", person()))
		time.Sleep(time.Hour - time.Second)
		if again := a.must(a.post("/investors/", "k", person())); again != first {
			t.Error("the key was forgotten early")
		}
		if d := a.server.Doubles(); len(d) != 0 {
			t.Errorf("doubles: %+v", d)
		}
		time.Sleep(time.Second)
		if again := a.must(a.post("/investors/", "k", person())); again == first {
			t.Error("the key was not forgotten")
		}
		if d := a.server.Doubles(); len(d) != 1 || len(d[0]) != 2 {
			t.Errorf("doubles: %+v", d)
		}
	})
}

func TestAKeyInFlightIs409(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, sandbox.Config{Latency: time.Minute})
		first := make(chan response, 1)
		go func() { first <- a.post("/investors/", "k", person()) }()
		synctest.Wait()
		if r := a.post("/investors/", "k", person()); r.status != http.StatusConflict {
			t.Errorf("got %d %s, want 409", r.status, r.body)
		}
		id := a.must(<-first)
		if again := a.must(a.post("/investors/", "k", person())); again != id {
			t.Error("the repeat afterwards is another investor")
		}
		if n := a.server.Stats().MaxInFlight; n != 2 {
			t.Errorf("%d calls were in flight at once, want 2", n)
		}
	})
}

// TestDoublesAreFound says that one thing done under two keys shows, and two things that only look alike do too: which
// of them it is, the auditor knows.
func TestDoublesAreFound(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor, wallet := a.holder(10)
	other, otherWallet := a.holder(10)
	before := len(a.server.Doubles()) // the investors of this test look alike
	a.must(a.post("/redemptions/", a.key(), a.redemption(other, otherWallet, 1)))
	a.must(a.post("/redemptions/", "a", a.redemption(investor, wallet, 1)))
	a.must(a.post("/redemptions/", "a", a.redemption(investor, wallet, 1)))
	if n := len(a.server.Doubles()) - before; n != 0 {
		t.Errorf("%d doubles after a repeat under one key", n)
	}
	a.must(a.post("/redemptions/", "b", a.redemption(investor, wallet, 1)))
	doubles := a.server.Doubles()[before:]
	if len(doubles) != 1 || len(doubles[0]) != 2 || doubles[0][0].Key != "a" || doubles[0][1].Key != "b" {
		t.Errorf("doubles: %+v", doubles)
	}
}
