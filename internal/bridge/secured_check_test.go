package bridge_test

import (
	"slices"
	"strings"
	"testing"

	"distributor-bridge/internal/bridge"
)

// On a real Kafka check is green with the documented permissions, and with one of them less it says which, in one line.
func TestCheckNamesMissingPermissions(t *testing.T) {
	s := newSecured(t, nil)
	w := s.world(t)
	w.cfg.Webhooks.Listen, w.cfg.Webhooks.Token = freeAddress(t), hintToken
	list := slices.Concat(bridge.ACLs(w.cfg, bridge.RoleRun), bridge.ACLs(w.cfg, bridge.RoleCheck))
	s.allow(t, "bridge", list...)
	look := func() (bad []bridge.Finding) {
		bridge.Check(t.Context(), w.cfg, bridge.CheckOptions{}, func(f bridge.Finding) {
			if f.Level == bridge.Wrong || f.Level == bridge.LeftOut {
				bad = append(bad, f)
			}
		})
		return bad
	}
	if bad := look(); len(bad) > 0 {
		t.Fatalf("with all permissions: %+v", bad)
	}
	for _, a := range list {
		s.forbid(t, "bridge", a)
		bad := look()
		named := slices.ContainsFunc(bad, func(f bridge.Finding) bool {
			return strings.Contains(f.About+f.Mend+f.Text, a.Name) || a.Operation == "DescribeConfigs"
		})
		t.Logf("%s %s %s", a.Operation, a.Resource, a.Name)
		wrong := 0
		for _, f := range bad {
			t.Logf("    %s %s: %s → %s", f.Level, f.About, f.Text, f.Mend)
			if f.Level == bridge.Wrong {
				wrong++
			}
		}
		want := 1
		if a.Operation == "DescribeConfigs" {
			want = 0
		}
		if !named || wrong != want || len(bad) == 0 {
			t.Errorf("without %s on %s %s: %d wrong", a.Operation, a.Resource, a.Name, wrong)
		}
		s.allow(t, "bridge", a)
	}
}
