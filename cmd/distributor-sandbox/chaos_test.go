package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChaosChoice(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]int{
		"":                     {"rolling": 1, "scale": 1, "kill": 5, "freeze": 2},
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

// Whole, with members that are processes of the real program: one is killed; and one, with the example's configuration, is
// joined by another.
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
		"chaos", "--bridge", program, "--trial", "kill=1,scale", "--members", "2", "--partitions", "2", "--customers", "200",
		"--config", "../../deploy/config.example.yaml", "--phase", "1s", "--rate", "50", "--dir", filepath.Join(dir, "chaos"), "--json",
	}, os.Environ(), &out, &errs)
	if err != nil {
		t.Fatal(err, errs.String())
	}
	var r chaosReport
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Kept || len(r.Trials) != 2 {
		t.Fatalf("%s", out.String())
	}
	for _, l := range r.Trials {
		if l.Events < 20 || l.Effects == 0 || l.PauseWorst == 0 {
			t.Errorf("%s: %s", l.Trial, out.String())
		}
	}
	s := r.Trials[0].Scaled
	if s == nil || r.Trials[1].Scaled != nil || s.Partitions != 12 || len(s.Phases) != 3 || len(s.Stopped) != 2 ||
		len(s.Steps) != 2 || !slices.Equal(s.Steps[0].Partitions, []int{6, 6}) || !slices.Equal(s.Steps[1].Partitions, []int{12}) {
		t.Errorf("%s", out.String())
	}
}

// Each way in which scaling can go wrong is told.
func TestScaledJudged(t *testing.T) {
	t.Parallel()
	good := func() *scaled {
		return &scaled{
			GraceMS: 30_000, Steps: []scaleStep{{From: 1, To: 3, Partitions: []int{4, 4, 4}}, {From: 3, To: 1, Partitions: []int{12}}},
			Phases:  []scaledPhase{{1, 6, 300}, {3, 6, 300}, {1, 6, 299}},
			Stopped: []stopped{{"member-2", 0, 400}, {"member-3", 0, 29_999}, {"member-1", 0, 10}},
		}
	}
	for want, spoil := range map[string]func(*scaled){
		"":                                   func(*scaled) {},
		"not the same share":                 func(s *scaled) { s.Steps[0].Partitions = []int{6, 5, 1} },
		"the members have [6 6]":             func(s *scaled) { s.Steps[0].Partitions = []int{6, 6} },
		"3 members did nothing for 6s":       func(s *scaled) { s.Phases[1].Events = 0 },
		"member-3 ended with exit code 1":    func(s *scaled) { s.Stopped[1].ExitCode = 1 },
		"exit code 0 after 30.5s of 30.0s":   func(s *scaled) { s.Stopped[0].TookMS = 30_500 },
		"member-1 ended with exit code -1 a": func(s *scaled) { s.Stopped[2].ExitCode = -1 },
	} {
		var f findings
		s := good()
		spoil(s)
		f.judge(s)
		if told := f.problems(); (want == "") != (len(told) == 0) || !strings.Contains(strings.Join(told, "\n"), want) {
			t.Errorf("%q is not in %q", want, told)
		}
	}
}

func TestScaledTold(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	(&scaled{
		Partitions: 12, InFlight: 64, SessionMS: 20_000, GraceMS: 30_000,
		Steps:   []scaleStep{{From: 1, To: 3, TookMS: 4200, Partitions: []int{4, 4, 4}, Pause: 3300, AllPause: 400}},
		Phases:  []scaledPhase{{1, 6, 299.6}, {3, 6, 300}},
		Stopped: []stopped{{"member-2", 0, 200}, {"member-1", 0, 1250}},
	}).tell(&out)
	want := `scale: the example's configuration: 12 partitions, 64 calls in flight a member, session 20s.
scale: 1 → 3 members within 4.2s, 4 + 4 + 4 partitions; pause of a partition 3.3s, standstill of all 0.4s.
scale: events/s: 300 with 1, 300 with 3. Exit codes 0, 0, the slowest after 1.2s of 30.0s.
`
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

// An event counts in the phase in which its first result came.
func TestWithin(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	if n := within([]time.Time{at(0), at(1), at(2), at(5), at(6)}, stretch{at(1), at(5)}); n != 2 {
		t.Errorf("%d, want 2", n)
	}
}
