package dash

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	alertsFile  = "../../prometheus/alerts.yaml"
	runbookFile = "../../../docs/runbook.md"
)

// readAlerts gives the rules as Prometheus reads them: strictly.
func readAlerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.Fatal("no groups")
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Whoever is woken by an alert knows what is wrong, how bad it is, and where to read on.
func TestAlertsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range readAlerts(t) {
		if r.Alert == "" || !strings.HasPrefix(r.Alert, "DistributorBridge") || seen[r.Alert] {
			t.Errorf("alert %q: no name, or another's", r.Alert)
		}
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if r.For == 0 && !strings.Contains(r.Expr, "increase(") && !strings.Contains(r.Expr, "changes(") {
			t.Errorf("%s fires at once, by a single look", r.Alert)
		}
		if len(r.Annotations["summary"]) < 10 || strings.Contains(r.Annotations["summary"], "{{") || len(r.Annotations["description"]) < 20 {
			t.Errorf("%s: its summary is one sentence without values, its description says more", r.Alert)
		}
		if want := runbook + "#" + anchor(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s leads to %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
}

// entry is a heading of the runbook's that is an alert's name.
var entry = regexp.MustCompile(`(?m)^### (DistributorBridge\w+)$`)

// runbookEntries gives the text of each alert's entry by its anchor.
func runbookEntries(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	text, entries := string(raw), map[string]string{}
	at := entry.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name := anchor(text[m[2]:m[3]])
		if entries[name] != "" {
			t.Errorf("two entries for %s", name)
		}
		entries[name] = text[m[1]:end]
	}
	return entries
}

// Each alert has an entry in the runbook, and each entry an alert; it says symptom, cause and action.
func TestRunbook(t *testing.T) {
	entries := runbookEntries(t)
	for _, r := range readAlerts(t) {
		text, ok := entries[anchor(r.Alert)]
		if !ok {
			t.Errorf("%s has no entry in the runbook", r.Alert)
		}
		for _, part := range []string{"**Symptom**", "**Cause**", "**Action**"} {
			if ok && !strings.Contains(text, part) {
				t.Errorf("the entry of %s has no %s", r.Alert, part)
			}
		}
		delete(entries, anchor(r.Alert))
	}
	for name := range entries {
		t.Errorf("the runbook has an entry %s that no alert leads to", name)
	}
}

// command is one that the runbook tells to give.
var command = regexp.MustCompile("`(distributor-bridge [^`]+)`")

// The commands that the runbook names exist, with these flags.
func TestRunbooksCommands(t *testing.T) {
	raw, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "distributor-bridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/distributor-bridge")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	named := map[string]bool{}
	for _, m := range command.FindAllStringSubmatch(string(raw), -1) {
		named[strings.Join(strings.Fields(m[1]), " ")] = true
	}
	if len(named) < 10 {
		t.Fatalf("only %d commands are named", len(named))
	}
	for line := range named {
		args := append(strings.Fields(line)[1:], "--help") // which is shown only for what exists
		if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
}
