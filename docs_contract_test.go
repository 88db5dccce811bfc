package distributorbridge_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/schemas"
)

// rowsOf gives the tables' rows below a heading of a document: the code in each cell.
func rowsOf(t *testing.T, file, heading string) [][][]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(raw), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	if next := regexp.MustCompile(`(?m)^#{2,3} `).FindStringIndex(below); next != nil {
		below = below[:next[0]]
	}
	var rows [][][]string
	for line := range strings.Lines(below) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var row [][]string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			var words []string
			for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				words = append(words, code[1])
			}
			row = append(row, words)
		}
		rows = append(rows, row)
	}
	return rows
}

// firstOf gives the rows' first words.
func firstOf(rows [][][]string) []string {
	var words []string
	for _, row := range rows {
		if len(row[0]) == 1 {
			words = append(words, row[0][0])
		}
	}
	return words
}

// What upstream is told is the contract: all results and reasons, and no other.
func TestUpstreamGuideIsComplete(t *testing.T) {
	t.Parallel()
	words := func(reasons []schemas.Reason) []string {
		var all []string
		for _, r := range reasons {
			all = append(all, string(r))
		}
		return all
	}
	for heading, want := range map[string][]string{
		"## Results":             schemas.ResultTypes(),
		"### `event.waiting`":    words(schemas.WaitingReasons()),
		"### `event.rejected`":   words(schemas.RejectedReasons()),
		"### `event.unresolved`": words(schemas.UnresolvedReasons()),
	} {
		got := firstOf(rowsOf(t, "docs/upstream.md", heading))
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %v, want %v", heading, got, want)
		}
	}
}

// The table of events has each of them, what it needs, and what it may have.
func TestUpstreamGuideEvents(t *testing.T) {
	t.Parallel()
	types := schemas.EventTypes()
	for _, row := range rowsOf(t, "docs/upstream.md", "## The contract") {
		if len(row) != 4 || len(row[0]) != 1 {
			continue
		}
		name := row[0][0]
		if !slices.Contains(types, name) {
			t.Errorf("%s is told of twice, or is no event", name)
		}
		types = slices.DeleteFunc(types, func(typ string) bool { return typ == name })
		var schema struct {
			Required   []string
			Properties map[string]any
		}
		raw, err := os.ReadFile(filepath.Join("schemas", name+".schema.json"))
		if err == nil {
			err = json.Unmarshal(raw, &schema)
		}
		if err != nil {
			t.Error(err)
			continue
		}
		needs := append([]string{"customer_id"}, row[1]...)
		slices.Sort(schema.Required)
		if slices.Sort(needs); !slices.Equal(needs, schema.Required) {
			t.Errorf("%s needs %v, want %v", name, needs, schema.Required)
		}
		for property := range schema.Properties {
			if !slices.Contains(needs, property) && !slices.Contains(row[2], property) {
				t.Errorf("%s: %s is not told of", name, property)
			}
		}
		for _, property := range row[2] {
			if schema.Properties[property] == nil {
				t.Errorf("%s has no %s", name, property)
			}
		}
	}
	if len(types) > 0 {
		t.Errorf("not told of: %v", types)
	}
}

// What the guides show of events and configuration is valid.
func TestDocumentsExamples(t *testing.T) {
	t.Parallel()
	keys := 0
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			text := strings.Join(b.lines, "\n")
			if b.language != "yaml" || strings.Contains(text, "apiVersion:") || strings.Contains(text, "services:") {
				continue
			}
			keys++
			part := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(part, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := bridge.Default()
			err := config.Load(&cfg, part, []string{
				"DISTRIBUTOR_KAFKA_BROKERS=127.0.0.1:9092", "DISTRIBUTOR_TOPICS_UPSTREAM=orders", "DISTRIBUTOR_API_CLIENT_ID=me",
				"DISTRIBUTOR_API_CLIENT_SECRET=not-a-real-one", "DISTRIBUTOR_API_BASE_URL=https://api.example.org",
			}, "DISTRIBUTOR_")
			if err != nil && !onlyMissingFiles(err) {
				t.Errorf("%s:%d: %v", file, b.line, err)
			}
		}
	}
	if keys == 0 {
		t.Error("no document shows any configuration")
	}
}

// onlyMissingFiles says whether all that is wrong is that a file is not there, as on the machine that a document speaks of, and
// that there is no token in it.
func onlyMissingFiles(err error) bool {
	for line := range strings.Lines(err.Error()) {
		if !strings.Contains(line, "no such file") && !strings.Contains(line, "a token or a client is required") {
			return false
		}
	}
	return true
}

// Each key that the operators' guide names is one.
func TestOperatorsGuideKeys(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("deploy/config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, "docs/operators.md", "## Configuration")
	if len(rows) < 10 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		for _, key := range row[0] {
			section, name, nested := strings.Cut(key, ".")
			last := name[strings.LastIndex(name, ".")+1:]
			known := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(section)+`:`).Match(raw) &&
				(!nested || regexp.MustCompile(`(?m)^ +#?`+regexp.QuoteMeta(last)+`:`).Match(raw))
			if !known {
				t.Errorf("%s is no key", key)
			}
		}
	}
}
