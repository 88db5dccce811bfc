package handlers_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"distributor-bridge/internal/sandbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden holds, for each event type and each way it can end, which calls are made with which keys and bodies, and
// which results are published. Every result is held to its schema on the way.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c, 0)
				c.run(w)
				synctest.Wait() // an upload that was broken off may still be arriving
				p := w.placeholders()
				golden(t, filepath.Join(w.dir, "calls.golden"), w.showCalls(p))
				golden(t, filepath.Join(w.dir, "results.golden"), w.showResults(p))
			})
		})
	}
}

// TestEveryCallIsShown finds each call of distributor-api.md in at least one golden file.
func TestEveryCallIsShown(t *testing.T) {
	t.Parallel()
	const id = `\{[a-z]+-\d+\}`
	for _, call := range []string{
		"POST documents/", "POST investors/", "GET investors/ID/", "PATCH investors/ID/",
		"POST investors/ID/identifications/", "POST investors/ID/benefiting-persons/",
		"POST investors/ID/wallets/eth-managed/", "POST investors/ID/wallets/eth-generic/",
		"POST investments/", "GET investments/ID/", "POST investments/ID/credits/", "GET investments/ID/credits/ID/",
		"POST redemptions/", "GET redemptions/ID/", "POST transfers/", "GET transfers/ID/",
	} {
		pattern := regexp.MustCompile(`(?m)^20\d ` + strings.ReplaceAll(regexp.QuoteMeta(call), "ID", id) + `$`)
		shown := slices.ContainsFunc(cases, func(c testCase) bool {
			raw, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(c.name), "calls.golden"))
			return err == nil && pattern.Match(raw)
		})
		if !shown {
			t.Errorf("no golden file shows a successful %s", call)
		}
	}
}

// TestCrash dies at each place where a process may, in turn (those of what is given are other cases' own), and goes on as the next owner: the API has the same effects
// as without it, and the same is published.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]sandbox.Idempotency{
		"errors not cached": {}, "errors cached": {CacheErrors: true, AnswerMismatch: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					without := crashAt(t, c, mode, 0)
					if without.faulted {
						t.Skip("faults are counted by call, and a repeat counts")
					}
					for at := without.given + 1; at <= without.places; at++ {
						got := crashAt(t, c, mode, at)
						if got.effects != without.effects || got.results != without.results {
							t.Fatalf("a crash at place %d of %d gives effects\n%swant\n%sand results\n%swant\n%s",
								at, without.places, got.effects, without.effects, got.results, without.results)
						}
					}
				})
			}
		})
	}
}

type end struct {
	effects, results string
	given, places    int // how many places there were before the case's own events, and in all
	faulted          bool
}

func crashAt(t *testing.T, c testCase, mode sandbox.Idempotency, at int) (e end) {
	t.Helper()
	config := c.sandbox
	c.sandbox = func(s *sandbox.Config) {
		if config != nil {
			config(s)
		}
		s.Idempotency = mode
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, c, at)
		c.run(w)
		effects := map[string]int{}
		for _, effect := range w.sandbox.Ledger() {
			effects[effect.Operation]++
		}
		var results []string
		replace := w.placeholders()
		for _, p := range w.published {
			results = append(results, p.Type+" "+replace(p.Subject))
		}
		slices.Sort(results) // what is waited for may be there before the event that a crash has delayed
		e = end{
			strings.ReplaceAll(fmt.Sprintln(effects), " ", "\n"), strings.Join(results, "\n") + "\n",
			w.before, w.places, w.faulted,
		}
	})
	return e
}

var (
	uuidPattern    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`) // version 4: not a key
	addressPattern = regexp.MustCompile(`0x[0-9a-fA-F]{40}`)
)

// placeholders gives what replaces the sandbox's IDs, and the addresses it made up, by what they are and in their order.
func (w *world) placeholders() func(string) string {
	names := map[string]string{}
	for name, id := range w.ids() {
		names[id] = name
	}
	known, made := w.addresses(), 0
	return func(text string) string {
		text = uuidPattern.ReplaceAllStringFunc(text, func(id string) string {
			if names[id] == "" {
				return id // upstream's
			}
			return names[id]
		})
		return addressPattern.ReplaceAllStringFunc(text, func(a string) string {
			if known[strings.ToLower(a)] {
				return a
			}
			if names[a] == "" {
				made++
				names[a] = fmt.Sprintf("{address-%d}", made)
			}
			return names[a]
		})
	}
}

// nouns are what operations make.
var nouns = map[string]string{
	"create_document": "document", "create_investor": "investor", "create_managed_wallet": "wallet",
	"create_generic_wallet": "wallet", "create_investment": "investment", "create_credit": "task",
	"create_redemption": "task", "create_transfer": "task",
}

// ids gives the IDs at the sandbox by their placeholders, which count what was made, in its order.
func (w *world) ids() map[string]string {
	ids := map[string]string{
		"{campaign-1}": campaign, "{product-1}": product, "{campaign-2}": otherCampaign, "{product-2}": otherProduct,
	}
	count := map[string]int{}
	for _, e := range w.sandbox.Ledger() {
		if noun := nouns[e.Operation]; noun != "" {
			count[noun]++
			ids[fmt.Sprintf("{%s-%d}", noun, count[noun])] = e.ObjectID
		}
	}
	return ids
}

// addresses gives those that upstream's events name, in lower case.
func (w *world) addresses() map[string]bool {
	known := map[string]bool{}
	for _, dir := range []string{w.dir, filepath.Join("testdata", "given")} {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, a := range addressPattern.FindAllString(string(raw), -1) {
				known[strings.ToLower(a)] = true
			}
		}
	}
	return known
}

// showCalls gives, a call: status, method and path; the key; the body. Uploads that were broken off are left out: how
// much of one arrives is chance.
func (w *world) showCalls(replace func(string) string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	i := 0
	for _, c := range w.sandbox.Calls() {
		if c.Operation == "token" {
			continue
		}
		body := w.bodies[i]
		if i++; i <= w.begin || body == brokenOff {
			continue
		}
		_, path, _ := strings.Cut(c.Path, "/v2/")
		fmt.Fprintf(&b, "%03d %s %s\n", c.Status, c.Method, replace(path))
		if c.Key != "" {
			fmt.Fprintf(&b, "    key %s", c.Key)
			if c.Replayed {
				b.WriteString(" replayed")
			}
			b.WriteByte('\n')
		}
		if body != "" {
			fmt.Fprintf(&b, "    %s\n", replace(body))
		}
	}
	return b.String()
}

func (w *world) showResults(replace func(string) string) string {
	var b strings.Builder
	for _, p := range w.published {
		fmt.Fprintf(&b, "%s %s\n    %s\n", p.Type, replace(p.Subject), replace(string(p.Data)))
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}
