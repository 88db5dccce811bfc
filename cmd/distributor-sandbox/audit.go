package main

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// audit holds the API's ledger to the samples: each effect belongs to one step of one of them, and to no other effect.
func (d *demo) audit() (effects, doubled int) {
	operations := map[*chapter][]string{}
	keys := map[string]bool{}
	ledger := d.stage.server.Ledger()
	for _, e := range ledger {
		s, ok := d.steps[e.Key]
		switch {
		case !ok:
			d.problem("the ledger has a %s that no sample asked for", e.Operation)
		case keys[e.Key]:
			d.problem("%s: %s happened twice (step %s)", s.chapter.event.ID, e.Operation, s.name)
			doubled++
		default:
			keys[e.Key] = true
			operations[s.chapter] = append(operations[s.chapter], e.Operation)
		}
	}
	for _, group := range d.stage.server.Doubles() {
		d.problem("the API did %s %d times for the same body", group[0].Operation, len(group))
		doubled += len(group) - 1
	}
	for _, id := range slices.Sorted(maps.Keys(d.byID)) {
		ch := d.byID[id]
		got, want := slices.Sorted(slices.Values(operations[ch])), slices.Sorted(slices.Values(ch.effects))
		if !slices.Equal(got, want) {
			d.problem("%s: effects %v, expected %v", id, got, want)
		}
	}
	return len(ledger), doubled
}

// finish audits and sums up. Its error says that something is not as expected.
func (d *demo) finish(broken string, began time.Time) error {
	if broken != "" {
		d.problems = append([]string{broken}, d.problems...)
	}
	effects, doubled := d.audit()
	d.show.summary(summary{
		chapters: d.chapters, effects: effects, doubled: doubled, problems: d.problems, took: time.Since(began),
	})
	if len(d.problems) > 0 {
		return errors.New("the demo is not as expected: see above")
	}
	return nil
}

// summary is what the demo comes to.
type summary struct {
	chapters         []*chapter
	effects, doubled int
	problems         []string
	took             time.Duration
}
