// Package replay is the operators' side of the bridge: it looks at what the topics say, and appends commands to the inbox, to be
// done in order with all else. It needs nothing but the brokers: no API, no member, no claim on any partition. So it works while
// the service runs and while it is down.
//
// A Desk reads: which letters are dead and still open, what is held and why, what became of a customer or an order. It can be
// interrupted at any time, and tells what the topics held when it began to read them. What it gives are IDs, statuses, times and
// names of fields; the exception are the payload and the foreign headers of a Letter, which are personal: a command shows them
// only if it is asked to.
//
// A command names what it is about so exactly that it does nothing once that has changed: giving it twice, or late, is
// harmless. One that was cut off while it was written may stand in some partitions only; given again, it reaches the others.
//
// The package never writes to state, which belongs to the partitions' owners.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// ErrNothing is that of a command which nothing fits: it was not written.
var ErrNothing = errors.New("nothing to do")

// Config says where the topics are. All fields up to Source are required; of a Desk not those about commands.
type Config struct {
	Client      *kafka.Client
	Contract    *schemas.Contract
	Inbox       string // topic
	State       string // topic
	Results     string // topic; of a Desk
	DeadLetters string // topic; of a Desk
	Partitions  int    // of inbox and state; for commands
	Source      string // CloudEvents source of commands: the deployment's

	// Progress is told how far the reading of a topic is, in offsets; nil: nobody. It is called often.
	Progress func(what string, done, total int64)
	// MaxRecord is how large a record of the inbox may be, in bytes; of a Desk that replays.
	MaxRecord int
	// Group is the engine's consumer group, whose offsets tell how far the inbox is done; of a Desk that replays or commands.
	Group string
	// Quiet is how long after the last try it cannot be said yet that a call did not happen; of a Desk that resolves.
	Quiet time.Duration
	// Foresee attempts replays as their handlers would, up to the first call, with what state knows. nil: all that runs is told.
	Foresee func(ctx context.Context, trials []Trial) ([]Foreseen, error)
	// Patience is how long the brokers may take for a Desk's first answer; default 10 s.
	Patience time.Duration
}

// Who is who gives a command, and why: it stands in the inbox with it.
type Who struct{ By, Why string }

// Pause is an event type that has paused in a partition.
type Pause struct {
	Partition int       `json:"partition"`
	ID        string    `json:"id"`
	Since     time.Time `json:"since"`
	Ended     int       `json:"ended"`    // events of the type that had ended shortly before
	Rejected  int       `json:"rejected"` // of these
	Owner     string    `json:"owner"`    // the member that paused it
}

// Resumed is what became of a resume.
type Resumed struct {
	Command string    `json:"command"` // its ID; the same in all partitions
	Type    string    `json:"type"`    // the event type, without prefix
	By      string    `json:"by"`
	Why     string    `json:"why"`
	At      time.Time `json:"at"`
	Pauses  []Pause   `json:"pauses"`  // those that it ends
	Written int       `json:"written"` // partitions of the inbox that it stands in
}

// Check judges what an operator wants to resume, before anything is asked of Kafka, and gives the name of the event type, which may
// be given with its prefix, without it.
func Check(contract *schemas.Contract, typ string, who Who) (string, error) {
	name := strings.TrimPrefix(typ, contract.FullType(""))
	if !slices.Contains(schemas.EventTypes(), name) {
		return "", fmt.Errorf("%q is no event type: there are %s", typ, strings.Join(schemas.EventTypes(), ", "))
	}
	_, err := contract.NewCommand(schemas.TypeCommandResume, "/", schemas.CommandResume{
		By: who.By, Why: who.Why, Type: name, Pauses: []string{"any"},
	})
	return name, err
}

// Resume lets events of a type go on that has paused: it looks in state where, and writes the command to each partition of the
// inbox. Where the type has not paused the error is ErrNothing. After another error the command may stand in some partitions.
func (d *Desk) Resume(ctx context.Context, typ string, who Who) (Resumed, error) {
	cfg := d.cfg
	if err := d.fit(ctx); err != nil {
		return Resumed{}, err
	}
	pauses, err := paused(ctx, cfg, typ)
	switch {
	case err != nil:
		return Resumed{}, err
	case len(pauses) == 0:
		return Resumed{}, fmt.Errorf("%w: %s has not paused in any partition", ErrNothing, typ)
	}
	var ids []string
	for _, p := range pauses {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	e, err := cfg.Contract.NewCommand(schemas.TypeCommandResume, cfg.Source, schemas.CommandResume{
		By: who.By, Why: who.Why, Type: typ, Pauses: slices.Compact(ids),
	})
	if err != nil {
		return Resumed{}, err
	}
	done := Resumed{Command: e.ID, Type: typ, By: who.By, Why: who.Why, At: e.Time, Pauses: pauses}
	if err := write(ctx, cfg, e); err != nil {
		return done, fmt.Errorf("write the command: it may stand in some partitions: give it again: %w", err)
	}
	done.Written = cfg.Partitions
	return done, nil
}

// atOnce is how many partitions are read at a time.
const atOnce = 4

// paused says in which partitions a type has paused, in their order. All of state is read for it.
func paused(ctx context.Context, cfg Config, typ string) ([]Pause, error) {
	starts, err := cfg.Client.StartOffset(ctx, cfg.State)
	if err != nil {
		return nil, fmt.Errorf("look at state: %w", err)
	}
	ends, err := cfg.Client.EndOffset(ctx, cfg.State)
	if err != nil {
		return nil, fmt.Errorf("look at state: %w", err)
	}
	var (
		mu     sync.Mutex // guards pauses and errs
		pauses []Pause
		errs   []error
		all    sync.WaitGroup
	)
	places := make(chan struct{}, atOnce)
	for n := range cfg.Partitions {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c, err := state.ReadControl(ctx, cfg.Client, cfg.State, n, starts[n], ends[n])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else if p, paused := c.Paused[typ]; paused {
				pauses = append(pauses, Pause{
					Partition: n, ID: p.ID, Since: p.Since, Ended: p.Ended, Rejected: p.Rejected, Owner: p.Owner,
				})
			}
		})
	}
	all.Wait()
	slices.SortFunc(pauses, func(a, b Pause) int { return cmp.Compare(a.Partition, b.Partition) })
	return pauses, errors.Join(errs...)
}

// write appends a command that is about no customer to each partition of the inbox, acknowledged.
func write(ctx context.Context, cfg Config, e schemas.Event) (err error) {
	value, headers := e.Binary()
	records := make([]kafka.Record, cfg.Partitions)
	for n := range records {
		records[n] = kafka.Record{Topic: cfg.Inbox, Partition: n, Key: []byte(schemas.CommandKey), Value: value, Headers: headers}
	}
	producer := cfg.Client.Producer(kafka.ProducerConfig{})
	defer func() { err = errors.Join(err, producer.Close(ctx)) }()
	_, err = producer.Produce(ctx, records...)
	return err
}
