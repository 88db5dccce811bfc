package dash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"

	"distributor-bridge/internal/bridge"
)

const absentAlert = "DistributorBridgeAbsent" // has no labels where there is no bridge at all

// Each alert fires for its symptom, with those that the same has to make fire and no others, and not for what is near to it. A
// member that is well makes none fire. All are deployments of one Prometheus, a namespace each: so it is told, too, whose the
// trouble is.
func TestEachAlertFiresAndDoesNot(t *testing.T) {
	all, left := map[string]series{"well": nil}, maps.Clone(alertCases)
	for name, c := range alertCases {
		if name != absentAlert {
			all[name], all[name+" not"] = c.fires, c.not
		}
	}
	fired := firing(t, all)
	if got := fired["well"]; len(got) > 0 || len(fired[""]) > 0 {
		t.Errorf("alerts while all is well: %v, of nobody: %v", got, fired[""])
	}
	for _, r := range readAlerts(t) {
		c, ok := left[r.Alert]
		if !ok {
			t.Errorf("%s has no case: when does it fire, and when not?", r.Alert)
			continue
		}
		delete(left, r.Alert)
		if r.Alert == absentAlert {
			continue
		}
		if want := sorted(append([]string{r.Alert}, c.also...)); !slices.Equal(sorted(fired[r.Alert]), want) {
			t.Errorf("%s: fired: %v, want %v", r.Alert, sorted(fired[r.Alert]), want)
		}
		if got := fired[r.Alert+" not"]; slices.Contains(got, r.Alert) {
			t.Errorf("%s fired for what is no symptom; in all: %v", r.Alert, got)
		}
	}
	for name := range left {
		t.Errorf("there is a case for %s, but no such alert", name)
	}
}

// That there is no bridge at all is told of nobody; that none of a deployment answers is told although another one does.
func TestAbsent(t *testing.T) {
	c := alertCases[absentAlert]
	if got := firing(t, map[string]series{"gone": c.fires}); !slices.Equal(got[""], []string{absentAlert}) || len(got["gone"]) > 0 {
		t.Errorf("fired: %v", got)
	}
	if got := firing(t, map[string]series{"back": c.not}); len(got) > 0 {
		t.Errorf("fired although it came back: %v", got)
	}
	got := firing(t, map[string]series{"production": one(`up`, "1x60 0x120"), "test": nil})
	if want := []string{absentAlert, "DistributorBridgeDown"}; !slices.Equal(sorted(got["production"]), want) || len(got) != 1 {
		t.Errorf("fired: %v", got)
	}
}

// firing gives the alerts that fire within three hours, by namespace: in each there is a member that is well but for these series.
func firing(t *testing.T, deployments map[string]series) map[string][]string {
	t.Helper()
	var b strings.Builder
	b.WriteString("load 1m\n")
	for namespace, but := range deployments {
		of := maps.Clone(well)
		maps.Copy(of, but)
		for name, values := range of {
			fmt.Fprintf(&b, "  %s %s\n", targeted(name, namespace), values)
		}
	}
	p := newServer(t, promqltest.LoadedStorage(t, b.String()))
	start := time.Unix(0, 0).UTC()
	fired := map[string][]string{}
	p.evaluate(start.Add(time.Minute), start.Add(175*time.Minute), func(alert string, l, annotations labels.Labels) {
		namespace := l.Get("namespace")
		if slices.Contains(fired[namespace], alert) {
			return
		}
		fired[namespace] = append(fired[namespace], alert)
		annotations.Range(func(a labels.Label) {
			if a.Value == "" || strings.Contains(a.Value, "<error") || strings.Contains(a.Value, "<no value>") {
				t.Errorf("%s: its %s reads %q", alert, a.Name, a.Value)
			}
		})
	})
	return fired
}

// targeted gives a series with the target's labels, in a namespace.
func targeted(name, namespace string) string {
	of := []string{fmt.Sprintf("namespace=%q", namespace)}
	for label, value := range target {
		if label != "namespace" {
			of = append(of, fmt.Sprintf("%s=%q", label, value))
		}
	}
	name, own, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	if own != "" {
		of = append(of, own)
	}
	return name + "{" + strings.Join(of, ",") + "}"
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// Thresholds in the rules that stand for configuration's defaults are those.
func TestThresholdsAreTheDefaults(t *testing.T) {
	const left = 5 * 24 * time.Hour
	want := fmt.Sprintf("> %d * 86400", int((bridge.Default().Rules.MaxWait-left).Hours())/24)
	found := false
	for _, r := range readAlerts(t) {
		found = found || r.Alert == "DistributorBridgeHeldNearExpiry" && strings.HasSuffix(r.Expr, want)
	}
	if !found {
		t.Errorf("DistributorBridgeHeldNearExpiry does not end with %s: rules.max_wait has another default", want)
	}
}
