package attempt_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

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

// An older bridge counted the wallets that have an object of their own; the next one does not write the customer.
func TestCountedWallets(t *testing.T) {
	t.Parallel()
	first := attempt.Customer{InvestorID: "inv-1", Wallets: []attempt.Wallet{{ID: "w-1", Address: "0x1"}, {ID: "w-2", Address: "0x2"}}, More: 98}
	j := &journal{objects: map[string]attempt.Object{attempt.KeyCustomer: {Customer: &first}}}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	r.AddWallet(attempt.Wallet{ID: "w-101", Address: "0xab"})
	changed := byKey(t, r.Changed())
	if own := changed[attempt.KeyWallet("0xab")].Wallet; len(changed) != 1 || own == nil || own.ID != "w-101" {
		t.Errorf("changed %+v", changed)
	}
	if r.Customer().More != 98 {
		t.Errorf("the customer says %d of more wallets", r.Customer().More)
	}
}

// What two attempts change of one customer, whose lists they share and which have room for more, neither sees of the other.
func TestSharedCustomer(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	known := func() attempt.Customer {
		return attempt.Customer{
			InvestorID: "inv-1", Wallets: append(make([]attempt.Wallet, 0, 8), attempt.Wallet{ID: "w-1", Address: "0xab"}),
			Parts: map[string]time.Time{"tax": day},
		}
	}
	c := known()
	j := &journal{objects: map[string]attempt.Object{attempt.KeyCustomer: {Customer: &c}}}
	change := func(wallet, part string, at time.Time) *attempt.Customer {
		c := attempt.New(rules, j, attempt.Work{Event: paid}).Customer()
		c.AddWallet(attempt.Wallet{ID: wallet, Address: "0xCD"})
		c.Apply(at, part)
		return c
	}
	added := change("w-2", "person", day)
	replaced := change("w-1", "tax", day.AddDate(0, 0, 1))
	also := change("w-3", "tax", day.AddDate(0, 0, -1)) // older: it changes nothing

	first, tax := attempt.Wallet{ID: "w-1", Address: "0xab"}, map[string]time.Time{"tax": day}
	for name, c := range map[string]struct {
		got, want *attempt.Customer
	}{
		"known": {&c, new(known())},
		"added": {added, &attempt.Customer{
			InvestorID: "inv-1", Wallets: []attempt.Wallet{first, {ID: "w-2", Address: "0xcd"}},
			Parts: map[string]time.Time{"tax": day, "person": day},
		}},
		"replaced": {replaced, &attempt.Customer{
			InvestorID: "inv-1", Wallets: []attempt.Wallet{{ID: "w-1", Address: "0xcd"}}, Parts: map[string]time.Time{"tax": day.AddDate(0, 0, 1)},
		}},
		"another": {also, &attempt.Customer{InvestorID: "inv-1", Wallets: []attempt.Wallet{first, {ID: "w-3", Address: "0xcd"}}, Parts: tax}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, c.got, c.want)
		}
	}
}
