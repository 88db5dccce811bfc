package sandbox_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/sandbox"
)

// control calls an endpoint under /sandbox/ and decodes its answer into v, if there is one.
func (a *api) control(method, path, body string, v any) int {
	a.t.Helper()
	r := a.send(method, strings.TrimSuffix(a.base, sandbox.Base)+"/sandbox/"+path, "", "application/json", []byte(body))
	if v != nil {
		if err := json.Unmarshal(r.body, v); err != nil {
			a.t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
		}
	}
	return r.status
}

func TestFaultsByHTTP(t *testing.T) {
	a := start(t, sandbox.Config{})
	var set struct{ ID string }
	body := `{"operation": "create_investor", "kind": "status", "status": 503, "retry_after": "7s", "applied": true, "count": 1}`
	if status := a.control("POST", "faults", body, &set); status != 201 || set.ID == "" {
		t.Fatalf("got %d, id %q", status, set.ID)
	}
	r := a.post("/investors/", "k", person())
	if r.status != 503 || r.header.Get("Retry-After") != "7" || a.effects("create_investor") != 1 {
		t.Errorf("got %d, %v", r.status, r.header)
	}
	var list []struct {
		ID     string
		Struck int
		Fault  sandbox.Fault
	}
	a.control("GET", "faults", "", &list)
	if len(list) != 1 || list[0].ID != set.ID || list[0].Struck != 1 || list[0].Fault.RetryAfter != 7*time.Second {
		t.Errorf("listed %+v", list)
	}
	if status := a.control("DELETE", "faults/"+set.ID, "", nil); status != 204 {
		t.Errorf("removing it got %d", status)
	}
	if status := a.control("DELETE", "faults/"+set.ID, "", nil); status != 404 {
		t.Errorf("removing it again got %d", status)
	}
	for _, bad := range []string{`{}`, `{"kind": "cut", "when": "now"}`, `{"kind": "slow", "delay": 5}`, `cut`} {
		if status := a.control("POST", "faults", bad, nil); status != 400 {
			t.Errorf("%s got %d", bad, status)
		}
	}
	a.control("POST", "faults", `{"kind": "outage"}`, nil)
	if status := a.control("DELETE", "faults", "", nil); status != 204 {
		t.Errorf("removing all got %d", status)
	}
	a.must(a.post("/investors/", a.key(), person()))
}

func TestLedgerByHTTP(t *testing.T) {
	a := start(t, sandbox.Config{})
	if r := a.send("GET", strings.TrimSuffix(a.base, sandbox.Base)+"/sandbox/ledger", "", "", nil); strings.TrimSpace(string(r.body)) != "[]" {
		t.Errorf("an empty ledger is %s", r.body)
	}
	investor := a.investor()
	var effects []sandbox.Effect
	a.control("GET", "ledger", "", &effects)
	if len(effects) != 2 {
		t.Fatalf("%d effects", len(effects))
	}
	for i, want := range []string{"create_investor", "create_identification"} {
		e := effects[i]
		if e.Seq != i+1 || e.Operation != want || e.InvestorID != investor || e.Key == "" || len(e.Digest) != 64 || e.Time.IsZero() {
			t.Errorf("effect %d is %+v", i, e)
		}
	}
	if effects[0].ObjectID != investor || effects[1].Target != investor {
		t.Errorf("the effects are about %+v", effects)
	}
	var later []sandbox.Effect
	a.control("GET", "ledger?after=1", "", &later)
	if len(later) != 1 || later[0] != effects[1] {
		t.Errorf("after 1: %+v", later)
	}
	if status := a.control("GET", "ledger?after=x", "", nil); status != 400 {
		t.Errorf("after x got %d", status)
	}
	var stats sandbox.Stats
	a.control("GET", "stats", "", &stats)
	if stats.Calls["create_investor"] != 1 || stats.Calls["token"] != 1 || stats.Statuses[201] != 2 ||
		stats.Effects["create_identification"] != 1 || stats.InFlight != 0 || stats.MaxInFlight != 1 {
		t.Errorf("stats: %+v", stats)
	}
	var calls []sandbox.Call
	a.control("GET", "calls", "", &calls)
	if len(calls) != 3 || calls[1].Path != "/api/external/v2/investors/" || !calls[1].Applied || calls[1].Status != 201 {
		t.Errorf("calls: %+v", calls)
	}
	var doubles [][]sandbox.Effect
	a.control("GET", "doubles", "", &doubles)
	if len(doubles) != 0 {
		t.Errorf("doubles: %+v", doubles)
	}
}

// TestTheBooksHoldNoPersonalData looks for what was posted in everything that is written down.
func TestTheBooksHoldNoPersonalData(t *testing.T) {
	a := start(t, sandbox.Config{})
	a.holder(1)
	a.post("/investors/", a.key(), with(person(), "natural_person.country", "Erika"))
	books, err := json.Marshal([]any{a.server.Ledger(), a.server.Calls(), a.server.Stats(), a.server.Doubles()})
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{"Erika", "Mustermann", "1964", "DE89", "example.com", "proof.pdf", "L01X00T47", a.token} {
		if strings.Contains(string(books), private) {
			t.Errorf("%q is in the books", private)
		}
	}
}

func TestTheCallLogIsBounded(t *testing.T) {
	a := start(t, sandbox.Config{CallLog: 3})
	for range 5 {
		a.get("/investors/" + nobody + "/")
	}
	calls := a.server.Calls()
	if len(calls) != 3 || calls[0].Seq != 4 || calls[2].Seq != 6 {
		t.Errorf("calls: %+v", calls)
	}
}

func TestKYCByHTTP(t *testing.T) {
	a := start(t, sandbox.Config{})
	match := `{"match": {"natural_person.surname": "Refused"}, "verdict": "REJECTED"}`
	if status := a.control("POST", "kyc", match, nil); status != 204 {
		t.Fatalf("got %d", status)
	}
	refused := a.must(a.post("/investors/", a.key(), with(person(), "natural_person.surname", "Refused")))
	a.must(a.post("/investors/"+refused+"/identifications/", a.key(), identification()))
	if k := a.kyc(refused); k != "REJECTED" {
		t.Errorf("who matches is %s", k)
	}
	accepted := a.investor()
	if k := a.kyc(accepted); k != "SUCCESS" {
		t.Errorf("who does not match is %s", k)
	}
	firm := a.company() // without benefiting persons
	if status := a.control("POST", "kyc", `{"investor_id": "`+firm+`"}`, nil); status != 204 {
		t.Fatalf("got %d", status)
	}
	if k := a.kyc(firm); k != "SUCCESS" {
		t.Errorf("who is told is %s", k)
	}
	for _, bad := range []string{`{}`, `{"investor_id": "` + nobody + `"}`, `{"investor_id": "` + firm + `", "verdict": "MAYBE"}`,
		`{"investor_id": "` + firm + `", "match": {"a": 1}}`, `{"match": {"a": 1}, "delay": "-1s"}`} {
		if status := a.control("POST", "kyc", bad, nil); status != 400 {
			t.Errorf("%s got %d", bad, status)
		}
	}
}

func TestStatusesByHTTP(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	a.wallet(investor)
	id := a.investment(investor, 5)
	for _, status := range []string{"CANCELLED_BY_ISSUER", "ACCEPTED"} {
		if code := a.control("POST", "investments/"+id, `{"status": "`+status+`"}`, nil); code != 204 {
			t.Fatalf("got %d", code)
		}
		if s := a.status("/investments/" + id + "/"); s != status {
			t.Errorf("the status is %s, want %s", s, status)
		}
	}
	a.control("POST", "investments/"+id, `{"status": ""}`, nil)
	if s := a.status("/investments/" + id + "/"); s != "PAID" {
		t.Errorf("let go, the status is %s", s)
	}

	// A credit by hand, while one by call is under way: the units arrive once.
	if code := a.control("POST", "tasks", `{"operation": "create_credit", "verdict": "processing"}`, nil); code != 204 {
		t.Fatalf("got %d", code)
	}
	task := a.must(a.post("/investments/"+id+"/credits/", a.key(), nil))
	a.control("POST", "investments/"+id, `{"status": "DELIVERED"}`, nil)
	if code := a.control("POST", "tasks", `{"task_id": "`+task+`", "verdict": "succeeded"}`, nil); code != 204 {
		t.Errorf("ending the task got %d", code)
	}
	var held []sandbox.Holding
	a.control("GET", "holdings", "", &held)
	if len(held) != 1 || held[0].Units != 5 {
		t.Errorf("holdings: %+v", held)
	}
	if n := a.effects("credit_by_hand"); n != 1 {
		t.Errorf("%d credits by hand in the ledger", n)
	}
	if r := a.post("/investments/"+id+"/credits/", a.key(), nil); r.status != 400 {
		t.Errorf("another credit got %d", r.status)
	}

	homeless := a.investment(a.investor(), 1)
	for path, body := range map[string]string{
		"investments/" + nobody:   `{"status": "PAID"}`,
		"investments/" + id:       `{"state": "PAID"}`,
		"investments/" + homeless: `{"status": "DELIVERED"}`,
		"tasks":                   `{"operation": "create_investor"}`,
	} {
		if code := a.control("POST", path, body, nil); code != 400 {
			t.Errorf("%s %s got %d", path, body, code)
		}
	}
}

func TestResetForgetsAllButAccess(t *testing.T) {
	a := start(t, sandbox.Config{})
	a.holder(1)
	a.server.Fault(sandbox.Fault{Kind: sandbox.Cut})
	if code := a.control("POST", "reset", "", nil); code != 204 {
		t.Fatalf("got %d", code)
	}
	if len(a.server.Ledger())+len(a.server.Calls())+len(a.server.Holdings()) != 0 {
		t.Error("something is left")
	}
	a.keys.Store(0) // the same keys again
	a.holder(1)
	if n := a.server.Stats().Replayed; n != 0 {
		t.Errorf("%d calls were replayed", n)
	}
	if code := a.control("POST", "tokens/revoke", "", nil); code != 204 {
		t.Fatalf("got %d", code)
	}
	if r := a.get("/investors/" + nobody + "/"); r.status != http.StatusUnauthorized {
		t.Errorf("a revoked token got %d", r.status)
	}
}
