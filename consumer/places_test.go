package consumer

import (
	"testing"

	"pgregory.net/rapid"
)

// Where calls are many, the lanes that write are not as many times more.
func TestPlacesOfManyCalls(t *testing.T) {
	t.Parallel()
	for calls, want := range map[int]int{1: 3, 64: 192, 256: 768, 1000: 1512} {
		if pl := newPlaces(calls, 1); pl.limit != want {
			t.Errorf("%d calls in flight: %d lanes at work, want %d", calls, pl.limit, want)
		}
	}
}

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
