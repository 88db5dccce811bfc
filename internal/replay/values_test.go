package replay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"90s": now.Add(-90 * time.Second), "2h": now.Add(-2 * time.Hour), "1h30m": now.Add(-90 * time.Minute),
		"7d": now.AddDate(0, 0, -7), "2w": now.AddDate(0, 0, -14), "0d": now,
		"2026-02-03": time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), "2026-02-03T04:05:06+01:00": time.Date(2026, 2, 3, 3, 5, 6, 0, time.UTC),
	} {
		if got, err := replay.ParseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7", "d", "-2h", "-1d", "1.5d", "99999999d", "60000w", "yesterday", "2026-13-01"} {
		if got, err := replay.ParseMoment(text, now); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	letters := []replay.Letter{
		{Reason: outcome.Refused, Type: "order.paid", Fields: []string{"units", "wallet"}, Failed: now},
		{Reason: outcome.Refused, Type: "order.paid", Fields: []string{"units"}, Failed: now.Add(-time.Hour)},
		{Reason: outcome.Invalid, Type: "order.paid", Failed: now.Add(time.Hour)},
	}
	groups, err := replay.GroupLetters(letters, []string{"type", "field"})
	want := fmt.Sprint([]replay.Group{
		{Values: []string{"order.paid", "units"}, Count: 2, Oldest: now.Add(-time.Hour), Newest: now},
		{Values: []string{"order.paid", ""}, Count: 1, Oldest: now.Add(time.Hour), Newest: now.Add(time.Hour)},
		{Values: []string{"order.paid", "wallet"}, Count: 1, Oldest: now, Newest: now},
	})
	if err != nil || fmt.Sprint(groups) != want {
		t.Errorf("%v, %v\nwant %s", groups, err, want)
	}
	held := []replay.Held{{Verdict: "behind", Count: 7}, {Verdict: "waiting", Count: 1, Since: now}, {Verdict: "waiting", Count: 1}}
	groups, err = replay.GroupHeld(held, []string{"verdict"})
	want = fmt.Sprint([]replay.Group{
		{Values: []string{"behind"}, Count: 7}, {Values: []string{"waiting"}, Count: 2, Oldest: now, Newest: now},
	})
	if err != nil || fmt.Sprint(groups) != want {
		t.Errorf("%v, %v\nwant %s", groups, err, want)
	}
	for _, by := range [][]string{nil, {"moon"}, {"reason", "moon"}} {
		if _, err := replay.GroupLetters(letters, by); err == nil {
			t.Errorf("grouped by %q", by)
		}
	}
}

// Each letter without several fields is counted once, whatever it is grouped by.
func TestGroupsCountAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOf(rapid.Custom(func(t *rapid.T) replay.Letter {
			return replay.Letter{
				Reason: rapid.SampledFrom([]outcome.Reason{outcome.Refused, outcome.Invalid}).Draw(t, "reason"),
				Step:   rapid.SampledFrom([]string{"", "investor", "patch"}).Draw(t, "step"),
			}
		})).Draw(t, "letters")
		by := rapid.SliceOfN(rapid.SampledFrom([]string{"reason", "step", "customer"}), 1, 3).Draw(t, "by")
		groups, err := replay.GroupLetters(letters, by)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for i, g := range groups {
			sum += g.Count
			if i > 0 && g.Count > groups[i-1].Count {
				t.Fatal("not sorted by count")
			}
		}
		if sum != len(letters) {
			t.Fatalf("%d counted, of %d", sum, len(letters))
		}
	})
}

// Each reason that a result can bear has words for people.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, reason := range slices.Concat(schemas.WaitingReasons(), schemas.RejectedReasons(), schemas.UnresolvedReasons()) {
		if words := replay.Words(outcome.Reason(reason)); words == strings.ReplaceAll(string(reason), "_", " ") {
			t.Errorf("%s has no words", reason)
		}
	}
	if words := replay.Words("quite_new"); words != "quite new" {
		t.Errorf("of a reason that is not known: %q", words)
	}
}

// No value and no unknown name gets through.
func TestShape(t *testing.T) {
	t.Parallel()
	text := `{"customer_id":"secret","person":{"forename":"secret","secret":true},"benefiting_persons":[{"surname":"secret"},{"surname":"secret"}],
		"wallet":null,"units":12,"tax":{},"secret":[]}`
	fields, ok := replay.Shape([]byte(text), replay.ContractName, nil)
	want := `[{customer_id string } {person.forename string } {person.(unknown name) boolean } {benefiting_persons[].surname string } ` +
		`{wallet null } {units number } {tax empty object } {(unknown name) empty list }]`
	if got := fmt.Sprint(fields); !ok || got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if fields, ok := replay.Shape([]byte(`{"a":`), replay.ContractName, nil); ok {
		t.Errorf("of no JSON: %v", fields)
	}
	fields, _ = replay.Shape([]byte(`["a","b"]`), replay.ContractName, func(v string) string { return v + "!" })
	if got := fmt.Sprint(fields); got != "[{[] string a!} {[] string b!}]" {
		t.Errorf("shown values: %s", got)
	}
}
