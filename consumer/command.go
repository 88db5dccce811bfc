package consumer

import (
	"cmp"
	"context"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// Operators' commands are records of the inbox, done in order with all else:
//
//	lane      one about a customer's event is in that customer's; others, which come to every partition, in one of their own
//	current   a command names what it is about so exactly that it does nothing, and says so, once that has changed
//	done      what it changes is one write, with its offset: acknowledged, then the offset is done
//	again     delivered again, its offset is known (state.Control.Seen), or it is not current any more
//
// Another kind of command adds a case to obey, and its name and data to schemas.

// isCommand says whether a record of the inbox is a command, by its type alone.
func (p *partition) isCommand(record kafka.Record) bool {
	for _, h := range record.Headers {
		if h.Key == schemas.HeaderType {
			return p.cfg.Contract.IsCommandType(h.Value)
		}
	}
	return false
}

// obey does a command. nil: its offset is done.
func (p *partition) obey(ctx context.Context, l *lane, record kafka.Record) error {
	began := time.Now()
	l.hand.turn(recording)
	e, err := decode(p.cfg.Contract, record)
	if err == nil {
		err = p.cfg.Contract.ValidateCommand(e)
	}
	if err == nil && l.customer != cmp.Or(e.CustomerID, schemas.CommandKey) {
		err = errNotOurs // its lane is that of the customer whom it is about
	}
	if err != nil {
		return p.reject(ctx, record, err)
	}
	report := Report{Stage: StageCommand, Event: identity(e), Offset: record.Offset}
	current := true
	switch {
	case e.CustomerID == "" && record.Offset <= p.store.Control().Seen:
		report.Repeated = true
	case e.Name == schemas.TypeCommandResume:
		current, err = p.unpause(ctx, record, e, true)
	case e.Name == schemas.TypeCommandResolve:
		object := func(c schemas.CommandResolve) string { return c.Object }
		current, report.Repeated, err = about(ctx, p, l, record, e, object, p.resolve)
	case e.Name == schemas.TypeCommandDiscard:
		object := func(c schemas.CommandDiscard) string { return c.Object }
		current, report.Repeated, err = about(ctx, p, l, record, e, object, p.discard)
	}
	if err != nil {
		return stopped(ctx, err)
	}
	if !current {
		report.Error = &outcome.Error{Verdict: outcome.Done, Reason: outcome.NotCurrent}
	}
	report.Took = time.Since(began)
	p.cfg.Report(report)
	return nil
}

// about does a command about something of the lane's customer, unless it is done already, or nothing is known of its object.
func about[T any](ctx context.Context, p *partition, l *lane, record kafka.Record, e schemas.Event, object func(T) string,
	do func(context.Context, *lane, int64, T) (bool, error)) (current, repeated bool, err error) {
	data, err := schemas.Data[T](e)
	if err != nil {
		return false, false, err
	}
	switch r := p.store.Get(l.customer, object(data)); {
	case r == nil:
		return false, false, nil
	case record.Offset <= r.Seen:
		return true, true, nil
	}
	current, err = do(ctx, l, record.Offset, data)
	return current, false, err
}

// unpause lets events of a type go on, if it has paused for one of the reasons that the command names.
// delivered: else it was seen ahead of its turn, and will be delivered.
func (p *partition) unpause(ctx context.Context, record kafka.Record, e schemas.Event, delivered bool) (current bool, err error) {
	data, err := schemas.Data[schemas.CommandResume](e)
	if err != nil {
		return false, err
	}
	var here bool
	err = p.store.SetControl(ctx, func(c *state.Control) bool {
		if delivered {
			c.Seen = record.Offset
		}
		here = c.Lift(data.Type, data.Pauses)
		return delivered || here
	})
	if err != nil {
		return false, err
	}
	if current = p.floods.lift(data.Type, data.Pauses) || here; current {
		p.floods.anew(data.Type, e.ID)
	}
	p.release()
	line := p.cfg.Log.Info().Int("partition", p.number).Str("event_type", data.Type).Str("command", e.ID)
	switch {
	case current:
		line.Msg("events of the type go on: an operator says so")
	case p.isPaused(data.Type):
		line.Msg("nothing was done: the type has paused again since the command was given")
	default:
		line.Msg("nothing was done: the type has not paused here")
	}
	return current, nil
}
