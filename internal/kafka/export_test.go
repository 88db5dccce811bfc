package kafka

// Busy tells whether something is under way.
func (p *Producer) Busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.byTP {
		if l.running {
			return true
		}
	}
	return false
}

// StartAt makes a fenced producer, after its first Init, number the records of a partition from n on.
func (p *Producer) StartAt(tp TopicPartition, n int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byTP[tp] = &lane{producer: p, tp: tp, who: p.who, inits: p.inits, sequence: n}
}

// Waiting tells how many batches wait for a request that combines them.
func (c *Client) Waiting() int {
	c.combiner.mu.Lock()
	defer c.combiner.mu.Unlock()
	n := 0
	for _, q := range c.combiner.queues {
		n += len(q.waiting)
	}
	return n
}

// SendersPerBroker is how many requests that write may be under way to one broker.
const SendersPerBroker = sendersPerBroker

// Combines tells whether the next batch for a partition goes in a request with others.
func (p *Producer) Combines(tp TopicPartition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byTP[tp]
	return l != nil && !l.running && l.inits > 0 && !l.alone
}

// batchSize is the exact size of records as one batch.
func batchSize(records []Record) int { return whole(records).size }
