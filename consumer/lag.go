package consumer

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/kafka"
)

// lookForLag is how often it is asked where upstream's topics end. While records are taken in, what is fetched tells it sooner; while
// the inbox takes none, nothing is fetched, and lag would stand still just when it grows.
const lookForLag = 30 * time.Second

// lag tells how many of upstream's records are still to be taken in.
type lag struct {
	told *prometheus.GaugeVec

	mu   sync.Mutex                     // guards next, and what is told of it
	next map[kafka.TopicPartition]int64 // this member's partitions, and the first record of each that is not taken in
}

func newLag(r prometheus.Registerer) *lag {
	return &lag{
		told: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "intake_lag_records", Help: "Upstream's records that are not taken in yet.",
		}, []string{"topic", "partition"})),
		next: map[kafka.TopicPartition]int64{},
	}
}

// at takes note of where intake is in a partition.
func (l *lag) at(tp kafka.TopicPartition, next int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next[tp] = next
}

// took takes note of what a partition gave, and has still to give.
func (l *lag) took(got kafka.Fetched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next[got.TopicPartition] = got.Next
	if got.HighWatermark >= 0 {
		l.tell(got.TopicPartition, got.HighWatermark-got.Next)
	}
}

func (l *lag) tell(tp kafka.TopicPartition, records int64) {
	l.told.WithLabelValues(tp.Topic, strconv.Itoa(tp.Partition)).Set(float64(max(0, records)))
}

// forget forgets all partitions: from now on they are others', perhaps.
func (l *lag) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.next)
	l.told.Reset()
}

// looked takes note of where a partition ended when it was asked; intake was at next before. If it has moved since, what it was told
// itself is newer.
func (l *lag) looked(tp kafka.TopicPartition, next, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next[tp] == next {
		l.tell(tp, end-next)
	}
}

// watch asks where the topics end, until ctx ends.
func (l *lag) watch(ctx context.Context, client *kafka.Client) {
	for pause(ctx, lookForLag); ctx.Err() == nil; pause(ctx, lookForLag) {
		l.mu.Lock()
		next := maps.Clone(l.next)
		l.mu.Unlock()
		ends := map[string]map[int]int64{}
		for tp, offset := range next {
			if _, asked := ends[tp.Topic]; !asked {
				limited, cancel := context.WithTimeout(ctx, patience)
				ends[tp.Topic], _ = client.EndOffset(limited, tp.Topic) // without an answer: the next time
				cancel()
			}
			if end, ok := ends[tp.Topic][tp.Partition]; ok {
				l.looked(tp, offset, end)
			}
		}
	}
}
