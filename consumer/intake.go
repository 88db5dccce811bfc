package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// intakeSuffix makes the intake's consumer group out of the engine's.
const intakeSuffix = "-intake"

// Intake reads upstream's topics as a consumer group of its own, and appends what is valid to the inbox.
type Intake struct {
	cfg   Config
	inbox *kafka.Producer
}

// NewIntake starts nothing. It appends through inbox, which the caller closes after Run.
func NewIntake(cfg Config, inbox *kafka.Producer) *Intake {
	cfg = cfg.withDefaults()
	cfg.Group.ID += intakeSuffix
	cfg.Group.Topics = cfg.Upstream
	cfg.Group.Drain = cfg.Drain
	return &Intake{cfg: cfg, inbox: inbox}
}

// Run works until ctx ends.
func (in *Intake) Run(ctx context.Context) error {
	return in.cfg.Client.Group(in.cfg.Group).Run(ctx, in.session)
}

// session takes in what the topics of one generation hold: append, acknowledged, then commit. A crash in between
// appends again; the engine knows the repeat by its identity.
func (in *Intake) session(ctx context.Context, a *kafka.Assignment) error {
	for _, topic := range a.Missing {
		in.cfg.Log.Warn().Str("topic", topic).Msg("upstream topic does not exist: it is left out and looked for again")
	}
	work, release := draining(ctx, in.cfg.Drain)
	defer release()
	f := in.cfg.Client.Fetcher(kafka.FetcherConfig{ReadCommitted: true})
	defer f.Close()
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
			f.Set(tp, offset)
		}
	}
	for {
		fetched, err := f.Poll(ctx)
		if err != nil {
			return in.again(ctx, err)
		}
		for _, got := range fetched {
			if got.Err != nil {
				if err := in.trouble(ctx, f, got); err != nil {
					return in.again(ctx, err)
				}
				continue
			}
			if err := in.take(work, a, got); err != nil {
				return in.again(ctx, err)
			}
		}
	}
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
	log.Int64("wanted", got.Next).Int64("start", start).
		Msg("upstream has deleted events that were not taken in, or made its topic anew: intake goes on at the topic's start")
	f.Set(got.TopicPartition, start)
	return nil
}

// take appends what one partition gave, then commits.
func (in *Intake) take(ctx context.Context, a *kafka.Assignment, got kafka.Fetched) error {
	if len(got.Records) == 0 {
		return nil
	}
	var batch []entry
	var size int
	of := map[string]int{} // events of each customer since the last commit
	for _, record := range got.Records {
		began := time.Now()
		event, err := decode(in.cfg.Contract, record)
		if err == nil {
			err = in.cfg.Contract.Validate(event)
		}
		report := Report{Stage: StageIntake, Event: identity(event), Offset: record.Offset}
		switch {
		case errors.Is(err, schemas.ErrUnknownType) && !in.cfg.DeadLetterUnknown:
			report.Error = &outcome.Error{Verdict: outcome.Done, Reason: outcome.UnknownType}
		case err != nil:
			letter := invalidLetter(record, err)
			letter.Event = event
			report.Verdict, report.Error = outcome.Rejected, verdictOf(letter)
			if err := in.cfg.Publisher.Dead(ctx, letter); err != nil {
				return fmt.Errorf("take in %s offset %d: %w", record.TopicPartition(), record.Offset, err)
			}
		default:
			if size > 0 && (size+len(record.Value) > batchBytes || of[event.CustomerID] == mostRepeated) {
				if err := in.settle(ctx, a, batch, got.TopicPartition, record.Offset); err != nil {
					return err
				}
				batch, size = nil, 0
				clear(of)
			}
			of[event.CustomerID]++
			batch, size = append(batch, in.entry(event, record)), size+len(record.Value)
		}
		report.Took = time.Since(began)
		in.cfg.Report(report)
	}
	return in.settle(ctx, a, batch, got.TopicPartition, got.Next)
}

// mostRepeated is how many events of one customer a crash can make intake append twice: the subject's record knows the
// last of them by their identity, and twice as many.
const mostRepeated = 16

// settle appends entries, then commits that all before next is taken in.
func (in *Intake) settle(ctx context.Context, a *kafka.Assignment, batch []entry, tp kafka.TopicPartition, next int64) error {
	if err := in.append(ctx, batch); err != nil {
		return err
	}
	return a.Commit(ctx, map[kafka.TopicPartition]int64{tp: next})
}

// headerTraceParent is where tracing tools look for it; the event has it as ce_traceparent too.
const headerTraceParent = "traceparent"

// entry is an event on its way into the inbox.
type entry struct {
	event  schemas.Event
	from   kafka.Record // upstream's
	record kafka.Record // the inbox's
}

// append writes entries to the inbox, acknowledged. If there is one among them that the inbox does not take for its
// size, they go one by one, in their order, and that one goes to the dead letters. (What went in with the first try
// goes in twice then, and is known by its identity.)
func (in *Intake) append(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	records := make([]kafka.Record, len(entries))
	for i, e := range entries {
		records[i] = e.record
	}
	_, err := in.inbox.Produce(ctx, records...)
	if errors.Is(err, kafka.ErrTooLarge) && len(entries) > 1 {
		for i := range entries {
			if err := in.append(ctx, entries[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, kafka.ErrTooLarge) {
		e := entries[0]
		now := stamp()
		letter := producer.Letter{
			Record: e.from, Event: e.event, Reason: outcome.TooLarge, Class: outcome.ClassEvent, Attempts: 1,
			FirstFailed: now, Failed: now,
		}
		in.cfg.Report(Report{
			Stage: StageIntake, Event: identity(e.event), Offset: e.from.Offset, Verdict: outcome.Rejected, Error: verdictOf(letter),
		})
		err = in.cfg.Publisher.Dead(ctx, letter)
	}
	if err != nil {
		return fmt.Errorf("append to the inbox: %w", err)
	}
	return nil
}

// batchBytes limits the payload of one append. It is far below what a topic takes by default (1 MiB).
const batchBytes = 256 << 10

// entry gives an event as the inbox holds it: binary mode, with where it came from.
func (in *Intake) entry(e schemas.Event, from kafka.Record) entry {
	value, headers := e.Binary()
	key := []byte(e.CustomerID)
	record := kafka.Record{
		Topic: in.cfg.Inbox, Partition: kafka.Partition(key, in.cfg.Partitions), Key: key, Value: value,
		Headers: append(producer.Headers(headers),
			kafka.Header{Key: producer.HeaderSourceTopic, Value: []byte(from.Topic)},
			kafka.Header{Key: producer.HeaderSourcePartition, Value: []byte(strconv.Itoa(from.Partition))},
			kafka.Header{Key: producer.HeaderSourceOffset, Value: []byte(strconv.FormatInt(from.Offset, 10))}),
	}
	if e.TraceParent != "" {
		record.Headers = append(record.Headers, kafka.Header{Key: headerTraceParent, Value: []byte(e.TraceParent)})
	}
	return entry{event: e, from: from, record: record}
}

func verdictOf(l producer.Letter) *outcome.Error {
	return &outcome.Error{Verdict: outcome.Rejected, Reason: l.Reason, Class: l.Class, Fields: l.Fields}
}

func identity(e schemas.Event) attempt.Event {
	return attempt.Event{Source: e.Source, ID: e.ID, Type: e.Name, Customer: e.CustomerID, Time: e.Time}
}
