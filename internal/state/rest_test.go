package state_test

import (
	"reflect"
	"slices"
	"testing"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/state"
)

// quiet gives a record of which nothing is to be done but, perhaps, to publish its outcome again.
func quiet() *state.Record {
	r := full()
	r.Work, r.Behind = nil, nil
	return r
}

// An outcome is there for as long as its offset can be delivered again: for this owner and for the next.
func TestOutcomesLeave(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	write(t, s, "c1", map[string]*state.Record{"customer": quiet(), "order/1": full()})
	without := quiet()
	without.Last = nil
	tidy := func(s *state.Store, committed int64) {
		s.Committed(committed)
		if err := s.Idle(t.Context()); err != nil {
			t.Error(err)
		}
	}
	tidy(s, 7)
	if got := s.Get("c1", "customer"); !reflect.DeepEqual(got, quiet()) {
		t.Errorf("offset 7 is to be delivered again, and its record is %+v", got)
	}
	if got := open(t, cfg).Get("c1", "customer"); !reflect.DeepEqual(got, quiet()) {
		t.Errorf("nothing committed, restored as %+v", got)
	}
	late := cfg
	late.Committed = 8
	s = open(t, late)
	if live := s.Live("c1"); len(live) != 1 || live[0].Key != "order/1" {
		t.Errorf("live are %v, want what is to be done", live)
	}
	if got := s.Get("c1", "customer"); !reflect.DeepEqual(got, without) {
		t.Errorf("committed before it was restored: %+v", got)
	}
	if got := s.Get("c1", "order/1"); got.Last != nil || len(got.Work) != 1 {
		t.Errorf("with work, committed before it was restored: %+v", got)
	}
	if got := s.Busy(); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("busy %v", got)
	}
	if s.Len() != 2 || s.Highest() != 7 {
		t.Errorf("%d objects, highest %d", s.Len(), s.Highest())
	}
	// A record that is written again loses the outcome in the topic, too; who sets offsets back is told that it is done.
	write(t, s, "c1", map[string]*state.Record{"customer": s.Edit("c1", "customer")})
	if got := open(t, cfg).Get("c1", "customer"); !reflect.DeepEqual(got, without) {
		t.Errorf("written again, restored as %+v", got)
	}
}

// What is at rest stays there when the partition is kept over a rebalance.
func TestRetakeKeepsRest(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	write(t, s, "c1", map[string]*state.Record{"customer": quiet(), "order/1": full()})
	s.Committed(8)
	if err := s.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Retake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if live := s.Live("c1"); len(live) != 1 || s.Len() != 2 || s.Get("c1", "customer").Seen != 7 {
		t.Errorf("live %v, %d objects", live, s.Len())
	}
}

// An older bridge refuses what it does not understand, and goes on with the rest.
func TestVersions(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	own, more := state.NewRecord(), state.NewRecord()
	own.Wallet = &attempt.Wallet{ID: "w", Address: "0xab"}
	more.Customer = &attempt.Customer{InvestorID: "i", More: 1}
	for _, r := range []*state.Record{full(), own, more} {
		write(t, s, "c1", map[string]*state.Record{"customer": r})
		if got := open(t, cfg).Get("c1", "customer"); !reflect.DeepEqual(got, r) {
			t.Errorf("restored %+v, want %+v", got, r)
		}
		s = open(t, cfg)
	}
}

// A copy to be changed shares what it can with the record, which does not change with it.
func TestEditLeavesTheRecord(t *testing.T) {
	t.Parallel()
	s := state.NewUnwritten()
	r := full()
	for i := range 32 {
		r.Remember(string(rune('a' + i)))
	}
	r.Put(attempt.Work{Offset: 8})
	want := r.Clone()
	write(t, s, "c1", map[string]*state.Record{"customer": r})
	for range 2 { // the second copy is as the first was
		c := s.Edit("c1", "customer")
		c.Remember("new")
		c.Put(attempt.Work{Offset: 6, Tries: 99, Event: attempt.Event{Data: []byte(`{"iban":1}`)}})
		c.Put(attempt.Work{Offset: 7})
		c.Drop(8, "")
		c.Behind = append(c.Behind, 10)
		if !c.Knows("new") || len(c.Recent) != 32 || len(c.Work) != 2 || c.Work[0].Tries != 99 || len(c.Behind) != 3 {
			t.Errorf("changed to %+v", c)
		}
		if c.Work[0].Event.Data != nil {
			t.Error("state keeps an event's data")
		}
		c.Drop(6, "")
		c.Drop(7, "")
		if len(c.Work) != 0 {
			t.Errorf("work %+v", c.Work)
		}
	}
	if got := s.Get("c1", "customer"); !reflect.DeepEqual(got, want) {
		t.Errorf("a change of a copy changed the record: %+v", got)
	}
}
