package kafka

import (
	"context"
	"fmt"
	"slices"
)

// call is what one Produce gives one partition: never divided between batches.
type call struct {
	tp      TopicPartition
	records []Record        // all that Produce was given
	places  []int           // of the partition's, among them
	size    int             // of the partition's as one batch
	gone    <-chan struct{} // closed when the caller has given up

	done chan struct{} // told once, by the lane's finish; then base and err are set
	base int64         // offset of the first
	err  error
	then func(error) // told instead of done, if nobody waits
	from *Client     // whose it is again when then has been told
	told bool        // it has ended
}

// placesKept is the most places of a call that is kept for others.
const placesKept = 1 << 10

// call gives an empty call, used or new.
func (c *Client) call(tp TopicPartition, records []Record, gone <-chan struct{}) *call {
	used, ok := c.calls.Get().(*call)
	if !ok {
		used = &call{done: make(chan struct{}, 1)}
	}
	used.tp, used.records, used.size, used.gone, used.told = tp, records, batchHeader, gone, false
	return used
}

// whole gives records as one call, of which nobody waits for the end.
func whole(records []Record) *call {
	c := &call{records: records, size: batchHeader}
	for i := range records {
		c.add(i)
	}
	return c
}

// reuse gives a call back whose end its caller has been told. Not any other: a lane may still have it, and tell its end.
func (c *Client) reuse(ended *call) {
	if cap(ended.places) <= placesKept {
		*ended = call{places: ended.places[:0], done: ended.done, told: true} // until it is used again
		c.calls.Put(ended)
	}
}

// add adds the record at i of those given.
func (c *call) add(i int) {
	body := recordBody(len(c.places), &c.records[i])
	c.size += varintSize(int64(body)) + body
	c.places = append(c.places, i)
}

// tell fills in the offsets of the records, each in its place.
func (c *call) tell(offsets []int64) {
	for i, at := range c.places {
		offsets[at] = c.base
		if c.base >= 0 {
			offsets[at] += int64(i)
		}
	}
}

// finish tells the caller, who may use the call for another Produce at once: it is not the lane's any more.
func (c *call) finish(base int64, err error) {
	if c.told {
		panic("kafka: a call has ended twice")
	}
	c.base, c.err, c.told = base, err, true
	if then := c.then; then != nil {
		err := c.failure()
		c.from.reuse(c)
		then(err)
		return
	}
	c.done <- struct{}{}
}

// failure gives the error of a call that has ended.
func (c *call) failure() error {
	if c.err == nil {
		return nil
	}
	return fmt.Errorf("write to %s: %w", c.tp, c.err)
}

func finish(calls []*call, err error) {
	for _, c := range calls {
		c.finish(-1, err)
	}
}

// split sorts records by partition, keeping their order, and refuses what cannot be written. The calls are appended to calls.
func (p *Producer) split(ctx context.Context, records []Record, calls []*call) ([]*call, error) {
	for i := range records {
		r := &records[i]
		tp := r.TopicPartition()
		if r.Topic == "" || r.Partition < 0 {
			return nil, fmt.Errorf("write to %s: %w", tp, ErrNoTopic)
		}
		if topics := p.client.cfg.Topics; len(topics) > 0 && !slices.Contains(topics, r.Topic) {
			return nil, fmt.Errorf("write to %s: %w among the client's topics", tp, ErrNoTopic)
		}
		at := slices.IndexFunc(calls, func(c *call) bool { return c.tp == tp })
		if at < 0 {
			at, calls = len(calls), append(calls, p.client.call(tp, records, ctx.Done()))
		}
		calls[at].add(i)
	}
	for _, c := range calls {
		if c.size > p.cfg.MaxBatchBytes {
			return nil, fmt.Errorf("write to %s: %d records of %d bytes together, the limit is %d: %w",
				c.tp, len(c.places), c.size, p.cfg.MaxBatchBytes, ErrTooLarge)
		}
	}
	return calls, nil
}
