package replay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Headers of a replay's record that say whose it is. A later dead letter of it does not bear them.
const (
	HeaderBy  = "dlq_replay_by"
	HeaderWhy = "dlq_replay_why"
	HeaderAt  = "dlq_replay_at"
	HeaderRun = "dlq_replay_id" // the same of all that one command has put back
)

// How says how letters are put back.
type How struct {
	Who
	Canary    int           // so many first, and on only if Succeed of them are done; 0: none
	Succeed   float64       // share, 0 to 1
	Rate      float64       // records a second; 0: as fast as they are taken
	StopAfter float64       // share of the last outcomes that may be no success; 1: any
	Wait      bool          // for outcomes; needed by Canary and StopAfter
	Patience  time.Duration // how long to wait for outcomes while none comes
	// Tell is told how many have been put back and how many have an outcome; nil: nobody. It is called often.
	Tell func(put, ended, total int)
}

const (
	mostOpen   = 200                    // records without an outcome, while outcomes are waited for
	recent     = 20                     // outcomes that StopAfter looks at
	enough     = 10                     // … and how many there have to be
	lookEvery  = 250 * time.Millisecond // for outcomes
	heldLong   = 10 * time.Second       // what is held for so long is no more waited for
	writeLimit = time.Minute            // for one record, also after an interrupt: so it is known what was written
)

// ErrStopped is that of a replay that stopped by its own rules: not all was put back.
var ErrStopped = errors.New("stopped")

// Replay puts back the items of a batch that are to be, in their order, and follows what becomes of them. After an error, as
// after the end of ctx, each item tells whether it was written; the same again goes on with the rest.
func (d *Desk) Replay(ctx context.Context, b *Batch, how How) (id string, err error) {
	run, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("name the replay: %w", err)
	}
	if how.Tell == nil {
		how.Tell = func(int, int, int) {}
	}
	if how.Patience == 0 {
		how.Patience = time.Minute
	}
	p := &putting{
		desk: d, how: how, run: run.String(), track: newTracker(d, b),
		producer: d.cfg.Client.Producer(kafka.ProducerConfig{MaxBatchBytes: d.cfg.MaxRecord}),
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
		defer cancel()
		err = errors.Join(err, p.producer.Close(closing))
	}()
	for i := range b.Items {
		if b.Items[i].Put {
			p.queue = append(p.queue, &b.Items[i])
		}
	}
	err = p.all(ctx)
	if err != nil && how.Wait { // what is known of those that were written
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Patience)
		defer cancel()
		_ = p.track.look(last) // the error that ended it counts
	}
	return p.run, err
}

// putting is a Replay under way.
type putting struct {
	desk     *Desk
	how      How
	run      string
	queue    []*Item
	written  int
	producer *kafka.Producer
	track    *tracker
	looked   time.Time
}

// all writes the canary and waits for it, then writes the rest, and waits for that.
func (p *putting) all(ctx context.Context) error {
	limit := rate.NewLimiter(rate.Inf, 1)
	if p.how.Rate > 0 {
		limit.SetLimit(rate.Limit(p.how.Rate))
	}
	for i, it := range p.queue {
		if p.how.Wait && p.how.Canary > 0 && i == p.how.Canary {
			if err := p.judgeCanary(ctx); err != nil {
				return err
			}
		}
		if err := limit.Wait(ctx); err != nil {
			return context.Cause(ctx)
		}
		if err := p.room(ctx); err != nil {
			return err
		}
		if err := p.put(ctx, it); err != nil {
			return err
		}
	}
	if !p.how.Wait {
		return nil
	}
	return p.track.settle(ctx, 0, p.how.Patience, p.tell)
}

func (p *putting) tell() { p.how.Tell(p.written, p.track.ended(), len(p.queue)) }

// judgeCanary waits for the first ones, and says whether the rest may follow.
func (p *putting) judgeCanary(ctx context.Context) error {
	if err := p.track.settle(ctx, 0, p.how.Patience, p.tell); err != nil {
		return fmt.Errorf("the first %d: %w", p.how.Canary, err)
	}
	good := 0
	for _, it := range p.queue[:p.how.Canary] {
		if it.Outcome.good() {
			good++
		}
	}
	if float64(good) < p.how.Succeed*float64(p.how.Canary) {
		return fmt.Errorf("%w: of the first %d only %d succeeded", ErrStopped, p.how.Canary, good)
	}
	return nil
}

// room waits until few enough have no outcome yet, and stops if too many of the last have failed.
func (p *putting) room(ctx context.Context) error {
	if !p.how.Wait {
		return ctx.Err()
	}
	if time.Since(p.looked) >= lookEvery {
		if err := p.track.look(ctx); err != nil {
			return err
		}
		p.looked = time.Now()
	}
	if bad, of := p.track.failing(); of >= enough && float64(bad) > p.how.StopAfter*float64(of) {
		return fmt.Errorf("%w: %d of the last %d did not succeed", ErrStopped, bad, of)
	}
	return p.track.settle(ctx, mostOpen-1, p.how.Patience, p.tell)
}

// put writes one record, acknowledged. One that the inbox does not take for its size is told, and left out.
func (p *putting) put(ctx context.Context, it *Item) error {
	record := p.record(it)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	offsets, err := p.producer.Produce(ctx, record)
	switch {
	case errors.Is(err, kafka.ErrTooLarge):
		it.Outcome, it.Note = TooLarge, fmt.Sprintf("with %d bytes it is larger than the inbox takes: raise topics.max_message_bytes"+
			" and the topic's max.message.bytes", len(record.Value))
		return nil
	case err != nil:
		it.Outcome = Doubtful
		return fmt.Errorf("write to the inbox: the replay of %s may stand there or not; the same again writes it: %w",
			it.Letter.Name(), err)
	}
	it.Outcome, it.Offset = Written, offsets[0]
	p.written++
	p.track.add(it)
	p.tell()
	return nil
}

// record is what stands in the inbox: what stood there before, or what intake would have put there.
func (p *putting) record(it *Item) kafka.Record {
	l := &it.Letter
	r := kafka.Record{Topic: p.desk.cfg.Inbox, Key: []byte(it.event.CustomerID), Value: it.data}
	r.Partition = kafka.Partition(r.Key, p.desk.cfg.Partitions)
	add := func(key, value string) { r.Headers = append(r.Headers, kafka.Header{Key: key, Value: []byte(value)}) }
	binary := false
	for _, h := range l.Headers {
		binary = binary || h.Key == schemas.HeaderType
	}
	if binary && l.fromInbox() {
		r.Headers = append(r.Headers, l.Headers...)
	} else {
		_, r.Headers = it.event.Binary()
		add(producer.HeaderSourceTopic, l.Upstream.Topic)
		add(producer.HeaderSourcePartition, strconv.Itoa(l.Upstream.Partition))
		add(producer.HeaderSourceOffset, strconv.FormatInt(l.Upstream.Offset, 10))
		if it.event.TraceParent != "" {
			add("traceparent", it.event.TraceParent)
		}
	}
	add(producer.HeaderReplays, strconv.Itoa(it.Round))
	add(producer.HeaderTopic, l.Read.Topic) // whether intake gave it up, of which state knows nothing
	if l.Follow != "" {
		add(producer.HeaderFollow, l.Follow)
	}
	add(HeaderBy, strings.ToValidUTF8(p.how.By, "?"))
	add(HeaderWhy, strings.ToValidUTF8(p.how.Why, "?"))
	add(HeaderAt, time.Now().UTC().Format(time.RFC3339))
	add(HeaderRun, p.run)
	return r
}
