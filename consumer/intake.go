package consumer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// IntakeSuffix makes the intake's consumer group out of the engine's.
const IntakeSuffix = "-intake"

// Intake reads upstream's topics as a consumer group of its own, and appends what is valid to the inbox.
type Intake struct {
	cfg   Config
	inbox *kafka.Producer
	lag   *lag

	vitals vitals
}

// NewIntake starts nothing. It appends through inbox, which the caller closes after Run.
func NewIntake(cfg Config, inbox *kafka.Producer) *Intake {
	cfg = cfg.withDefaults()
	cfg.Group.ID += IntakeSuffix
	cfg.Group.Topics = cfg.Upstream
	cfg.Group.Drain = cfg.Drain
	cfg.Report = newNumbers(cfg.Registry).counting(cfg.Report)
	return &Intake{cfg: cfg, inbox: inbox, lag: newLag(cfg.Registry)}
}

// Run works until ctx ends.
func (in *Intake) Run(ctx context.Context) error {
	return in.cfg.Client.Group(in.cfg.Group).Run(ctx, in.session)
}

// session takes in what the topics of one generation hold: append, acknowledged, then commit. A crash in between
// appends again; the engine knows the repeat by its identity.
func (in *Intake) session(ctx context.Context, a *kafka.Assignment) error {
	ending, over := in.vitals.begin()
	defer over()
	defer context.AfterFunc(ctx, ending)()
	for _, topic := range a.Missing {
		in.cfg.Log.Warn().Str("topic", topic).Msg("upstream topic does not exist, or may not be read: it is left out and looked for again")
	}
	work, release := draining(ctx, in.cfg.Drain)
	defer release()
	f := in.cfg.Client.Fetcher(kafka.FetcherConfig{ReadCommitted: true})
	defer f.Close()
	defer in.lag.forget()
	doubted := map[kafka.TopicPartition]bool{} // they could not be fetched: the topic may be another one since
	for topic, partitions := range a.Partitions {
		starts, err := in.cfg.Client.StartOffset(ctx, topic)
		if err != nil {
			return in.again(ctx, err)
		}
		for _, number := range partitions {
			tp := kafka.TopicPartition{Topic: topic, Partition: number}
			offset, ok := a.Committed(tp)
			if !ok {
				offset = starts[number]
			}
			if a.Remade(tp) {
				in.cfg.Log.Warn().Str("topic", topic).Int("partition", number).
					Msg("upstream has made its topic anew: it is taken in from its start")
			}
			f.Set(tp, offset)
			in.lag.at(tp, offset)
		}
	}
	looks, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { in.lag.watch(looks, in.cfg.Client) })
	defer watching.Wait()
	defer end()
	for {
		fetched, err := f.Poll(ctx)
		if err != nil {
			return in.again(ctx, err)
		}
		for _, got := range fetched {
			if err := in.given(ctx, work, a, f, doubted, got); err != nil {
				return in.again(ctx, err)
			}
		}
	}
}

// given deals with what a partition gave.
func (in *Intake) given(
	ctx, work context.Context, a *kafka.Assignment, f *kafka.Fetcher, doubted map[kafka.TopicPartition]bool, got kafka.Fetched,
) error {
	if got.Err != nil {
		doubted[got.TopicPartition] = true
		return in.trouble(ctx, f, got)
	}
	if doubted[got.TopicPartition] {
		switch same, err := in.same(ctx, a, got.Topic); {
		case err != nil: // as it comes again, so does the question
			in.cfg.Log.Warn().Err(err).Str("topic", got.Topic).Int("partition", got.Partition).
				Msg("upstream is not taken in until it is known whether its topic was made anew")
			f.Set(got.TopicPartition, got.From)
			pause(ctx, restart)
			return nil
		case !same:
			return fmt.Errorf("topic %s was deleted, or made anew", got.Topic)
		}
		maps.DeleteFunc(doubted, func(tp kafka.TopicPartition, _ bool) bool { return tp.Topic == got.Topic })
	}
	if err := in.take(work, a, got); err != nil {
		return err
	}
	in.lag.took(got)
	return nil
}

// same says whether a topic is still the one that it was when the session began, before anything else of it is taken. It takes no
// longer than patience: others wait meanwhile.
func (in *Intake) same(ctx context.Context, a *kafka.Assignment, topic string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return a.Same(ctx, topic)
}

// again ends the session, so that the group is joined anew.
func (in *Intake) again(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		in.cfg.Log.Error().Err(err).Msg("intake begins anew at its committed offsets")
		pause(ctx, restart)
	}
	return nil
}

// trouble deals with a partition that cannot be fetched. Where upstream's retention was faster than the bridge, what is
// still there is taken, aloud.
func (in *Intake) trouble(ctx context.Context, f *kafka.Fetcher, got kafka.Fetched) error {
	log := in.cfg.Log.Warn().Err(got.Err).Str("topic", got.Topic).Int("partition", got.Partition)
	if !errors.Is(got.Err, kafka.ErrOutOfRange) {
		log.Msg("upstream cannot be fetched")
		return nil
	}
	starts, err := in.cfg.Client.StartOffset(ctx, got.Topic)
	if err != nil {
		return err
	}
	start := starts[got.Partition]
	why := "upstream has deleted events that were not taken in"
	if got.Next > start {
		why = "upstream's log ends before what was taken in of it, as of a topic that was made anew, or one that was cut"
	}
	log.Int64("wanted", got.Next).Int64("start", start).Msg(why + ": intake goes on at the topic's start")
	f.Set(got.TopicPartition, start)
	return nil
}

// take appends what one partition gave, then commits.
func (in *Intake) take(ctx context.Context, a *kafka.Assignment, got kafka.Fetched) error {
	if len(got.Records) == 0 {
		return nil
	}
	b := newBatch(in.cfg, got)
	for i := range got.Records {
		record := &got.Records[i]
		began := time.Now()
		event, err := decode(in.cfg.Contract, *record)
		if err == nil {
			err = in.cfg.Contract.Validate(event)
		}
		span := in.span(event, record)
		report := Report{Stage: StageIntake, Event: identity(event), Offset: record.Offset}
		report.TraceID, report.SpanID = span.IDs(event.TraceParent)
		switch {
		case errors.Is(err, schemas.ErrUnknownType) && !in.cfg.DeadLetterUnknown:
			report.Error = &outcome.Error{Verdict: outcome.Done, Reason: outcome.UnknownType}
			endSkipped(span)
		case err != nil:
			letter := invalidLetter(*record, err)
			letter.Event = event
			report.Verdict, report.Error = outcome.Rejected, verdictOf(letter)
			if err := in.dead(ctx, span, letter); err != nil {
				return fmt.Errorf("take in %s offset %d: %w", record.TopicPartition(), record.Offset, err)
			}
		default:
			if !b.fits(event.CustomerID, record) {
				if err := in.settle(ctx, a, b, got.TopicPartition, record.Offset); err != nil {
					return err
				}
				b.clear()
			}
			b.add(event, record, in.sending(span, record))
		}
		report.Took = time.Since(began)
		in.cfg.Report(report)
	}
	if err := in.settle(ctx, a, b, got.TopicPartition, got.Next); err != nil {
		return err
	}
	b.leave()
	return nil
}

// settle appends a batch, then commits that all before next is taken in.
func (in *Intake) settle(ctx context.Context, a *kafka.Assignment, b *batch, tp kafka.TopicPartition, next int64) error {
	err := in.append(ctx, b, b.records, b.from)
	b.ended(err)
	if err != nil {
		return err
	}
	return a.Commit(ctx, map[kafka.TopicPartition]int64{tp: next})
}

// append writes records made from upstream's to the inbox, acknowledged. If there is one among them that the inbox does
// not take for its size, they go one by one, in their order, and that one goes to the dead letters. (What went in with the
// first try goes in twice then, and is known by its identity.)
func (in *Intake) append(ctx context.Context, b *batch, records []kafka.Record, from []*kafka.Record) error {
	if len(records) == 0 {
		return nil
	}
	_, err := in.inbox.Produce(ctx, records...)
	if errors.Is(err, kafka.ErrTooLarge) && len(records) > 1 {
		for i := range records {
			if err := in.append(ctx, b, records[i:i+1], from[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, kafka.ErrTooLarge) {
		err = in.tooLarge(b.refused(ctx, from[0]), from[0])
	}
	if err != nil {
		return fmt.Errorf("append to the inbox: %w", err)
	}
	return nil
}

// tooLarge writes the dead letter of an event that the inbox does not take for its size.
func (in *Intake) tooLarge(ctx context.Context, record *kafka.Record) error {
	event, err := decode(in.cfg.Contract, *record)
	if err != nil {
		return err // it was decoded before
	}
	now := stamp()
	letter := producer.Letter{
		Record: *record, Event: event, Reason: outcome.TooLarge, Class: outcome.ClassEvent, Attempts: 1,
		FirstFailed: now, Failed: now,
	}
	in.cfg.Report(Report{
		Stage: StageIntake, Event: identity(event), Offset: record.Offset, Verdict: outcome.Rejected, Error: verdictOf(letter),
	})
	return in.cfg.Publisher.Dead(ctx, letter)
}

func verdictOf(l producer.Letter) *outcome.Error {
	return &outcome.Error{Verdict: outcome.Rejected, Reason: l.Reason, Class: l.Class, Fields: l.Fields}
}

func identity(e schemas.Event) attempt.Event {
	return attempt.Event{Source: e.Source, ID: e.ID, Type: e.Name, Customer: e.CustomerID, Time: e.Time}
}
