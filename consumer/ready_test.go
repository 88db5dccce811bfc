package consumer

import (
	"testing"

	"pgregory.net/rapid"

	"distributor-bridge/internal/kafka"
)

// Lanes come once each, in the order of their oldest record; those of one customer apart; and none later than what came after it
// was ready, however often it was before.
func TestReady(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r ready
		var next int64
		lanes := make([]*lane, 5)
		for i := range lanes {
			lanes[i] = newLane(string(rune('a' + i)))
		}
		in := map[*lane]int64{} // those that are ready: what was next when they became so
		push := func(l *lane) {
			if _, is := in[l]; !is {
				r.push(l, next)
				in[l] = next
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"record": func(t *rapid.T) {
				l := rapid.SampledFrom(lanes).Draw(t, "lane")
				l.queue = append(l.queue, kafka.Record{Offset: next})
				next += rapid.Int64Range(1, 3*apart).Draw(t, "apart")
				push(l)
			},
			"item": func(t *rapid.T) { push(rapid.SampledFrom(lanes).Draw(t, "lane")) },
			"pop": func(t *rapid.T) {
				if len(in) == 0 {
					t.Skip("none is ready")
				}
				l := r.pop()
				since, is := in[l]
				if !is {
					t.Fatalf("%s was not ready", l.customer)
				}
				delete(in, l)
				for other, at := range in {
					if at < since && len(other.queue) > 0 && len(l.queue) > 0 && l.queue[0].Offset >= at {
						t.Fatalf("%s, which came at %d, goes before %s, which was ready at %d", l.customer, l.queue[0].Offset, other.customer, at)
					}
				}
				if len(l.queue) > 0 {
					l.queue = l.queue[1:]
				}
				if len(l.queue) > 0 {
					push(l)
				}
			},
			"": func(t *rapid.T) {
				if len(r.lanes) != len(in) {
					t.Fatalf("%d lanes are ready, want %d", len(r.lanes), len(in))
				}
			},
		})
	})
}
