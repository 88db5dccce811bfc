package consumer

import (
	"testing"

	"pgregory.net/rapid"
)

// A partition gets its share at any time, and all of the places while no other wants one; in all there are never more than
// twice as many.
func TestPlaces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calls, members := rapid.IntRange(1, 8).Draw(t, "calls"), rapid.IntRange(1, 4).Draw(t, "members")
		pl := newPlaces(calls, members)
		parts := make([]*partition, members)
		has := map[*partition]int{}
		for i := range parts {
			parts[i] = &partition{}
		}
		all := func() (n int) {
			for _, h := range has {
				n += h
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				p := rapid.SampledFrom(parts).Draw(t, "who")
				entitled := all() < lanesPerCall*calls || has[p] < max(1, lanesPerCall*calls/members)
				if got := pl.take(p); got != entitled {
					t.Fatalf("a place was given: %v, want %v; %d of %d are taken, %d its own", got, entitled, all(), pl.limit, has[p])
				}
				if entitled {
					has[p]++
				}
			},
			"give": func(t *rapid.T) {
				p := rapid.SampledFrom(parts).Draw(t, "who")
				if has[p] == 0 {
					t.Skip("it has none")
				}
				has[p]--
				pl.give(p)
			},
			"": func(t *rapid.T) {
				if pl.taken != all() || all() > 2*pl.limit+members {
					t.Fatalf("%d places are taken, %d known", all(), pl.taken)
				}
			},
		})
	})
}
