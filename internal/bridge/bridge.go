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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"distributor-bridge/consumer"
	"distributor-bridge/handlers"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/ops"
	"distributor-bridge/internal/otlp"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Bridge is one member of a deployment.
type Bridge struct {
	cfg       Config
	client    *kafka.Client
	api       *distributor.Client
	gate      *gate
	calls     *calls
	hinted    *hinted
	results   *kafka.Producer
	inbox     *kafka.Producer
	hints     *kafka.Producer // nil where no hints are taken
	intake    *consumer.Intake
	engine    *consumer.Engine
	documents *documents.Fetcher
	progress  progress
	pulse     ops.Pulse
	traces    *otlp.Exporter // nil where there are none
}

// New puts a bridge together. It starts nothing and connects to nothing. A wrong configuration is an error that names all
// that is wrong.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	contract, err := schemas.New(cfg.TypesPrefix)
	if err != nil {
		return nil, err
	}
	traces, err := cfg.exporter()
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	gate, calls, connect := newGate(&cfg), newCalls(), cfg.apiConfig()
	connect.Before, connect.Ended, connect.Observe, connect.Trace = gate.before, gate.ended, calls.observe, traceCalls(&cfg, traces)
	api, err := distributor.New(connect)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	gate.ask = api.Probe
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
	connection.Topics = cfg.Topics.all() // else the brokers would be asked for all topics of the cluster, all the time
	client, err := kafka.New(connection)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	b := &Bridge{
		cfg: cfg, client: client, api: api, gate: gate, calls: calls, hinted: newHinted(), documents: fetcher, traces: traces,
		results: client.Producer(kafka.ProducerConfig{MaxBatchBytes: cfg.Topics.MaxMessageBytes + roomForHeaders}),
		inbox:   client.Producer(kafka.ProducerConfig{MaxBatchBytes: cfg.Topics.MaxMessageBytes}),
	}
	stages := b.stages(contract, work)
	b.intake, b.engine = consumer.NewIntake(stages, b.inbox), consumer.NewEngine(stages)
	if cfg.Webhooks.Listen != "" {
		b.hints = client.Producer(kafka.ProducerConfig{})
	}
	return b, nil
}

func (b *Bridge) stages(contract *schemas.Contract, work *handlers.Handlers) consumer.Config {
	cfg, topics, tracer := b.cfg, b.cfg.Topics.Names(), b.traces.Tracer()
	host, _ := os.Hostname() // for people only: an owner without a name is no trouble
	return consumer.Config{
		Client: b.client, Contract: contract,
		Handle: forCustomer(work.Handle), FollowUp: forCustomer(work.FollowUp), Gate: b.gate, Answer: handlers.Answer,
		Publisher: producer.New(producer.Config{
			Kafka: b.results, Contract: contract, Results: topics.Results, DeadLetters: topics.DeadLetters,
			Partitions: cfg.Topics.Partitions, Source: cfg.Source, Version: cfg.Version,
			Trace: tracer,
		}),
		Group: cfg.groupConfig(), Upstream: cfg.Topics.Upstream, Inbox: topics.Inbox, State: topics.State,
		Partitions: cfg.Topics.Partitions, Owner: host,
		Attempt: attempt.Config{
			KeyRetention: cfg.Rules.KeyRetention, Margin: cfg.Rules.Margin, Quiet: cfg.Rules.Quiet,
		},
		HoldAfter: cfg.Rules.HoldAfter, MaxWait: cfg.Rules.MaxWait, Poll: cfg.Rules.PollInterval,
		FailingAfter: cfg.Rules.FailingAfter, MaxHeld: cfg.Rules.MaxHeld,
		RetryFirst: cfg.Rules.Retry.Initial, RetryMost: cfg.Rules.Retry.Max,
		Lease: cfg.Rules.Lease, CommitEvery: cfg.Rules.CommitEvery, Drain: cfg.Rules.Drain, MaxInFlight: cfg.Rules.MaxInFlight,
		FloodEvents: cfg.Rules.Flood.Events, FloodWithin: cfg.Rules.Flood.Within,
		SendBefore:        distributor.SendBefore,
		MaxState:          cfg.Topics.MaxMessageBytes,
		DeadLetterUnknown: cfg.UnknownTypes == "dead_letter",
		Trace:             tracer,
		Report:            b.report, Registry: cfg.Registry, Log: cfg.Log,
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
	defer b.export()() // what ends in the drain is sent, too
	unregister, err := b.register()
	defer unregister()
	if err != nil {
		b.close()
		return fmt.Errorf("register the numbers: %w", err)
	}
	served, err := b.serveOps(ctx)
	if err != nil {
		b.close()
		return err
	}
	defer served()
	defer b.close()
	stopping := context.AfterFunc(ctx, func() { b.progress.stopping.Store(true) })
	defer stopping()
	if err := b.ready(ctx); err != nil || ctx.Err() != nil { // stopped while it waited: nothing is begun
		return err
	}
	b.progress.brokers.Store(true)
	takeHints, err := b.takeHints(ctx)
	if err != nil {
		return err
	}
	return b.work(ctx, takeHints)
}

// work runs all stages until ctx ends, or one of them has an error.
func (b *Bridge) work(ctx context.Context, takeHints func(context.Context) error) error {
	stages, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { b.progress.stopping.Store(true) })()
	loop := func(name string, run func(context.Context) error) {
		stages.Go(func() error { return b.pulse.Run(ctx, name, run) })
	}
	loop("hints", func(ctx context.Context) error { b.followHints(ctx); return nil })
	loop("intake", b.intake.Run)
	loop("inbox", b.engine.Run)
	loop("breaker", func(ctx context.Context) error { b.gate.breaker.Run(ctx); return nil })
	stages.Go(func() error { return takeHints(ctx) })
	stages.Go(func() error { b.authorize(ctx); return nil })
	stages.Go(func() error { b.announce(ctx); return nil })
	return stages.Wait()
}

// ready waits until the brokers answer, and sees to it that they take the session timeout and have the bridge's topics: no
// call may be made whose result could not be told.
func (b *Bridge) ready(ctx context.Context) error {
	for {
		err := b.check(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		b.cfg.Log.Warn().Err(err).Msg("the brokers do not answer: they are asked until they do")
	}
}

// patience is how long the brokers may take for the answers that are needed before the start.
const patience = 5 * time.Second

func (b *Bridge) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := b.client.CheckGroupLimits(ctx, b.cfg.Group.Session); err != nil {
		return fmt.Errorf("check the brokers: %w", err)
	}
	names := b.cfg.Topics.Names()
	own := []string{names.Inbox, names.Results, names.DeadLetters, names.State}
	if b.hints != nil {
		own = append(own, names.Hints)
	}
	return b.cfg.own(ctx, b.client, own...)
}

func (b *Bridge) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if b.hints != nil {
		_ = b.hints.Close(ctx) // a hint that is given up was not answered
	}
	if err := errors.Join(b.inbox.Close(ctx), b.results.Close(ctx)); err != nil {
		b.cfg.Log.Warn().Err(err).Msg("writes were given up: what they belong to is not committed, and will be done again")
	}
	b.client.Close()
	b.api.Close()
	b.documents.Close()
}

// report writes the one log line of an event, and tells whoever embeds the bridge. IDs only: no personal data.
func (b *Bridge) report(r consumer.Report) {
	level := zerolog.InfoLevel
	if r.Stage == consumer.StageIntake && r.Error == nil || r.Stage == consumer.StageFollow && r.Verdict == outcome.Waiting {
		level = zerolog.DebugLevel // the event's one line comes when it is done, a follow-up's when a look brings news
	}
	if r.Error != nil && r.Verdict != outcome.Done && r.Verdict != outcome.Waiting && r.Error.Reason != outcome.Paused {
		level = zerolog.WarnLevel
	}
	line := b.cfg.Log.WithLevel(level).Str("stage", r.Stage).Str("event_id", r.Event.ID).Str("event_source", r.Event.Source).
		Str("event_type", r.Event.Type).Str("customer", r.Event.Customer).Int64("offset", r.Offset).
		Stringer("outcome", r.Verdict).Dur("took_ms", r.Took)
	line = traced(line, r)
	if r.Follow != "" {
		name, _, _ := strings.Cut(r.Follow, "/") // a wallet's goes on with its address
		line = line.Str("follow_up", name)
	}
	if r.Repeated {
		line = line.Bool("repeated", true)
	}
	if r.Superseded {
		line = line.Bool("superseded", true)
	}
	if r.Behind {
		line = line.Bool("behind", true)
	}
	if r.Error != nil {
		line = line.EmbedObject(reason{r.Error}).Int("tries", r.Tries)
	}
	line.Msg(message(r))
	if b.cfg.Report != nil {
		b.cfg.Report(r)
	}
}

// reason logs what is known of a verdict.
type reason struct{ *outcome.Error }

// MarshalZerologObject leaves out what says nothing.
func (r reason) MarshalZerologObject(line *zerolog.Event) {
	line.Str("reason", string(r.Reason))
	if r.Class != "" {
		line.Str("class", string(r.Class))
	}
	if r.Step != "" {
		line.Str("step", r.Step)
	}
	if r.Status != 0 {
		line.Int("status", r.Status)
	}
	if len(r.Fields) > 0 {
		line.Strs("fields", r.Fields)
	}
	if r.Err != nil {
		line.AnErr("cause", r.Err)
	}
}

func message(r consumer.Report) string {
	switch {
	case r.Superseded:
		return "a replay that something newer has overtaken: nothing was done"
	case r.Repeated:
		return "known already"
	case r.Stage == consumer.StageCommand && r.Error != nil:
		return "a command that is not current: nothing was done"
	case r.Stage == consumer.StageCommand:
		return "command"
	case r.Behind:
		return "held behind an earlier event of its subject"
	case r.Stage == consumer.StageIntake && r.Error == nil:
		return "taken in"
	case r.Stage == consumer.StageFollow:
		return "follow-up"
	}
	return "event"
}
