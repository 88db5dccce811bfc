package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

const (
	// mostOpening is how many partitions are taken over at once: each costs the brokers and the processor.
	mostOpening = 8
	// fairOpening is for how long one counts as being taken: one that takes long must not hold back the others.
	fairOpening = 10 * time.Second
	// sayOpening is how often it is told how far one is.
	sayOpening = 5 * time.Second
)

// errAnew is that of an inbox that is not the one of which state knows offsets. Its events would be taken for repeats of others at the
// same offsets.
var errAnew = errors.New("the inbox was made anew, or truncated")

// take takes the partition over, its state restored, and finds out where to go on in the inbox.
func (l *life) take(ctx context.Context) (*partition, error) {
	e := l.session.engine
	e.numbers.opening.Inc()
	defer e.numbers.opening.Dec()
	leave, err := e.opening.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	timer := time.AfterFunc(fairOpening, leave)
	defer timer.Stop()

	again := l.taken > 0
	l.taken++
	committed, _ := l.session.a.Committed(kafka.TopicPartition{Topic: e.cfg.Inbox, Partition: l.number})
	store, err := e.store(ctx, l.number, committed)
	if err != nil {
		return nil, err
	}
	next, end, err := l.start(ctx, store, again)
	if err != nil {
		e.drop(l.number)
		return nil, err
	}
	store.Committed(next)
	p := newPartition(&e.cfg, l.number, store, next)
	p.numbers, p.places, p.following, p.floods = e.numbers, l.session.places, l.session.following, e.floods
	p.successes, p.before, p.highest = &e.successes, end, store.Highest()
	p.source = source{l.session.fetcher, kafka.TopicPartition{Topic: e.cfg.Inbox, Partition: l.number}}
	p.release() // an owner before this one may not have come to it
	for _, typ := range types(store.Control().Paused) {
		e.cfg.Log.Warn().Int("partition", l.number).Str("event_type", typ).Time("since", store.Control().Paused[typ].Since).
			Msg("events of the type are not attempted; when what rejected them is mended, run distributor-bridge resume " + typ +
				" --why TEXT --config FILE")
	}
	return p, nil
}

// start gives the first inbox offset that is not done: as the group has committed it, asked anew if the partition was at
// work in this session already; and where the inbox ends.
func (l *life) start(ctx context.Context, store *state.Store, again bool) (next, end int64, err error) {
	e := l.session.engine
	ends, err := e.cfg.Client.EndOffset(ctx, e.cfg.Inbox) // after the last owner has written its last
	if err != nil {
		return 0, 0, fmt.Errorf("look at the inbox: %w", err)
	}
	end = ends[l.number]
	if highest := store.Highest(); highest >= end {
		return 0, 0, fmt.Errorf("%w: its end is %d, and %d was taken from it", errAnew, end, highest)
	}
	next, ok, err := l.committed(ctx, again)
	if err != nil {
		return 0, 0, err
	}
	if err := l.same(ctx, store, ok); err != nil || ok {
		return next, end, err
	}
	starts, err := e.cfg.Client.StartOffset(ctx, e.cfg.Inbox)
	if err != nil {
		return 0, 0, fmt.Errorf("look at the inbox: %w", err)
	}
	return starts[l.number], end, nil
}

// committed gives where the group is.
func (l *life) committed(ctx context.Context, again bool) (next int64, ok bool, err error) {
	a, tp := l.session.a, kafka.TopicPartition{Topic: l.session.engine.cfg.Inbox, Partition: l.number}
	if !again {
		next, ok = a.Committed(tp)
		return next, ok, nil
	}
	same, err := a.Same(ctx, tp.Topic)
	if err != nil || !same { // the session is about to end
		return 0, false, errors.Join(errors.New("the inbox was deleted, or it is not known whether it was"), err)
	}
	if next, ok, err = a.Offset(ctx, tp); err != nil {
		return 0, false, fmt.Errorf("look where the group is: %w", err)
	}
	return next, ok, nil
}

// same sees to it that the inbox is the one of which state knows offsets. Where the group has an offset in another one, somebody has
// put it there, who has restored the inbox; from then on that is the one.
func (l *life) same(ctx context.Context, store *state.Store, committed bool) error {
	was, is := store.Control().Inbox, l.session.a.Identity(l.session.engine.cfg.Inbox)
	switch {
	case is == "" || was == is:
		return nil
	case was != "" && !committed && store.Highest() >= 0: // of another cluster neither: a copy may have other offsets
		return fmt.Errorf("%w: there is another of its name, and the group has no offset in it", errAnew)
	}
	return store.SetControl(ctx, func(c *state.Control) bool {
		c.Inbox = is
		return true
	})
}

// store takes a partition's state over; committed is what the group has committed of the inbox. The state of a partition
// that was kept over a rebalance is in memory already.
func (e *Engine) store(ctx context.Context, number int, committed int64) (*state.Store, error) {
	began := time.Now()
	log := e.cfg.Log.With().Int("partition", number).Logger()
	if store := e.kept(number); store != nil {
		err := store.Retake(ctx)
		if err == nil {
			log.Info().Int("objects", store.Len()).Dur("took_ms", time.Since(began)).Msg("partition taken, its state was kept")
			return store, nil
		}
		log.Info().Err(err).Msg("state is read from its start: others have owned the partition")
		e.drop(number)
	}
	r := &restoring{log: log, began: began}
	told := r.tell()
	store, err := state.Open(ctx, state.Config{
		Client: e.cfg.Client, Topic: e.cfg.State, Partition: number, Partitions: e.cfg.Partitions,
		TransactionalID: TransactionalID(e.cfg.Group.ID, e.cfg.State, number),
		Owner:           e.cfg.Owner, Lease: e.cfg.Lease, MaxBytes: e.cfg.MaxState, Progress: r.progress,
		Committed: committed,
	})
	told()
	if err != nil {
		return nil, err
	}
	e.numbers.restores.Observe(time.Since(began).Seconds())
	r.done(store.Len())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stores[number] = store
	return store, nil
}

// TransactionalID is what the owner of a partition of state writes with: every owner of it, so that the newest fences the others.
func TransactionalID(group, topic string, partition int) string {
	return fmt.Sprintf("%s-%s-%d", group, topic, partition)
}

// restoring tells how far the reading of a partition's state is.
type restoring struct {
	log   zerolog.Logger
	began time.Time
	heap  uint64 // before

	records, bytes atomic.Int64
	percent        atomic.Int64
}

// progress is called by the one who reads.
func (r *restoring) progress(size int, share float64) {
	r.records.Add(1)
	r.bytes.Add(int64(size))
	r.percent.Store(int64(100 * share))
}

// tell writes a line every few seconds, until the function that it gives is called.
func (r *restoring) tell() (end func()) {
	r.heap = onHeap()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(sayOpening)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.line().Int64("percent", r.percent.Load()).Msg("state is being restored")
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

func (r *restoring) line() *zerolog.Event {
	took := time.Since(r.began)
	return r.log.Info().Int64("records", r.records.Load()).Int64("bytes", r.bytes.Load()).
		Int64("records_per_s", int64(float64(r.records.Load())/max(took.Seconds(), 0.001))).Dur("took_ms", took)
}

// worthMeasuring is how many objects a state must have for its memory to stand out from all else that goes on.
const worthMeasuring = 10_000

// done tells what was read, and how much memory an object takes: by how much the heap has grown, garbage collected. While
// several partitions are taken at once, each is told the growth of all.
func (r *restoring) done(objects int) {
	line := r.line().Int("objects", objects)
	if objects >= worthMeasuring {
		runtime.GC()
		if now := onHeap(); now > r.heap {
			line = line.Int64("heap_bytes_per_object", int64(now-r.heap)/int64(objects))
		}
	}
	line.Msg("partition taken, its state is restored")
}

// onHeap gives how many bytes the objects on the heap take, with garbage that is not collected yet.
func onHeap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
