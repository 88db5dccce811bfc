package consumer

import (
	"context"
	"errors"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/trace"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Kinds of errors of spans that no verdict ends.
const (
	spanStopped     = "stopped"      // the member stops, or has lost the partition: it is attempted again
	spanNotRecorded = "not_recorded" // state, or what follows it, could not be written
	spanNotAppended = "not_appended"
)

// spans are intake's of one event: taken is around all, sent is its append to the inbox.
type spans struct {
	taken, sent trace.Span
	from        *kafka.Record
}

// span begins the span of one of upstream's records.
func (in *Intake) span(e schemas.Event, record *kafka.Record) trace.Span {
	return in.cfg.Trace.Take(e.TraceParent, trace.Message{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset, Group: in.cfg.Group.ID,
		ID: e.ID, Source: e.Source, Type: e.Type,
	})
}

// sending begins the span of an append. The inbox record tells of it, so it has to be there before.
func (in *Intake) sending(taken trace.Span, from *kafka.Record) spans {
	if taken == (trace.Span{}) {
		return spans{}
	}
	return spans{taken, in.cfg.Trace.Send(taken.Under(context.Background()), in.cfg.Inbox, 1), from}
}

// ended ends the spans of what was appended.
func (b *batch) ended(err error) {
	for _, s := range b.spans {
		if err != nil {
			s.sent.Fail(spanNotAppended)
			s.taken.Fail(spanNotAppended)
		}
		s.sent.End()
		s.taken.End()
	}
}

// refused tells the spans of a record that the inbox does not take for its size, and gives the context for its dead letter.
func (b *batch) refused(ctx context.Context, from *kafka.Record) context.Context {
	for _, s := range b.spans {
		if s.from == from {
			s.sent.Fail(string(outcome.TooLarge))
			s.taken.Outcome(outcome.Rejected.String(), string(outcome.TooLarge), 0, true)
			return s.taken.Under(ctx)
		}
	}
	return ctx
}

// dead writes the dead letter of a record that is not taken in, and ends its span.
func (in *Intake) dead(ctx context.Context, span trace.Span, letter producer.Letter) error {
	defer span.End()
	span.Outcome(outcome.Rejected.String(), string(letter.Reason), 0, true)
	return in.cfg.Publisher.Dead(span.Under(ctx), letter)
}

// endSkipped ends the span of an event whose type is not known.
func endSkipped(span trace.Span) {
	span.Outcome(outcome.Done.String(), string(outcome.UnknownType), 0, false)
	span.End()
}

// traced is attempt, in a span of its own where there is a trace: below what the inbox record says, or for a follow-up what
// state has kept of it, whoever worked on it before.
func (p *partition) traced(work context.Context, t *task) error {
	if p.cfg.Trace == nil {
		return p.attempt(work, t)
	}
	e := t.work.Event
	work, t.span = p.cfg.Trace.Attempt(work, e.Trace, t.work.Follow, trace.Message{
		Topic: p.cfg.Inbox, Partition: p.number, Offset: t.work.Offset, Group: p.cfg.Group.ID,
		ID: e.ID, Source: e.Source, Type: p.cfg.Contract.FullType(e.Type),
	})
	err := p.attempt(work, t)
	switch {
	case errors.Is(err, errPublishing):
	case errors.Is(err, errPaused), errors.Is(err, errShut): // a short trouble: nothing is reported of it
		t.span.Outcome(outcome.Retrying.String(), "", t.work.Tries, false)
	case errors.Is(err, errStopped):
		t.span.Fail(spanStopped)
	case err != nil:
		t.span.Fail(spanNotRecorded)
	}
	t.span.End()
	t.span = trace.Span{}
	return err
}

// trace tells the span what became of t, and the report which span it is.
func (p *partition) trace(t *task, r *Report) {
	r.TraceID, r.SpanID = t.span.IDs(t.work.Event.Trace)
	reason := ""
	if r.Error != nil {
		reason = string(r.Error.Reason)
	}
	trouble := r.Error != nil && r.Verdict != outcome.Done && r.Verdict != outcome.Waiting
	t.span.Outcome(r.Verdict.String(), reason, r.Tries, trouble)
}
