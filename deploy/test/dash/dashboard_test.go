package dash

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

const dashboardFile = "../../grafana/dashboards/distributor-bridge.json"

var update = flag.Bool("update", false, "write the dashboard's file")

// The file is what the description says.
func TestDashboardIsWritten(t *testing.T) {
	want, err := write(dashboard())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(dashboardFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from its description: run go test ./dash -run TestDashboardIsWritten -update", dashboardFile)
	}
}

// written is what the tests read of the dashboard's file.
type written struct {
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Links         []struct {
		URL string `json:"url"`
	} `json:"links"`
	Annotations struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct{ Name, Type, Definition string } `json:"list"`
	} `json:"templating"`
	Panels []writtenPanel `json:"panels"`
}

type writtenPanel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Links                    []struct{ URL string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ RefID, Expr, LegendFormat, Format string }
}

func readDashboard(t *testing.T) written {
	t.Helper()
	raw, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d written
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// units are those that Grafana knows, of the ones that may be used.
var units = []string{"none", "short", "s", "bytes", "cps", "reqps"}

// Every panel can be read by somebody who sees it for the first time, and lies beside the others.
func TestPanels(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || len(d.Links) != 1 || d.Links[0].URL != runbook {
		t.Errorf("uid %q, links %v", d.UID, d.Links)
	}
	ids, taken, titles := map[int]bool{}, map[[2]int]string{}, map[string]bool{}
	row, filled, lowest := "", 0, 0
	full := func() {
		if row != "" && filled%24 != 0 {
			t.Errorf("row %q leaves a gap", row)
		}
	}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%q: its ID %d is another's", p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%q is out of the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies upon %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			full()
			if g.Y < lowest {
				t.Errorf("row %q begins above the end of the one before", p.Title)
			}
			row, filled = p.Title, 0
			continue
		}
		filled, lowest = filled+g.W*g.H, max(lowest, g.Y+g.H)
		if titles[row+p.Title] {
			t.Errorf("two panels are called %q", p.Title)
		}
		titles[row+p.Title] = true
		readable(t, p)
	}
	full()
}

func readable(t *testing.T, p writtenPanel) {
	t.Helper()
	if p.Title == "" || len(p.Description) < 10 || len(p.Targets) == 0 {
		t.Errorf("%q has no title, no description or no query", p.Title)
	}
	if u := p.FieldConfig.Defaults.Unit; p.Type != "state-timeline" && p.Type != "table" && !strings.Contains(strings.Join(units, " "), u) || u == "" && p.Type == "timeseries" {
		t.Errorf("%q has the unit %q", p.Title, u)
	}
	for _, q := range p.Targets {
		if q.LegendFormat == "" && p.Type != "table" {
			t.Errorf("%q: a query without a legend", p.Title)
		}
		if strings.Contains(q.Expr, "$in,") || strings.Contains(q.Expr, "$in}") {
			t.Errorf("%q: $in is not replaced", p.Title)
		}
		if strings.Contains(q.Expr, "distributor_bridge_") && !strings.Contains(q.Expr, matchers) {
			t.Errorf("%q ignores the variables: %s", p.Title, q.Expr)
		}
	}
}

// Panels lead to entries of the runbook that exist.
func TestPanelsLeadToTheRunbook(t *testing.T) {
	entries := runbookEntries(t)
	for _, p := range readDashboard(t).Panels {
		for _, l := range p.Links {
			at, ok := strings.CutPrefix(l.URL, runbook+"#")
			if _, is := entries[at]; !ok || !is {
				t.Errorf("%q leads to %s, which is no entry of the runbook", p.Title, l.URL)
			}
		}
	}
}
