package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// ResultsCmd is "distributor-sandbox results".
type ResultsCmd struct {
	Brokers []string `placeholder:"HOST:PORT" help:"Brokers; default: those of KAFKA_BROKERS, else 127.0.0.1:9092."`
	Follow  bool     `help:"Go on with what is still to come, until Ctrl-C."`
	Dead    bool     `help:"Show the dead letters too: why, what, which event, and where upstream has it; never what is in it."`

	ResultsTopic     string        `default:"distributor.results" help:"Topic of the results."`
	DeadLettersTopic string        `default:"distributor.dead-letters" help:"Topic of the dead letters."`
	Prefix           string        `default:"distributor." help:"What stands before the name of each type; it is not shown."`
	JSON             bool          `name:"json" help:"One line of JSON each, with all IDs in full."`
	Connect          time.Duration `default:"10s" help:"How long to wait for the brokers' first answer."`
}

// Help is the rest of the command's help.
func (ResultsCmd) Help() string {
	return `Reads from the beginning, joins no consumer group and changes nothing. What is there already is shown in the order of
its times, what comes while it follows as it comes. A result that was published twice is shown twice, as it is in the
topic: it has the same id.

A line has time (UTC), type, subject, status or reason, and the ID of the event that caused it; of a dead letter reason,
step, status and fields, the event's ID, and TOPIC/PARTITION@OFFSET of upstream's record. What is too long for 80 columns
loses its middle.

With --json, every line has "kind" and "at" (RFC 3339):
  result       event_id (its cause), id, type, customer_id, subject, detail,
               topic, partition, offset
  dead_letter  event_id, source, type, reason, class, step, status, fields,
               where, topic, partition, offset
  unreadable   topic, partition, offset: a record that is no CloudEvent
  summary      results, dead_letters`
}

// Run shows what there is; with Follow it ends by a signal, which is no error then.
func (c *ResultsCmd) Run(ctx context.Context, t terminal) error {
	contract, err := schemas.New(c.Prefix)
	if err != nil {
		return usageError{fmt.Errorf("--prefix: %w", err)}
	}
	brokers := brokersFor(c.Brokers, t)
	client, err := kafka.New(kafka.Config{Brokers: brokers, ClientID: "distributor-sandbox"})
	if err != nil {
		return err
	}
	defer client.Close()
	r := &reader{client: client, contract: contract, dead: c.DeadLettersTopic, show: c.display(t), warn: t.stderr}
	topics := []string{c.ResultsTopic}
	if c.Dead {
		topics = append(topics, c.DeadLettersTopic)
	}
	if err := answered(ctx, c.Connect, brokers, func(ctx context.Context) error { return r.look(ctx, topics) }); err != nil {
		return err
	}
	err = r.read(ctx)
	if err == nil && c.Follow {
		r.follow(ctx)
	}
	if ctx.Err() != nil {
		if err = nil; !c.Follow {
			err = errors.New("interrupted: not all was read")
		}
	}
	r.show.summary(r.results, r.letters, c.Dead)
	return err
}

func (c *ResultsCmd) display(t terminal) newsShow {
	if c.JSON {
		enc := json.NewEncoder(t.stdout)
		enc.SetEscapeHTML(false)
		return newsJSON{enc}
	}
	return &newsLines{out: t.stdout, style: styleFor(t.stdout, t)}
}

// reader reads results and dead letters. It belongs to one goroutine.
type reader struct {
	client   *kafka.Client
	contract *schemas.Contract
	dead     string // the dead letters' topic
	show     newsShow
	warn     io.Writer

	spans            []span
	results, letters int
}

// span is what a partition holds as reading begins: from <= offset < to.
type span struct {
	kafka.TopicPartition
	from, to int64
}

// look finds out what there is.
func (r *reader) look(ctx context.Context, topics []string) error {
	infos, err := r.client.Topics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("look at the topics: %w", err)
	}
	missing := slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return infos[topic].Partitions > 0 })
	if len(missing) > 0 {
		return fmt.Errorf("no such topic: %s (--results-topic and --dead-letters-topic name others)", strings.Join(missing, ", "))
	}
	for _, topic := range topics {
		starts, err := r.client.StartOffset(ctx, topic)
		if err != nil {
			return err
		}
		ends, err := r.client.EndOffset(ctx, topic)
		if err != nil {
			return err
		}
		for p, end := range ends {
			r.spans = append(r.spans, span{kafka.TopicPartition{Topic: topic, Partition: p}, starts[p], end})
		}
	}
	return nil
}

// read shows what there is, in the order of its times: partitions have none among them.
func (r *reader) read(ctx context.Context) error {
	var all []news
	for _, s := range r.spans {
		if err := r.client.Read(ctx, s.Topic, s.Partition, s.from, s.to, func(rec kafka.Record) error {
			all = append(all, r.news(rec))
			return nil
		}); err != nil {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b news) int { return a.At.Compare(b.At) })
	for _, n := range all {
		r.tell(n)
	}
	return nil
}

// follow shows what comes from there on, until ctx ends. Brokers that are away for a while are waited for.
func (r *reader) follow(ctx context.Context) {
	f := r.client.Fetcher(kafka.FetcherConfig{MaxWait: 100 * time.Millisecond, ReadCommitted: true})
	defer f.Close()
	for _, s := range r.spans {
		f.Set(s.TopicPartition, s.to)
	}
	away := map[kafka.TopicPartition]bool{} // so that it is told once
	for {
		fetched, err := f.Poll(ctx)
		if err != nil {
			return // the end of ctx
		}
		for _, got := range fetched {
			if errors.Is(got.Err, kafka.ErrOutOfRange) { // retention was faster, or the topic was made anew
				f.Set(got.TopicPartition, max(0, got.LogStart))
				continue
			}
			if got.Err != nil && !away[got.TopicPartition] {
				fmt.Fprintf(r.warn, "distributor-sandbox: %s cannot be read now: waiting\n", clean(got.TopicPartition.String()))
			}
			away[got.TopicPartition] = got.Err != nil
			for _, rec := range got.Records {
				r.tell(r.news(rec))
			}
		}
	}
}

func (r *reader) news(rec kafka.Record) news {
	if rec.Topic == r.dead {
		return deadOf(rec)
	}
	return resultOf(r.contract, rec)
}

func (r *reader) tell(n news) {
	switch n.Kind {
	case newsResult:
		r.results++
	case newsDead:
		r.letters++
	}
	r.show.news(n)
}
