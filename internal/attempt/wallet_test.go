package attempt_test

import (
	"fmt"
	"testing"

	"distributor-bridge/internal/attempt"
)

// With the number of a customer's wallets the work for the next one does not grow: after the first few each has an object of
// its own.
func TestManyWallets(t *testing.T) {
	t.Parallel()
	j := &journal{objects: map[string]attempt.Object{}}
	add := func(w attempt.Wallet) map[string]attempt.Object {
		r := attempt.New(rules, j, attempt.Work{Event: paid})
		r.AddWallet(w)
		changed := byKey(t, r.Changed())
		for key, o := range changed {
			j.objects[key] = o
		}
		return changed
	}
	for i := range 100 {
		changed := add(attempt.Wallet{ID: fmt.Sprint("w-", i), Address: fmt.Sprintf("0xAB%d", i)})
		woken := false
		for key := range changed {
			woken = woken || attempt.Awaited(key) == attempt.KeyCustomer
		}
		if !woken {
			t.Errorf("wallet %d: nobody who waits for the customer is woken by %v", i, changed)
		}
		if _, ok := changed[attempt.KeyCustomer]; ok && i > 2 {
			t.Errorf("wallet %d: the customer is written again", i)
		}
		if again := add(attempt.Wallet{ID: fmt.Sprint("w-", i), Address: fmt.Sprintf("0xab%d", i)}); len(again) != 0 {
			t.Errorf("wallet %d again: changed %v", i, again)
		}
	}
	add(attempt.Wallet{ID: "managed", Managed: true})
	add(attempt.Wallet{ID: "managed", Managed: true, Address: "0xfe"}) // the API tells its address
	c := j.objects[attempt.KeyCustomer].Customer
	if len(c.Wallets) != 3 || c.More != 1 || len(j.objects) != 99 {
		t.Errorf("the customer holds %d wallets and says %d of more, %d objects", len(c.Wallets), c.More, len(j.objects))
	}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	for i := range 100 {
		if w, ok := r.Wallet(fmt.Sprintf("0xaB%d", i)); !ok || w.ID != fmt.Sprint("w-", i) {
			t.Errorf("wallet %d: %+v, %v", i, w, ok)
		}
	}
	if w, ok := r.Wallet("0xFE"); !ok || w.ID != "managed" {
		t.Errorf("the managed one: %+v, %v", w, ok)
	}
	if _, ok := r.Wallet("0xdead"); ok {
		t.Error("a wallet is known that nobody added")
	}
	if changed := r.Changed(); len(changed) != 0 {
		t.Errorf("looking changed %v", changed)
	}
}
