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
