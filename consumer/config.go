// Package consumer is how events flow: intake, inbox, lanes, holding, follow-ups.
//
// # The life of an event
//
//	intake    upstream's record → validated, keyed by customer → appended to the inbox, or dead letter → source offset
//	lane      one at a time a customer, in inbox order; lanes side by side
//	attempt   the handler makes its steps (internal/attempt): intent → call → answer
//	finish    outcome written to state, acknowledged → results or dead letter from it → inbox offset done
//	hold      cannot finish now: written into its subject's record → inbox offset done → the lane goes on
//	paused    so many of its type are rejected: held without an attempt, until an operator's command in the inbox
//	resume    woken or due: attempted again → outcome written beside it → published → its entry removed
//
// # What a crash does
//
//	before the append to the inbox is acknowledged   the source's record is delivered again: appended twice at worst
//	before an intent is acknowledged                 nothing was sent; the record is delivered again
//	after an intent, before the answer is durable    the next owner is in doubt, and repeats the same key and body
//	before the outcome is acknowledged               the same
//	after the outcome, before its publication        redelivered: offset = seen, so the recorded outcome is published again
//	after the publication, before the commit         the same
//	a held event's outcome, before its removal       it is found at the start, published again, removed
//
// A repeat in the inbox is known by its identity; what is published again has the same IDs and bytes.
//
// The package knows nothing of the API, and of no event type: handlers come as function values.
package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/trace"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// Handler does one event, or one follow-up of it. nil is done; else the error is the verdict (internal/outcome).
type Handler func(ctx context.Context, run *attempt.Run) error

// Config says what an Intake and an Engine work with. All fields are required but where a default is told.
type Config struct {
	Client    *kafka.Client
	Contract  *schemas.Contract
	Publisher *producer.Producer
	Handle    Handler // events
	FollowUp  Handler // follow-ups
	Gate      Gate    // lets attempts begin; default nil: at any time
	// Answer gives what a step's answer is if a person has found out that its call happened, and what the provider calls that which
	// it made. refs are those of the call. Default: no step can be answered so.
	Answer func(step string, refs attempt.Refs, id string) (json.RawMessage, error)

	Group      kafka.GroupConfig // ID, times; the intake's ID is that with "-intake". Topics are set by New
	Upstream   []string          // topics that intake reads
	Inbox      string            // topic
	State      string            // topic
	Partitions int               // of inbox and state
	Owner      string            // of claims: for people

	Attempt     attempt.Config
	HoldAfter   time.Duration // how long an event may keep its lane from going on; default 10 s
	MaxWait     time.Duration // after which an event that waits, or is unknown, is given up; default 30 days
	Poll        time.Duration // between two looks of a follow-up, at first; default 5 s
	PollMost    time.Duration // between two looks when nothing has happened for long; default 1 h
	RetryFirst  time.Duration // the first pause of a retry; default 500 ms
	RetryMost   time.Duration // the longest one; default 60 s
	Lease       time.Duration // how long a state write proves ownership; default 10 s
	Drain       time.Duration // how long what is in hand may take after the end; default 25 s
	CommitEvery time.Duration // default 1 s
	Stuck       time.Duration // after which a handler at one event is given up; default 10 min
	Stall       time.Duration // after which a partition with work and without progress is taken anew; default 2 min
	MaxInFlight int           // calls in flight, over all partitions: lanes at work are up to three times as many; default 64
	MaxWindow   int           // records of a partition taken and not done (with what is done between them, twice as many); default 10,000
	MaxPayload  int           // bytes of memory of records taken and not done, over all partitions; default 8 MiB
	FloodEvents int           // so many events of a type that ended, half of them rejected, make it pause; default 50
	FloodWithin time.Duration // the sliding while in which they are counted; default 10 min
	MaxHeld     int           // events of a partition held and behind: at so many nothing is fetched; default 100,000
	MaxState    int           // bytes of one write to the state topic, as the topic takes it; default 1 MiB

	// FailingAfter is for how long one event may get 5xx while the same step succeeds for other customers, until it is unknown;
	// default 30 min.
	FailingAfter time.Duration

	// DeadLetterUnknown sends events of an unknown type to the dead letters; else they are skipped, with a report.
	DeadLetterUnknown bool

	// SendBefore gives a context under which calls of the API are not sent after t. Default: the context itself, so that
	// a call that waits for a connection may be sent by an owner that has lost the partition meanwhile.
	SendBefore func(ctx context.Context, t time.Time) context.Context

	// Trace makes the spans; default nil: none.
	Trace *trace.Tracer

	Report   func(Report)          // is told what became of each event; called by many goroutines
	Registry prometheus.Registerer // where the numbers are to be found; default: nowhere
	Log      zerolog.Logger
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.HoldAfter, 10*time.Second)
	set(&c.MaxWait, 30*24*time.Hour)
	set(&c.FailingAfter, 30*time.Minute)
	set(&c.Poll, 5*time.Second)
	set(&c.PollMost, time.Hour)
	set(&c.RetryFirst, 500*time.Millisecond)
	set(&c.RetryMost, time.Minute)
	set(&c.Lease, 10*time.Second)
	set(&c.Drain, 25*time.Second)
	set(&c.CommitEvery, time.Second)
	set(&c.Stuck, 10*time.Minute)
	set(&c.Stall, 2*time.Minute)
	set(&c.FloodWithin, 10*time.Minute)
	if c.FloodEvents == 0 {
		c.FloodEvents = 50
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 64
	}
	if c.MaxWindow == 0 {
		c.MaxWindow = 10_000
	}
	if c.MaxHeld == 0 {
		c.MaxHeld = 100_000
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = 8 << 20
	}
	if c.SendBefore == nil {
		c.SendBefore = func(ctx context.Context, _ time.Time) context.Context { return ctx }
	}
	if c.Answer == nil {
		c.Answer = func(step string, _ attempt.Refs, _ string) (json.RawMessage, error) {
			return nil, fmt.Errorf("no answer can be made for step %s", step)
		}
	}
	if c.Report == nil {
		c.Report = func(Report) {}
	}
	return c
}
