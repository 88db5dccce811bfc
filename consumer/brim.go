package consumer

// brim stops fetching when as many events are held as may be, and lets it go on when there is room again: what is held takes
// memory and state, and more of it would help nobody. What was fetched already still comes in.
func (p *partition) brim() {
	held, limit := p.store.Held(), p.cfg.MaxHeld
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.brimful && held >= limit && p.next > p.highest: // what an owner before had begun is delivered first
		p.brimful = true
		p.source.pause()
		p.cfg.Log.Error().Int("partition", p.number).Int("held", held).Int("limit", limit).
			Msg("too many events are held: nothing is fetched until there are fewer; look at why they are (metric held_events)")
	case p.brimful && held < limit-limit/20:
		p.brimful = false
		p.fetchOn()
		p.cfg.Log.Info().Int("partition", p.number).Int("held", held).Msg("there is room for held events again: fetching goes on")
	}
}

// fetchOn lets the source go on, unless something else stops it; p.mu is held.
func (p *partition) fetchOn() {
	if !p.full && !p.brimful {
		p.source.resume()
	}
}
