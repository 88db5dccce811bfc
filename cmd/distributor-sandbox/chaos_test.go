package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestChaosChoice(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]int{
		"":                     {"rolling": 1, "kill": 5, "freeze": 2},
		"kill":                 {"kill": 5},
		"kill=50,freeze=10":    {"kill": 50, "freeze": 10},
		"rolling,kill=0":       {"rolling": 1},
		"kill,rolling=2 for 7": {"kill": 7, "rolling": 2},
	} {
		var c ChaosCmd
		names, times, _ := strings.Cut(text, " for ")
		if names != "" {
			c.Trial = strings.Split(names, ",")
		}
		if times != "" {
			c.Times = 7
		}
		if got, err := c.chosen(); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

// Whole, with members that are processes of the real program: one is killed.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the bridge")
	}
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "distributor-bridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../distributor-bridge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the bridge: %v: %s", err, out)
	}
	var out, errs strings.Builder
	err := run(t.Context(), []string{
		"chaos", "--bridge", program, "--trial", "kill", "--times", "1", "--members", "2", "--partitions", "2", "--customers", "20",
		"--rate", "50", "--dir", filepath.Join(dir, "chaos"), "--json",
	}, os.Environ(), &out, &errs)
	if err != nil {
		t.Fatal(err, errs.String())
	}
	var r chaosReport
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Kept || len(r.Trials) != 1 || r.Trials[0].Events < 20 || r.Trials[0].Effects == 0 || r.Trials[0].PauseWorst == 0 {
		t.Errorf("%s", out.String())
	}
}
