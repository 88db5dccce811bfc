package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

// TestFaultsComeInPairs strikes a call with each fault, not applied and applied, and repeats it under its key: then
// there is one effect, whatever happened.
func TestFaultsComeInPairs(t *testing.T) {
	status := func(code int) sandbox.Fault { return sandbox.Fault{Kind: sandbox.Status, Status: code} }
	type answer struct {
		lost   bool // no whole answer
		status int
	}
	for name, test := range map[string]struct {
		fault sandbox.Fault
		want  answer
	}{
		"500":       {fault: status(500), want: answer{status: 500}},
		"502":       {fault: status(502), want: answer{status: 502}},
		"503":       {fault: status(503), want: answer{status: 503}},
		"504":       {fault: status(504), want: answer{status: 504}},
		"401":       {fault: status(401), want: answer{status: 401}},
		"403":       {fault: status(403), want: answer{status: 403}},
		"429":       {fault: status(429), want: answer{status: 429}},
		"400":       {fault: status(400), want: answer{status: 400}},
		"cut":       {fault: sandbox.Fault{Kind: sandbox.Cut}, want: answer{lost: true}},
		"torn":      {fault: sandbox.Fault{Kind: sandbox.Torn}, want: answer{lost: true}},
		"hang":      {fault: sandbox.Fault{Kind: sandbox.Hang}, want: answer{lost: true}},
		"slow":      {fault: sandbox.Fault{Kind: sandbox.Slow, Delay: time.Hour}, want: answer{lost: true}},
		"malformed": {fault: sandbox.Fault{Kind: sandbox.Malformed}, want: answer{status: 201}},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, applied %t", name, applied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := local(t, sandbox.Config{})
					f := test.fault
					f.Operation, f.Applied, f.Nth = "create_investor", applied, 2
					id := a.server.Fault(f)
					a.must(a.post("/investors/", "first", person())) // the second is to be struck

					r := a.timeout(time.Second).post("/investors/", "second", person())
					if (r.err != nil) != test.want.lost || r.err == nil && r.status != test.want.status {
						t.Errorf("got %d %s (%v), want %+v", r.status, r.body, r.err, test.want)
					}
					if r.err == nil && r.status < 300 && r.field("id") != "" {
						t.Errorf("a broken answer has an ID: %s", r.body)
					}
					synctest.Wait() // the server has noticed that its client is gone
					if n := a.effects("create_investor"); n != 1+count(applied) {
						t.Errorf("%d effects after the fault", n)
					}
					if last := a.lastCall(); last.Fault != id || last.Applied != applied {
						t.Errorf("the call is noted as %+v", last)
					}
					a.must(a.post("/investors/", "second", person()))
					if n := a.effects("create_investor"); n != 2 {
						t.Errorf("%d effects after the repeat, want 2", n)
					}
					if last := a.lastCall(); last.Replayed != applied {
						t.Errorf("the repeat is noted as %+v", last)
					}
				})
			})
		}
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestConnectionsAreCut does over a network what TestFaultsComeInPairs does without.
func TestConnectionsAreCut(t *testing.T) {
	a := start(t, sandbox.Config{})
	for _, kind := range []sandbox.Kind{sandbox.Cut, sandbox.Torn} {
		for _, applied := range []bool{false, true} {
			before := a.effects("create_investor")
			a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: kind, Applied: applied, Count: 1})
			if r := a.post("/investors/", a.key(), person()); r.err == nil {
				t.Errorf("%s, applied %t: got %d %s", kind, applied, r.status, r.body)
			}
			if n := a.effects("create_investor") - before; n != count(applied) {
				t.Errorf("%s, applied %t: %d effects", kind, applied, n)
			}
		}
	}
	a.server.Fault(sandbox.Fault{Operation: "get_investor", Kind: sandbox.Hang, Count: 1})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { // ends when the client gives up
		req, err := http.NewRequestWithContext(ctx, "GET", a.base+"/v2/investors/"+nobody+"/", nil)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+a.token)
			_, err = a.http.Do(req) //nolint:bodyclose // there is no answer
		}
		gone <- err
	}()
	for a.server.Stats().InFlight == 0 {
		runtime.Gosched()
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	for a.server.Stats().InFlight > 0 { // the test's time limit is the limit
		runtime.Gosched()
	}
	if last := a.lastCall(); last.Status != 0 {
		t.Errorf("the call is noted as %+v", last)
	}
}

func (a *api) lastCall() sandbox.Call {
	calls := a.server.Calls()
	return calls[len(calls)-1]
}

// TestABrokenContractIsTheFirstAnswer says that an answer that the API itself gave stays the answer of its key.
func TestABrokenContractIsTheFirstAnswer(t *testing.T) {
	for _, applied := range []bool{false, true} {
		a := start(t, sandbox.Config{})
		a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Broken, Applied: applied, Count: 1})
		first := a.post("/investors/", "k", person())
		second := a.post("/investors/", "k", person())
		if first.status != 201 || first.field("id") != "" || string(second.body) != string(first.body) {
			t.Errorf("applied %t: got %d %s, then %s", applied, first.status, first.body, second.body)
		}
		if n := a.effects("create_investor"); (n == 1) != applied {
			t.Errorf("applied %t: %d effects", applied, n)
		}
	}
}

// TestACached500Stays says what a cached 500 does: its key never succeeds, whether it was applied or not.
func TestACached500Stays(t *testing.T) {
	for _, applied := range []bool{false, true} {
		a := start(t, sandbox.Config{Idempotency: sandbox.Idempotency{CacheErrors: true}})
		a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Status, Status: 500, Applied: applied, Count: 1})
		for range 2 {
			if r := a.post("/investors/", "k", person()); r.status != 500 {
				t.Errorf("applied %t: got %d", applied, r.status)
			}
		}
		if n := a.effects("create_investor"); (n == 1) != applied {
			t.Errorf("applied %t: %d effects", applied, n)
		}
	}
}

// TestALateCallLands says that a call can take effect after its client gave up and repeated it: one effect all the same.
func TestALateCallLands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := local(t, sandbox.Config{})
		a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Late, Delay: time.Minute, Count: 1})
		if r := a.timeout(time.Second).post("/investors/", "k", person()); r.err == nil {
			t.Fatalf("got %d", r.status)
		}
		if n := a.effects("create_investor"); n != 0 {
			t.Fatalf("%d effects before its time", n)
		}
		time.Sleep(2 * time.Minute)
		if n := a.effects("create_investor"); n != 1 {
			t.Fatalf("%d effects after its time", n)
		}

		a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Late, Delay: time.Minute, Count: 1})
		a.timeout(time.Second).post("/investors/", "l", person())
		id := a.must(a.post("/investors/", "l", person()))
		time.Sleep(2 * time.Minute)
		if n := a.effects("create_investor"); n != 2 {
			t.Errorf("%d effects, want 2", n)
		}
		if again := a.must(a.post("/investors/", "l", person())); again != id {
			t.Error("the key has another answer")
		}
	})
}

func TestASlowAnswerIsTheTrueOne(t *testing.T) {
	for _, applied := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a := local(t, sandbox.Config{})
			a.server.Fault(sandbox.Fault{Operation: "create_investor", Kind: sandbox.Slow, Delay: time.Minute, Applied: applied})
			begun := time.Now()
			done := make(chan response, 1)
			go func() { done <- a.post("/investors/", "k", person()) }()
			synctest.Wait()
			if n := a.effects("create_investor"); (n == 1) != applied {
				t.Errorf("applied %t: %d effects meanwhile", applied, n)
			}
			a.must(<-done)
			if took := time.Since(begun); took != time.Minute {
				t.Errorf("applied %t: it took %s", applied, took)
			}
		})
	}
}

func TestAnOutageIsForAll(t *testing.T) {
	a := start(t, sandbox.Config{})
	id := a.server.Fault(sandbox.Fault{Kind: sandbox.Outage, RetryAfter: 90 * time.Second})
	for name, r := range map[string]response{
		"token":   a.form(nil),
		"POST":    a.post("/investors/", a.key(), person()),
		"GET":     a.get("/investors/" + nobody + "/"),
		"nothing": a.get("/nothing/"),
	} {
		if r.status != 503 || r.header.Get("Retry-After") != "90" || r.header.Get("Content-Type") != "text/html" {
			t.Errorf("%s: got %d, %v", name, r.status, r.header)
		}
	}
	if !a.server.Unfault(id) || a.server.Unfault(id) {
		t.Error("the fault can be removed once")
	}
	a.must(a.post("/investors/", a.key(), person()))
	if n := len(a.server.Ledger()); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

// TestFaultsChooseTheirCalls says which of six calls, numbered from 1, are struck.
func TestFaultsChooseTheirCalls(t *testing.T) {
	for name, test := range map[string]struct {
		fault  sandbox.Fault
		struck string
	}{
		"for ever":         {sandbox.Fault{}, "123456"},
		"next two":         {sandbox.Fault{Count: 2}, "12"},
		"third":            {sandbox.Fault{Nth: 3}, "3"},
		"two from third":   {sandbox.Fault{Nth: 3, Count: 2}, "34"},
		"other operation":  {sandbox.Fault{Operation: "create_investment"}, ""},
		"all resources":    {sandbox.Fault{Operation: sandbox.Resources, Count: 1}, "1"},
		"matching":         {sandbox.Fault{Match: fields{"natural_person.forename": "F5"}}, "5"},
		"matching flag":    {sandbox.Fault{Match: fields{"is_beneficiary": true}, Count: 1}, "1"},
		"matching nothing": {sandbox.Fault{Match: fields{"natural_person.forename.first": "F5"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, sandbox.Config{})
			test.fault.Kind, test.fault.Status = sandbox.Status, 500
			a.server.Fault(test.fault)
			struck := ""
			for _, n := range "123456" {
				r := a.post("/investors/", a.key(), with(person(), "natural_person.forename", "F"+string(n)))
				if r.status == 500 {
					struck += string(n)
				}
			}
			if struck != test.struck {
				t.Errorf("struck %q, want %q", struck, test.struck)
			}
		})
	}
}

func TestFaultsMatchNumbersAndPaths(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	a.server.Fault(sandbox.Fault{Kind: sandbox.Status, Status: 500, Match: fields{"units": 300}})
	a.server.Fault(sandbox.Fault{Kind: sandbox.Status, Status: 502, Match: fields{"investor_id": investor}, Operation: "get_investor"})
	if r := a.post("/investments/", a.key(), a.order(investor, 300)); r.status != 500 {
		t.Errorf("300 units got %d", r.status)
	}
	a.must(a.post("/investments/", a.key(), a.order(investor, 301)))
	if r := a.get("/investors/" + investor + "/"); r.status != 502 {
		t.Errorf("the investor got %d", r.status)
	}
	a.server.Clear()
	if r := a.get("/investors/" + investor + "/"); r.status != 200 {
		t.Errorf("after Clear: %d", r.status)
	}
}

func TestAShareIsStruckByChance(t *testing.T) {
	struck := func(seed uint64) (n int) {
		a := local(t, sandbox.Config{Seed: seed})
		a.server.Fault(sandbox.Fault{Operation: "get_investor", Kind: sandbox.Status, Status: 500, Share: 0.3})
		for range 1000 {
			if a.get("/investors/"+nobody+"/").status == 500 {
				n++
			}
		}
		return n
	}
	n := struck(1)
	if n < 240 || n > 360 {
		t.Errorf("%d of 1000 were struck, want about 300", n)
	}
	if again := struck(1); again != n {
		t.Errorf("the same seed gave %d, then %d", n, again)
	}
}

func TestRates(t *testing.T) {
	for name, config := range map[string]sandbox.Config{
		"configured": {Rate: 0.5, Burst: 3},
		"fault":      {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := local(t, config) // its login is the first of the three
				if name == "fault" {
					a.server.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Rate, PerSecond: 0.5, Burst: 2})
				}
				get := func() response { return a.get("/investors/" + nobody + "/") }
				for range 2 {
					if r := get(); r.status != http.StatusNotFound {
						t.Errorf("within the burst: got %d", r.status)
					}
				}
				r := get()
				if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "2" {
					t.Errorf("above: got %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
				}
				time.Sleep(2 * time.Second)
				if r := get(); r.status != http.StatusNotFound {
					t.Errorf("later: got %d", r.status)
				}
			})
		})
	}
}

func TestFaultsAreValidated(t *testing.T) {
	for _, f := range []sandbox.Fault{
		{}, {Kind: "sleepy"}, {Kind: sandbox.Status}, {Kind: sandbox.Slow}, {Kind: sandbox.Late}, {Kind: sandbox.Rate},
		{Kind: sandbox.Cut, Nth: -1}, {Kind: sandbox.Cut, Share: 1}, {Kind: sandbox.Cut, Operation: "createInvestor"},
	} {
		if f.Validate() == nil {
			t.Errorf("%+v is valid", f)
		}
		if !panics(t, func(s *sandbox.Server) { s.Fault(f) }) {
			t.Errorf("%+v was set", f)
		}
	}
}

func panics(t *testing.T, do func(*sandbox.Server)) (panicked bool) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { panicked = recover() != nil }()
	do(s)
	return false
}
