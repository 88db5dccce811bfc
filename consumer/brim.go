package consumer

import (
	"context"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

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

// peek looks ahead for a resume while nothing is fetched: events of a type that has paused may be what there are too many of, in
// all or of one subject, and the command that lets them go on stands behind what is not fetched. It is done now, and does nothing
// when it is delivered.
//
// limited is for the reading; what it finds is written under ctx.
func (p *partition) peek(ctx, limited context.Context) error {
	p.mu.Lock()
	stopped, from, to := p.brimful || p.full, max(p.peeked, p.next), p.known
	p.mu.Unlock()
	if !stopped || len(p.store.Control().Paused) == 0 {
		return nil
	}
	return p.cfg.Client.Read(limited, p.cfg.Inbox, p.number, from, to, func(r kafka.Record) (err error) {
		defer func() { // what could not be done is looked at again
			if err == nil {
				p.mu.Lock()
				p.peeked = r.Offset + 1
				p.mu.Unlock()
			}
		}()
		if string(r.Key) != schemas.CommandKey || !p.isCommand(r) {
			return nil
		}
		e, broken := decode(p.cfg.Contract, r)
		if broken != nil || e.Name != schemas.TypeCommandResume || p.cfg.Contract.ValidateCommand(e) != nil {
			return nil // its turn will come
		}
		if _, err = p.unpause(ctx, r, e, false); err != nil {
			p.fail(err)
		}
		return err
	})
}

// fetchOn lets the source go on, unless something else stops it; p.mu is held.
func (p *partition) fetchOn() {
	if !p.full && !p.brimful {
		p.source.resume()
	}
}
