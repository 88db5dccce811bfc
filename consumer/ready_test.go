package consumer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
)

// Lanes come once each, the first in rank first; and none later than what came after it was ready, however often it was before.
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
				r.push(l, next, next)
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
				for _, other := range r.lanes {
					if b := other.rank; b.offset < l.rank.offset || b.offset == l.rank.offset && b.nth < l.rank.nth {
						t.Fatalf("%s goes before %s, which is before it", l.customer, other.customer)
					}
				}
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

// What a lane waits to go on with ranks by itself: a task that a short trouble has interrupted by its record, an item whose time has
// come with the oldest record there is, one whose time has not come by what the lane has beside it.
func TestRank(t *testing.T) {
	t.Parallel()
	const oldest, next = 1000, 9000
	queued := []kafka.Record{{Offset: 5000}}
	task := &task{work: attempt.Work{Offset: 2000}}
	for name, c := range map[string]struct {
		lane *lane
		want int64
	}{
		"record":                  {&lane{queue: queued}, 5000},
		"task":                    {&lane{queue: queued, task: task}, 2000},
		"nothing left":            {&lane{}, oldest},
		"item":                    {&lane{items: []*item{{ready: true}}}, oldest},
		"woken item and record":   {&lane{queue: queued, items: []*item{{ready: true}}}, oldest},
		"due item and record":     {&lane{queue: queued, items: []*item{{due: time.Now()}}}, oldest},
		"item of later":           {&lane{queue: queued, items: []*item{{due: time.Now().Add(time.Hour)}}}, 5000},
		"follow-up without place": {&lane{queue: queued, waits: true, items: []*item{{ready: true, follow: "kyc"}}}, 5000},
		"often before":            {&lane{queue: queued, rank: rank{offset: 5000}}, 5000 + apart},
		"very often before":       {&lane{queue: queued, rank: rank{offset: next}}, next},
	} {
		var r ready
		r.push(c.lane, oldest, next)
		if c.lane.rank.offset != c.want {
			t.Errorf("%s: it ranks at %d, want %d", name, c.lane.rank.offset, c.want)
		}
	}
}
