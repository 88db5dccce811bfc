package handlers_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	"distributor-bridge/internal/sandbox"
)

// What a verified event of a linked customer tells does not depend on whether an answer was lost on its way.
func TestLinkedThenVerified(t *testing.T) {
	for name, fault := range map[string]*sandbox.Fault{
		"no fault": nil, "lost answer": new(lost("create_identification")), "outage": {Kind: sandbox.Outage, Operation: "create_identification", Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, testCase{name: "customer.linked/managed"}, 0)
				w.given("other-managed")
				w.handle("event") // customer.linked of 42
				w.published = nil
				if fault != nil {
					w.fault(*fault)
				}
				w.deliver(w.load(filepath.Join("testdata", "customer.verified", "again", "event.json")))
				w.settle()
				var got []string
				for _, p := range w.published {
					got = append(got, p.Type)
				}
				t.Log(got)
				if len(got) == 0 || got[0] != "customer.updated" {
					t.Errorf("published %v, want customer.updated: the customer was registered before", got)
				}
			})
		})
	}
}
