package state_test

import (
	"fmt"
	"slices"
	"testing"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/state"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	r := state.NewRecord()
	for i := range 40 {
		r.Remember(fmt.Sprint(i))
		r.Remember(fmt.Sprint(i)) // once
	}
	for i := range 40 {
		if got, want := r.Knows(fmt.Sprint(i)), i >= 8; got != want {
			t.Errorf("knows %d: %v, want %v: the last 32", i, got, want)
		}
	}
}

func TestWorkIsSorted(t *testing.T) {
	t.Parallel()
	r := state.NewRecord()
	for _, offset := range []int64{5, 1, 3, 5} {
		r.Put(attempt.Work{Offset: offset, Tries: int(offset)})
	}
	r.Put(attempt.Work{Offset: 3, Follow: "status"})
	r.Put(attempt.Work{Offset: 3, Tries: 33}) // replaces
	var got []string
	for _, w := range r.Work {
		got = append(got, fmt.Sprint(w.Offset, w.Follow, w.Tries))
	}
	if want := []string{"1 1", "3 33", "3status0", "5 5"}; len(got) != len(want) {
		t.Errorf("work %q, want %q", got, want)
	}
	if !slices.IsSortedFunc(r.Work, func(a, b attempt.Work) int { return int(a.Offset - b.Offset) }) {
		t.Errorf("work %q is not sorted by offset", got)
	}
	if i := r.Find(3, ""); i < 0 || r.Work[i].Tries != 33 {
		t.Error("the work was not replaced")
	}
	if i := r.FindFollow("status"); i < 0 || r.Work[i].Offset != 3 {
		t.Error("the follow-up is not found by its name")
	}
	r.Drop(3, "")
	r.Drop(4, "")
	if len(r.Work) != 3 || r.Find(3, "") >= 0 || r.Find(3, "status") < 0 {
		t.Errorf("after drop: %+v", r.Work)
	}
}

func TestCloneCanBeChanged(t *testing.T) {
	t.Parallel()
	r := full()
	c := r.Clone()
	c.Customer.AddWallet(attempt.Wallet{ID: "w", Address: "changed"})
	c.Customer.Apply(now.AddDate(1, 0, 0), "person")
	c.Recent[0], c.Behind[0], c.Work[0].Tries = "changed", 99, 99
	c.Work[0].Answers["document"] = []byte(`"changed"`)
	c.Work[0].Generation["investor"] = 99
	c.Work[0].Told[0] = "changed"
	want := full()
	if r.Customer.Wallets[0] != want.Customer.Wallets[0] || !r.Customer.Parts["person"].Equal(now) || r.Recent[0] != want.Recent[0] ||
		r.Behind[0] != 8 || r.Work[0].Tries != 3 || string(r.Work[0].Answers["document"]) != `"d"` ||
		r.Work[0].Generation["investor"] != 1 || r.Work[0].Told[0] != want.Work[0].Told[0] {
		t.Errorf("a change of the copy changed the record: %+v", r)
	}
}
