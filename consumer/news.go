package consumer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/schemas"
)

// news is the results of a lane's last record, which are published while the lane goes on: the next record is attempted, its intent
// written and its call made. So between two calls of a customer there are two writes to wait for, not three.
//
// No outcome is written before they are acknowledged, and no others are published (wait): state remembers the outcome of a subject's
// last event only, so what takes its place has to wait until nobody needs it any more. If they never are, neither record is done:
// both are delivered again, the first has its results published again, the second is found with its intent. So nothing is begun
// beside results that take long (begins), or are published again: else each event of an outage of their topic could end in doubt.
//
// after and since are for all who look; over and lost for the lane's worker, and for who ends them.
type news struct {
	after atomic.Int64  // the inbox offset after that of their record; 0: there are none
	since atomic.Int64  // when they were begun, in Unix nanoseconds
	over  chan struct{} // capacity 1: full when there are none any more, unless somebody has seen it; nil if there never were
	lost  bool          // they were not published, and the partition is given up; set before after becomes 0
}

// newsSlow is how long results may be under way and something be begun beside them: they usually take milliseconds.
const newsSlow = time.Second

// errPublishing is that of a fresh record whose outcome is written, and whose results are being published: then its offset is done.
var errPublishing = errors.New("its results are being published")

// of says whether they are of the record at an inbox offset.
func (n *news) of(offset int64) bool { return n.after.Load() == offset+1 }

func (n *news) begin(offset int64) {
	if n.over == nil {
		n.over = make(chan struct{}, 1)
	}
	n.since.Store(time.Now().UnixNano())
	n.after.Store(offset + 1)
}

// age gives for how long they have been under way; 0 if there are none.
func (n *news) age(now time.Time) time.Duration {
	if n.after.Load() == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, n.since.Load()))
}

func (n *news) end(lost bool) {
	n.lost = lost
	n.after.Store(0)
	select {
	case n.over <- struct{}{}:
	default: // nobody had to wait for those before
	}
}

// begins waits until something may be begun.
func (n *news) begins(ctx context.Context) error {
	if n.after.Load() == 0 || n.age(time.Now()) < newsSlow {
		return nil
	}
	return n.wait(ctx)
}

// wait waits until there are none.
func (n *news) wait(ctx context.Context) error {
	for n.after.Load() > 0 {
		select {
		case <-n.over:
		case <-ctx.Done():
			return errStopped
		}
	}
	if n.lost {
		return errStopped
	}
	return nil
}

// announce begins to publish the results of a fresh record, and lets its lane go on.
func (p *partition) announce(ctx context.Context, t *task, all []schemas.Result) error {
	p.announcing.Add(1)
	t.lane.news.begin(t.record.Offset)
	told := func(err error) { p.announced(ctx, t, err) }
	if err := p.cfg.Publisher.Begin(ctx, t.lane.customer, told, all...); err != nil {
		told(err)
	}
	return errPublishing
}

// announced takes note that a record's results are published: it is done. It is called by whoever writes for all, and does not wait.
func (p *partition) announced(ctx context.Context, t *task, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned {
		return
	}
	_ = p.ended(t, true, err)
	switch {
	case err == nil:
		p.done(*t.record)
	case ctx.Err() == nil:
		p.abort(err)
	}
	t.lane.news.end(err != nil)
	p.forget(t.lane)
	if p.announcing.Add(-1) == 0 {
		select {
		case p.quiet <- struct{}{}:
		default:
		}
	}
}

// forget lets go of a lane that does not run, and has nothing to do; p.mu is held.
func (p *partition) forget(l *lane) {
	idle := !l.running && !l.queued && !l.gated && !l.waits && !l.seated && l.wake.IsZero()
	if idle && len(l.items)+len(l.queue) == 0 && l.news.after.Load() == 0 && p.lanes[l.customer] == l {
		delete(p.lanes, l.customer)
	}
}

// hush waits until no results are under way, after the last worker has ended; or, since writing may take as long as the brokers are
// away, until work ends. Then they are nobody's any more.
func (p *partition) hush(work context.Context) {
	for p.announcing.Load() > 0 {
		select {
		case <-p.quiet:
		case <-work.Done():
			p.mu.Lock()
			p.abandoned = true
			p.mu.Unlock()
			return
		}
	}
}

// results gives an outcome's results, made from it and the event alone. They are appended to list.
func results(e attempt.Event, out attempt.Outcome, list []schemas.Result) []schemas.Result {
	for _, r := range out.Results {
		list = append(list, schemas.Result{
			Name: r.Type, Subject: r.Subject, Time: out.Time, Data: r.Data,
			Key:   resultKey(out.Time, r),
			Cause: schemas.Cause{Source: e.Source, ID: e.ID, CorrelationID: e.Correlation, TraceParent: e.Trace},
		})
	}
	return list
}

// resultKey tells apart an event's results: what is reported, and when. A status may come twice, and two reasons for waiting within a
// millisecond.
func resultKey(at time.Time, r attempt.Result) string {
	var moment [len(time.RFC3339Nano)]byte
	var b strings.Builder
	b.Grow(len(moment) + len(r.Subject) + len(r.Data) + 2)
	b.Write(at.AppendFormat(moment[:0], time.RFC3339Nano))
	b.WriteByte(' ')
	b.WriteString(r.Subject)
	b.WriteByte(' ')
	b.Write(r.Data)
	return b.String()
}
