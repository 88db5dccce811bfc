package bridge_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// planning gives a configuration that a plan needs: no brokers, no API.
func planning() bridge.Config {
	cfg := bridge.Default()
	cfg.Offerings = map[string]bridge.Offering{
		"bond-2026": {Campaign: "0f6f3c6e-6a0c-4d0c-9b1e-2f3a4b5c6d7e", Product: "7d9b2a10-3c4d-4e5f-8a9b-0c1d2e3f4a5b"},
	}
	return cfg
}

var numbered = regexp.MustCompile(`\{(\w+)-\d+\}`)

// A plan tells the calls, keys and bodies that the handlers' golden files tell of the sandbox.
func TestPlanIsWhatIsDone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"customer.verified/person", "customer.verified/own_wallet"} {
		dir := filepath.Join("..", "..", "handlers", "testdata", filepath.FromSlash(name))
		event, err := os.ReadFile(filepath.Join(dir, "event.json"))
		if err != nil {
			t.Fatal(err)
		}
		golden, err := os.ReadFile(filepath.Join(dir, "calls.golden"))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := bridge.MakePlan(t.Context(), planning(), event)
		if err != nil || plan.Verdict != nil {
			t.Fatalf("%s: %v, %v", name, err, plan.Verdict)
		}
		var got strings.Builder
		for _, s := range plan.Steps {
			fmt.Fprintf(&got, "%s %s\n", s.Method, strings.TrimPrefix(s.Path, "/distributor/v2/"))
			if s.Key != "" {
				fmt.Fprintf(&got, "    key %s\n", s.Key)
			}
			if s.Body != nil {
				fmt.Fprintf(&got, "    %s\n", s.Body)
			}
		}
		var want strings.Builder
		for line := range strings.Lines(numbered.ReplaceAllString(string(golden), "{$1}")) {
			if !strings.Contains(line, "    file ") {
				want.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "201 "), "200 "))
			}
		}
		if got.String() != want.String() {
			t.Errorf("%s: plan\n%s\nwant\n%s", name, got.String(), want.String())
		}
	}
}

// Each valid event of the contract has a plan that comes to an end; each call with an effect has its key, its step and its
// operation.
func TestPlanOfEachEvent(t *testing.T) {
	t.Parallel()
	cfg := planning()
	for _, name := range schemas.EventTypes() {
		files, err := fs.Glob(schemas.Files(), "examples/"+name+"/valid*.json")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", name, files, err)
		}
		for _, file := range files {
			event, err := fs.ReadFile(schemas.Files(), file)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := bridge.MakePlan(t.Context(), cfg, event)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if v := plan.Verdict; v != nil && v.Reason != outcome.UnknownOffering {
				t.Errorf("%s: %v", file, v)
			}
			for _, s := range plan.Steps {
				if s.Reason == "" && (s.Operation == "" || s.Method != "GET" && (s.Key == "" || s.Step == "")) {
					t.Errorf("%s: a call without its name or key: %s %s %q %q", file, s.Method, s.Path, s.Operation, s.Step)
				}
			}
		}
	}
}

func TestPlanOfNoEvent(t *testing.T) {
	t.Parallel()
	var invalid *schemas.InvalidError
	if _, err := bridge.MakePlan(t.Context(), planning(), []byte(`{"specversion":"1.0"}`)); !errors.As(err, &invalid) {
		t.Errorf("without attributes: %v", err)
	}
	unknown := `{"specversion":"1.0","id":"1","source":"/s","type":"distributor.moon.full","time":"2026-01-15T09:30:00Z","data":{}}`
	if _, err := bridge.MakePlan(t.Context(), planning(), []byte(unknown)); !errors.Is(err, schemas.ErrUnknownType) {
		t.Errorf("of an unknown type: %v", err)
	}
}
