package consumer

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
)

// Results that are acknowledged while the partition does not wait for them any more: they count, or they are nobody's, and whoever
// tells of them is not in the way of its end.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	for range 50 {
		p := &partition{
			cfg: &Config{}, quiet: make(chan struct{}, 1), lanes: map[string]*lane{},
			places: newPlaces(4, 1), following: newFollowing(4, 1), numbers: newNumbers(prometheus.NewRegistry()),
		}
		var tasks []*task
		for i := range 200 {
			l := newLane(fmt.Sprint(i))
			p.lanes[l.customer] = l
			p.window.take(int64(i), time.Now())
			p.announcing.Add(1)
			l.news.begin(int64(i))
			tasks = append(tasks, &task{lane: l, record: &kafka.Record{Offset: int64(i)}, work: attempt.Work{Offset: int64(i)}})
		}
		work, cut := context.WithCancel(t.Context())
		var ends sync.WaitGroup
		for i := range 4 {
			ends.Go(func() {
				for n := i; n < len(tasks); n += 4 {
					p.announced(work, tasks[n], nil)
				}
			})
		}
		cut()
		p.hush(work)
		p.vacate()
		undone := func() (records, lanes int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.window.undone(), len(p.lanes)
		}
		records, lanes := undone()
		ends.Wait()
		if r, l := undone(); r != records || l != lanes || r != l || r > 0 && !p.abandoned {
			t.Errorf("%d records and %d lanes are left at the end, %d and %d afterwards", records, lanes, r, l)
		}
	}
}
