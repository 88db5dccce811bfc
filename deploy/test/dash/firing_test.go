package dash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"

	"distributor-bridge/internal/bridge"
)

// A member that is well, and has things to do, wakes nobody.
func TestNoAlertFiresWhileAllIsWell(t *testing.T) {
	if fired := firing(t, nil); len(fired) > 0 {
		t.Errorf("alerts: %v", fired)
	}
}

// Each alert fires for its symptom, with those that the same has to make fire and no others, and not for what is near to it.
func TestEachAlertFiresAndDoesNot(t *testing.T) {
	left := maps.Clone(alertCases)
	for _, r := range readAlerts(t) {
		c, ok := left[r.Alert]
		if !ok {
			t.Errorf("%s has no case: when does it fire, and when not?", r.Alert)
			continue
		}
		delete(left, r.Alert)
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			want := slices.Sorted(slices.Values(append([]string{r.Alert}, c.also...)))
			if got := firing(t, c.fires); !slices.Equal(got, want) {
				t.Errorf("fired: %v, want %v", got, want)
			}
			if got := firing(t, c.not); slices.Contains(got, r.Alert) {
				t.Errorf("fired for what is no symptom; in all: %v", got)
			}
		})
	}
	for name := range left {
		t.Errorf("there is a case for %s, but no such alert", name)
	}
}

// firing gives the alerts that fire within three hours of a member that is well but for these series.
func firing(t *testing.T, but series) []string {
	t.Helper()
	all := maps.Clone(well)
	maps.Copy(all, but)
	var b strings.Builder
	b.WriteString("load 1m\n")
	for name, values := range all {
		fmt.Fprintf(&b, "  %s %s\n", targeted(name), values)
	}
	p := newServer(t, promqltest.LoadedStorage(t, b.String()))
	start := time.Unix(0, 0).UTC()
	fired := p.evaluate(start.Add(time.Minute), start.Add(175*time.Minute))
	for name, alert := range fired {
		for at, text := range alert.Annotations.Map() {
			if text == "" || strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
				t.Errorf("%s: its %s reads %q", name, at, text)
			}
		}
	}
	return slices.Sorted(maps.Keys(fired))
}

// targeted gives a series with the target's labels.
func targeted(name string) string {
	var of []string
	for label, value := range target {
		of = append(of, fmt.Sprintf("%s=%q", label, value))
	}
	name, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	if labels != "" {
		of = append(of, labels)
	}
	return name + "{" + strings.Join(of, ",") + "}"
}

// Thresholds in the rules that stand for configuration's defaults are those.
func TestThresholdsAreTheDefaults(t *testing.T) {
	const left = 5 * 24 * time.Hour
	want := fmt.Sprintf("> %d * 86400", int((bridge.Default().Rules.MaxWait-left).Hours())/24)
	for _, r := range readAlerts(t) {
		if r.Alert == "DistributorBridgeHeldNearExpiry" && !strings.HasSuffix(r.Expr, want) {
			t.Errorf("%s: %s does not end with %s: rules.max_wait has another default", r.Alert, r.Expr, want)
		}
	}
}
