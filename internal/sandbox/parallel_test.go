package sandbox_test

import (
	"fmt"
	"sync"
	"testing"

	"distributor-bridge/internal/sandbox"
)

// TestParallelClients has clients work side by side, each call made twice at once under one key, with faults of every
// kind: one effect each, no unit lost or made, and (with -race) no race.
func TestParallelClients(t *testing.T) {
	t.Parallel()
	const clients, orders, units = 8, 5, 10
	a := start(t, sandbox.Config{})
	for _, f := range []sandbox.Fault{
		{Kind: sandbox.Cut}, {Kind: sandbox.Cut, Applied: true},
		{Kind: sandbox.Status, Status: 500}, {Kind: sandbox.Status, Status: 502, Applied: true},
		{Kind: sandbox.Torn, Applied: true}, {Kind: sandbox.Malformed},
	} {
		f.Operation, f.Share = sandbox.Resources, 0.05
		a.server.Fault(f)
	}
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() { a.busy(n, orders, units) })
	}
	all.Go(func() { // somebody watches
		for range 50 {
			a.server.Stats()
			a.server.Calls()
			a.server.Holdings()
		}
	})
	all.Wait()

	for operation, want := range map[string]int{
		"create_investor": clients, "create_identification": clients, "create_managed_wallet": clients,
		"create_document": clients * orders, "create_investment": clients * orders, "create_credit": clients * orders,
		"create_redemption": clients * orders,
	} {
		if n := a.effects(operation); n != want {
			t.Errorf("%s had %d effects, want %d", operation, n, want)
		}
	}
	if n, want := a.units(), int64(clients*orders*(units-1)); n != want {
		t.Errorf("%d units are held, want %d", n, want)
	}
	if n := a.server.Stats().InFlight; n != 0 {
		t.Errorf("%d calls are in flight", n)
	}
}

// busy is one client: an investor and its orders, each followed by a redemption of one unit.
func (a *api) busy(n, orders, units int) {
	key := func(step string, i int) string { return fmt.Sprintf("%d-%s-%d", n, step, i) }
	investor := a.stubborn(func() response { return a.post("/investors/", key("investor", 0), person()) })
	a.stubborn(func() response {
		return a.post("/investors/"+investor+"/identifications/", key("identification", 0), identification())
	})
	wallet := a.stubborn(func() response {
		return a.post("/investors/"+investor+"/wallets/eth-managed/", key("wallet", 0), nil)
	})
	for i := range orders {
		document := a.stubborn(func() response { return a.upload(key("document", i)) })
		investment := a.stubborn(func() response {
			return a.post("/investments/", key("investment", i), fields{
				"campaign_id": a.server.Campaigns()[0].CampaignID, "investor_id": investor, "units": units,
				"signed_at":        "2026-01-02T03:04:05Z",
				"signed_documents": []fields{{"document_id": document, "category": "CONTRACT", "subject": "Subscription"}},
			})
		})
		a.stubborn(func() response { return a.post("/investments/"+investment+"/credits/", key("credit", i), nil) })
		a.stubborn(func() response {
			return a.post("/redemptions/", key("redemption", i), a.redemption(investor, wallet, 1))
		})
	}
}

// stubborn makes a call twice at once, until it has an ID, as often as it takes.
func (a *api) stubborn(call func() response) string {
	for {
		twice := make(chan response, 2)
		for range 2 {
			go func() { twice <- call() }()
		}
		first, second := <-twice, <-twice
		for _, r := range []response{first, second} {
			if r.status == 201 && r.field("id") != "" {
				return r.field("id")
			}
			if r.status >= 400 && r.status < 500 && r.status != 409 {
				a.t.Errorf("got %d %s", r.status, r.body)
				return ""
			}
		}
	}
}
