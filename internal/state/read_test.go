package state_test

import (
	"errors"
	"slices"
	"testing"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// Read gives the newest record of each key, of all partitions or of some, and leaves the owner alone.
func TestRead(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	order := func(status string) *state.Record {
		r := state.NewRecord()
		r.Order = &attempt.Order{InvestmentID: "inv", Status: status}
		return r
	}
	write(t, s, "b", map[string]*state.Record{"order/1": order("OLD"), "customer": full()})
	write(t, s, "a", map[string]*state.Record{"order/1": order("OTHER"), "order/2": order("GONE")})
	write(t, s, "b", map[string]*state.Record{"order/1": order("NEW")})
	put(t, cfg, "a/order/2", nil)
	put(t, cfg, "control", []byte(`{"v":1,"seen":-1}`))
	other := cfg
	other.Partition, other.TransactionalID = 2, broker.Name(t, "id")
	write(t, open(t, other), "c", map[string]*state.Record{"order/1": order("ELSEWHERE")})

	var done, total int64
	read := func(rc state.ReadConfig) (found []string) {
		t.Helper()
		rc.Client, rc.Topic = cfg.Client, cfg.Topic
		rc.Progress = func(d, all int64) { done, total = d, all }
		err := state.Read(t.Context(), rc, func(customer string, e state.Entry) error {
			text := customer + " " + e.Key
			if e.Record.Order != nil {
				text += " " + e.Record.Order.Status
			}
			found = append(found, text)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return found
	}
	all := []string{"a order/1 OTHER", "b customer", "b order/1 NEW", "c order/1 ELSEWHERE"}
	if found := read(state.ReadConfig{}); !slices.Equal(found, all) {
		t.Errorf("all: %q, want %q", found, all)
	}
	if done != total || total == 0 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	if found := read(state.ReadConfig{Partitions: []int{2}}); !slices.Equal(found, all[3:]) {
		t.Errorf("one partition: %q", found)
	}
	of := func(customer, key string) bool { return customer == "b" && key == "order/1" }
	if found := read(state.ReadConfig{Want: of}); !slices.Equal(found, all[2:3]) {
		t.Errorf("what is wanted: %q", found)
	}
	write(t, s, "b", map[string]*state.Record{"order/1": order("STILL OWNED")})
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	cfg := setup(t, broker.ForTest(t))
	s := open(t, cfg)
	write(t, s, "a", map[string]*state.Record{"customer": full()})
	enough := errors.New("enough")
	rc := state.ReadConfig{Client: cfg.Client, Topic: cfg.Topic}
	if err := state.Read(t.Context(), rc, func(string, state.Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of take: %v", err)
	}
	rc.Partitions = []int{partitions}
	if err := state.Read(t.Context(), rc, nil); !errors.Is(err, kafka.ErrNoTopic) {
		t.Errorf("a partition that is not there: %v", err)
	}
	put(t, cfg, "a/order/1", []byte(`{"v":99}`))
	rc.Partitions = nil
	if err := state.Read(t.Context(), rc, func(string, state.Entry) error { return nil }); err == nil {
		t.Error("a record of a newer bridge was read")
	}
}
