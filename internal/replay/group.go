package replay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Group is what letters, or things held, have in common.
type Group struct {
	Values         []string // of the names that were grouped by, in their order; empty: it has no such value
	Count          int
	Oldest, Newest time.Time
}

// trait gives the values that T has under a name: one as a rule, none or several of fields.
type trait[T any] func(T) []string

func one[T any](value func(T) string) trait[T] {
	return func(t T) []string { return []string{value(t)} }
}

var letterTraits = map[string]trait[*Letter]{
	"reason":   one(func(l *Letter) string { return string(l.Reason) }),
	"class":    one(func(l *Letter) string { return string(l.Class) }),
	"type":     one(func(l *Letter) string { return l.Type }),
	"step":     one(func(l *Letter) string { return l.Step }),
	"customer": one(func(l *Letter) string { return l.Customer }),
	"subject":  one(func(l *Letter) string { return l.Subject }),
	"source":   one(func(l *Letter) string { return l.Source }),
	"closed":   one(func(l *Letter) string { return string(l.Closed) }),
	"field": func(l *Letter) []string {
		if len(l.Fields) == 0 {
			return []string{""}
		}
		return l.Fields
	},
}

var heldTraits = map[string]trait[*Held]{
	"verdict":  one(func(h *Held) string { return h.Verdict }),
	"reason":   one(func(h *Held) string { return string(h.Reason) }),
	"type":     one(func(h *Held) string { return h.Type }),
	"customer": one(func(h *Held) string { return h.Customer }),
	"subject":  one(func(h *Held) string { return h.Subject }),
	"on":       one(func(h *Held) string { return h.On }),
	"follow":   one(func(h *Held) string { return h.Follow }),
	"step": one(func(h *Held) string {
		if h.Intent == nil {
			return ""
		}
		return h.Intent.Step
	}),
}

// GroupLetters counts letters by reason, class, type, step, field, customer, subject, source or closed, or by several of
// them: most first. A letter with several fields counts in the group of each.
func GroupLetters(letters []Letter, by []string) ([]Group, error) {
	return group(letters, by, letterTraits, func(l *Letter) (time.Time, int) { return l.Failed, 1 })
}

// GroupHeld counts what is held by verdict, reason, type, customer, subject, on, follow or step, or by several of them: most
// first.
func GroupHeld(held []Held, by []string) ([]Group, error) {
	return group(held, by, heldTraits, func(h *Held) (time.Time, int) { return h.Since, h.Count })
}

func group[T any](items []T, by []string, traits map[string]trait[*T], weigh func(*T) (at time.Time, count int)) ([]Group, error) {
	chosen := make([]trait[*T], len(by))
	for i, name := range by {
		chosen[i] = traits[name]
		if chosen[i] == nil {
			return nil, fmt.Errorf("nothing is grouped by %q", name)
		}
	}
	if len(by) == 0 {
		return nil, errors.New("grouped by nothing")
	}
	groups := map[string]*Group{}
	for i := range items {
		at, count := weigh(&items[i])
		for _, values := range combined(&items[i], chosen) {
			key := strings.Join(values, "\x00")
			g := groups[key]
			if g == nil {
				g = &Group{Values: values}
				groups[key] = g
			}
			g.add(at, count)
		}
	}
	var list []Group
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.Values, b.Values))
	})
	return list, nil
}

// add counts something of a time; a zero one is not known.
func (g *Group) add(at time.Time, count int) {
	g.Count += count
	if at.IsZero() {
		return
	}
	if g.Oldest.IsZero() || at.Before(g.Oldest) {
		g.Oldest = at
	}
	if at.After(g.Newest) {
		g.Newest = at
	}
}

// combined gives each choice of one value of each trait.
func combined[T any](item *T, traits []trait[*T]) [][]string {
	all := [][]string{nil}
	for _, values := range traits {
		var longer [][]string
		for _, before := range all {
			for _, value := range values(item) {
				longer = append(longer, append(slices.Clip(before), value))
			}
		}
		all = longer
	}
	return all
}
