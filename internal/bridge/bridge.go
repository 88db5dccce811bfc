// Package bridge puts the parts together: what Config says, as one program that can be run, stopped and run again. Both
// commands use it, and so do the end-to-end tests.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"distributor-bridge/consumer"
	"distributor-bridge/handlers"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Bridge is one member of a deployment.
type Bridge struct {
	cfg       Config
	client    *kafka.Client
	api       *distributor.Client
	results   *kafka.Producer
	inbox     *kafka.Producer
	intake    *consumer.Intake
	engine    *consumer.Engine
	documents *documents.Fetcher
}

// New puts a bridge together. It starts nothing and connects to nothing. A wrong configuration is an error that names all
// that is wrong.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	contract, err := schemas.New(cfg.TypesPrefix)
	if err != nil {
		return nil, err
	}
	api, err := distributor.New(cfg.apiConfig())
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	fetcher, err := documents.New(cfg.documentsConfig())
	if err != nil {
		return nil, fmt.Errorf("documents: %w", err)
	}
	work, err := handlers.New(handlers.Config{
		API: api, Documents: fetcher, Offerings: cfg.offerings(),
		FinalStatuses: cfg.Rules.FinalStatuses, CreditAt: cfg.Rules.CreditAt, CreditByHand: cfg.Rules.CreditByHand,
	})
	if err != nil {
		return nil, err
	}
	connection, err := cfg.kafkaConfig()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	client, err := kafka.New(connection)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	b := &Bridge{
		cfg: cfg, client: client, api: api, documents: fetcher,
		results: client.Producer(kafka.ProducerConfig{MaxBatchBytes: cfg.Topics.MaxMessageBytes + roomForHeaders}),
		inbox:   client.Producer(kafka.ProducerConfig{MaxBatchBytes: cfg.Topics.MaxMessageBytes}),
	}
	stages := b.stages(contract, work)
	b.intake, b.engine = consumer.NewIntake(stages, b.inbox), consumer.NewEngine(stages)
	return b, nil
}

func (b *Bridge) stages(contract *schemas.Contract, work *handlers.Handlers) consumer.Config {
	cfg, topics := b.cfg, b.cfg.Topics.Names()
	host, _ := os.Hostname() // for people only: an owner without a name is no trouble
	return consumer.Config{
		Client: b.client, Contract: contract, Handle: work.Handle, FollowUp: work.FollowUp,
		Publisher: producer.New(producer.Config{
			Kafka: b.results, Contract: contract, Results: topics.Results, DeadLetters: topics.DeadLetters,
			Partitions: cfg.Topics.Partitions, Source: cfg.Source, Version: cfg.Version,
		}),
		Group: cfg.groupConfig(), Upstream: cfg.Topics.Upstream, Inbox: topics.Inbox, State: topics.State,
		Partitions: cfg.Topics.Partitions, Owner: host,
		Attempt: attempt.Config{
			KeyRetention: cfg.Rules.KeyRetention, Margin: cfg.Rules.Margin, Quiet: cfg.Rules.Quiet,
		},
		HoldAfter: cfg.Rules.HoldAfter, MaxWait: cfg.Rules.MaxWait, Poll: cfg.Rules.PollInterval,
		RetryFirst: cfg.Rules.Retry.Initial, RetryMost: cfg.Rules.Retry.Max,
		Lease: cfg.Rules.Lease, Drain: cfg.Rules.Drain, MaxInFlight: cfg.Rules.MaxInFlight,
		SendBefore:        distributor.SendBefore,
		DeadLetterUnknown: cfg.UnknownTypes == "dead_letter",
		Report:            b.report, Log: cfg.Log,
	}
}

func (c *Config) offerings() map[string]handlers.Offering {
	out := make(map[string]handlers.Offering, len(c.Offerings))
	for name, o := range c.Offerings {
		out[name] = handlers.Offering(o)
	}
	return out
}

// Run works until ctx ends, then lets what is in hand come to its end, at most for Rules.Drain. It returns early with an
// error that no new try can mend. A Bridge runs once.
func (b *Bridge) Run(ctx context.Context) error {
	defer b.close()
	if err := b.ready(ctx); err != nil {
		return err
	}
	stages, ctx := errgroup.WithContext(ctx)
	stages.Go(func() error { return b.intake.Run(ctx) })
	stages.Go(func() error { return b.engine.Run(ctx) })
	return stages.Wait()
}

// ready waits until the brokers answer, and sees to it that they take the session timeout.
func (b *Bridge) ready(ctx context.Context) error {
	err := b.client.CheckGroupLimits(ctx, b.cfg.Group.Session)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check the brokers: %w", err)
	}
	return nil
}

func (b *Bridge) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := errors.Join(b.inbox.Close(ctx), b.results.Close(ctx)); err != nil {
		b.cfg.Log.Warn().Err(err).Msg("writes were given up: what they belong to is not committed, and will be done again")
	}
	b.client.Close()
	b.api.Close()
}

// report writes the one log line of an event, and tells whoever embeds the bridge. IDs only: no personal data.
func (b *Bridge) report(r consumer.Report) {
	line := b.cfg.Log.Info()
	if r.Error != nil && r.Verdict != outcome.Done && r.Verdict != outcome.Waiting {
		line = b.cfg.Log.Warn()
	}
	line = line.Str("stage", r.Stage).Str("event_id", r.Event.ID).Str("event_source", r.Event.Source).
		Str("event_type", r.Event.Type).Str("customer", r.Event.Customer).Int64("offset", r.Offset).
		Stringer("outcome", r.Verdict).Dur("took_ms", r.Took)
	if r.Follow != "" {
		name, _, _ := strings.Cut(r.Follow, "/") // a wallet's goes on with its address
		line = line.Str("follow_up", name)
	}
	if r.Repeated {
		line = line.Bool("repeated", true)
	}
	if r.Behind {
		line = line.Bool("behind", true)
	}
	if e := r.Error; e != nil {
		line = line.Str("reason", string(e.Reason)).Str("class", string(e.Class)).Str("step", e.Step).
			Int("status", e.Status).Strs("fields", e.Fields).AnErr("cause", e.Err).Int("tries", r.Tries)
	}
	line.Msg(message(r))
	if b.cfg.Report != nil {
		b.cfg.Report(r)
	}
}

func message(r consumer.Report) string {
	switch {
	case r.Repeated:
		return "known already"
	case r.Behind:
		return "held behind an earlier event of its subject"
	case r.Stage == consumer.StageIntake && r.Error == nil:
		return "taken in"
	case r.Stage == consumer.StageFollow:
		return "follow-up"
	}
	return "event"
}
