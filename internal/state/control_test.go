package state_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/state"
)

// What holds for a partition is restored by its next owner, read by tools that do not own it, and changed in one piece by
// many at a time.
func TestControl(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	if c := s.Control(); c.Seen != -1 || len(c.Paused)+len(c.Lifted) != 0 {
		t.Errorf("a new partition has %+v", c)
	}
	write(t, s, "c1", map[string]*state.Record{"customer": full()})
	set(t, s, func(c *state.Control) bool {
		c.Pause("order.paid", state.Pause{ID: "p-1", Since: now, Ended: 60, Rejected: 50, Owner: "m"})
		c.Pause("customer.verified", state.Pause{ID: "p-2", Since: now})
		return true
	})
	before := s.Control()
	set(t, s, func(c *state.Control) bool {
		c.Seen = 10
		if c.Lift("order.paid", []string{"p-0"}) {
			t.Error("another pause was lifted")
		}
		if !c.Lift("customer.verified", []string{"p-7", "p-2"}) {
			t.Error("it was not lifted")
		}
		return true
	})
	if !before.IsPaused("customer.verified") || before.Seen != -1 {
		t.Error("what others had in hand was changed")
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			set(t, s, func(c *state.Control) bool { c.Pause(fmt.Sprintf("t%02d", i), state.Pause{ID: "p"}); return true })
		})
	}
	all.Wait()
	set(t, s, func(c *state.Control) bool { c.Seen = 99; return false }) // nothing to write

	check := func(who string, c *state.Control) {
		t.Helper()
		if c.Seen != 10 || len(c.Paused) != 21 || c.IsPaused("customer.verified") || !c.IsPaused("order.paid") || !c.IsPaused("t07") {
			t.Errorf("%s: got seen %d, paused %v", who, c.Seen, slices.Sorted(maps.Keys(c.Paused)))
		}
		if p := c.Paused["order.paid"]; p.ID != "p-1" || !p.Since.Equal(now) || p.Ended != 60 || p.Rejected != 50 || p.Owner != "m" {
			t.Errorf("%s: got %+v", who, p)
		}
		if !c.IsLifted("customer.verified", "p-7") || !c.IsLifted("order.paid", "p-0") || c.IsLifted("order.paid", "p-1") {
			t.Errorf("%s: lifted %v", who, c.Lifted)
		}
	}
	check("the owner", s.Control())
	next := open(t, cfg)
	check("the next owner", next.Control())
	if got := next.Highest(); got != 10 {
		t.Errorf("the highest offset known is %d: a command's counts", got)
	}
	ends, err := cfg.Client.EndOffset(t.Context(), cfg.Topic)
	if err != nil {
		t.Fatal(err)
	}
	read, err := state.ReadControl(t.Context(), cfg.Client, cfg.Topic, cfg.Partition, 0, ends[cfg.Partition])
	if err != nil {
		t.Fatal(err)
	}
	check("a tool", read)
	if err := s.SetControl(t.Context(), func(*state.Control) bool { return true }); err == nil {
		t.Error("an older owner could write")
	}
}

// A newer form is not overwritten by an older bridge.
func TestNewerControl(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	put(t, cfg, "control", []byte(`{"v":2,"seen":-1}`))
	if _, err := state.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "run the newer bridge") {
		t.Errorf("got %v", err)
	}
}

func set(t *testing.T, s *state.Store, change func(*state.Control) bool) {
	t.Helper()
	if err := s.SetControl(t.Context(), change); err != nil {
		t.Error(err)
	}
}
