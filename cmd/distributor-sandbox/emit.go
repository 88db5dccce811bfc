package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/time/rate"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// EmitCmd is "distributor-sandbox emit".
type EmitCmd struct {
	Brokers []string `placeholder:"HOST:PORT" help:"Brokers; default: those of KAFKA_BROKERS, else 127.0.0.1:9092."`

	Samples bool   `xor:"what" help:"Send one event of each kind, as the demo does (the default)."`
	File    string `xor:"what" placeholder:"FILE" help:"Send the events of a file: CloudEvents in structured mode, one a line or one alone; - is standard input."`
	Stream  bool   `xor:"what" help:"Send events of ever new customers, until --count, --duration or Ctrl-C."`

	Rate     *float64      `placeholder:"N" help:"Events a second, 0 is as many as possible; default: 1 for samples, 10 for a stream, 0 for a file."`
	Count    int           `placeholder:"N" help:"End a stream after so many events."`
	Duration time.Duration `placeholder:"TIME" help:"End a stream after so long."`

	Topic     map[string]string `placeholder:"TYPE=TOPIC" mapsep:"," help:"Topic for a type (order.paid) or a family (customer, order, position). Repeatable. Default: customers for customer, payments for order, orders for position."`
	Mode      string            `default:"binary" enum:"binary,structured" help:"How CloudEvents are written: binary (attributes in headers) or structured (all in the value)."`
	Prefix    string            `default:"distributor." help:"What stands before the name of each type."`
	Suffix    string            `placeholder:"TEXT" help:"Ends all IDs of samples and streams, after a dash; default: the time, so that each run has customers of its own. With the same suffix again, upstream repeats itself."`
	Unchecked bool              `help:"Send also what is no valid event."`
	Connect   time.Duration     `default:"10s" help:"How long to wait for the brokers' first answer."`
}

// Help is the rest of the command's help.
func (EmitCmd) Help() string {
	return `Events are validated against the schemas before the first one is sent (of standard input and streams: each before it
is sent), so that a mistake is found here and not in the dead letters. What is wrong is told by place and rule, never
by value. One of the samples is invalid on purpose, to be seen in the dead letters.

Examples:
  distributor-sandbox emit
  distributor-sandbox emit --file schemas/examples/order.paid/valid-all.json
  distributor-sandbox emit --stream --rate 200 --count 10000 --mode structured
  distributor-sandbox emit --file events.ndjson --topic order=shop-orders,customer=kyc`
}

// Run sends, and tells what it has sent.
func (c *EmitCmd) Run(ctx context.Context, t terminal) error {
	contract, err := schemas.New(c.Prefix)
	if err != nil {
		return usageError{fmt.Errorf("--prefix: %w", err)}
	}
	where, err := routes(c.Topic)
	if err != nil {
		return usageError{err}
	}
	if c.rate() < 0 || c.Count < 0 || c.Duration < 0 {
		return usageError{errors.New("--rate, --count and --duration cannot be negative")}
	}
	if !c.Stream && (c.Count > 0 || c.Duration > 0) {
		return usageError{errors.New("--count and --duration are for --stream")}
	}
	e := &emitter{
		contract: contract, prefix: c.Prefix, routes: where,
		structured: c.Mode == "structured", unchecked: c.Unchecked, sent: map[string]int{},
		suffix: "-" + cmp.Or(c.Suffix, time.Now().Format("150405")), out: t.stdout, pace: rate.NewLimiter(rate.Inf, 1),
	}
	if c.rate() > 0 {
		// Bursts make up for the time that writing takes.
		e.pace = rate.NewLimiter(rate.Limit(c.rate()), max(1, int(c.rate()*gather.Seconds())))
	}
	client, err := kafka.New(kafka.Config{Brokers: brokersFor(c.Brokers, t), ClientID: "distributor-sandbox"})
	if err != nil {
		return err
	}
	defer client.Close()
	return e.run(ctx, client, c, t)
}

// rate is how many events are sent a second; 0: as many as possible.
func (c *EmitCmd) rate() float64 {
	switch {
	case c.Rate != nil:
		return *c.Rate
	case c.Stream:
		return 10
	case c.File == "":
		return 1 // so that what a sample builds on has happened when it comes
	}
	return 0
}

// connect waits for the brokers and looks for the topics.
func (c *EmitCmd) connect(ctx context.Context, client *kafka.Client, topics []string, t terminal) (u *upstream, err error) {
	err = answered(ctx, c.Connect, brokersFor(c.Brokers, t), func(ctx context.Context) (err error) {
		u, err = newUpstream(ctx, client, topics, c.Mode == "structured")
		return err
	})
	return u, err
}

// emitter sends events to the topics of their types.
type emitter struct {
	contract   *schemas.Contract
	prefix     string // of types
	routes     map[string]string
	suffix     string
	structured bool
	unchecked  bool
	pace       *rate.Limiter
	out        io.Writer

	upstream *upstream
	sent     map[string]int // by topic
}

func (e *emitter) run(ctx context.Context, client *kafka.Client, c *EmitCmd, t terminal) (err error) {
	var load func(yield func(kafka.Record) error) error // sends each of them, in order
	var bar *progressbar.ProgressBar
	topics := slices.Compact(slices.Sorted(maps.Values(e.routes)))
	if e.upstream, err = c.connect(ctx, client, topics, t); err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = e.upstream.producer.Close(closing) // what matters is acknowledged already
	}()
	switch {
	case c.File != "":
		events, err := e.openFile(c.File)
		if err != nil {
			return err
		}
		defer events.close()
		bar = progress(t, events.count)
		load = func(yield func(kafka.Record) error) error { return events.send(e.paced(ctx, yield)) }
	case c.Stream:
		bar = progress(t, c.total())
		load = func(yield func(kafka.Record) error) error { return e.stream(ctx, c, yield) }
	default:
		load = func(yield func(kafka.Record) error) error { return e.samples(e.paced(ctx, yield)) }
	}
	began := time.Now()
	err = e.send(ctx, load, bar, t)
	switch {
	case ctx.Err() != nil && c.Stream:
		err = nil // the usual end of a stream
	case ctx.Err() != nil:
		err = errors.New("interrupted: not all events were sent")
	}
	return errors.Join(err, e.tell(t.stdout, time.Since(began), c.Brokers))
}

// Records are written together, as long as that keeps none of them waiting.
const (
	batch  = 500
	gather = 20 * time.Millisecond
)

// paced is yield at the rate.
func (e *emitter) paced(ctx context.Context, yield func(kafka.Record) error) func(kafka.Record) error {
	return func(r kafka.Record) error {
		if err := e.pace.Wait(ctx); err != nil {
			return err
		}
		return yield(r)
	}
}

// send writes what load gives, in its order. What comes slowly is not kept waiting for more.
func (e *emitter) send(ctx context.Context, load func(func(kafka.Record) error) error, bar *progressbar.ProgressBar, t terminal) error {
	var waiting []kafka.Record
	last := time.Now()
	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		if _, err := e.upstream.producer.Produce(ctx, waiting...); err != nil {
			return err
		}
		for _, r := range waiting {
			e.sent[r.Topic]++
		}
		if bar != nil {
			_ = bar.Add(len(waiting)) // a terminal that cannot be written to
		}
		waiting, last = nil, time.Now()
		return nil
	}
	err := load(func(r kafka.Record) error {
		waiting = append(waiting, r)
		if len(waiting) >= batch || time.Since(last) >= gather || e.pace.Burst() == 1 && e.pace.Limit() != rate.Inf {
			return flush()
		}
		return nil
	})
	err = errors.Join(err, flush())
	if bar != nil {
		end := bar.Finish
		if err != nil || ctx.Err() != nil {
			end = bar.Exit // which leaves it where it is
		}
		_ = end()
		fmt.Fprintln(t.stderr)
	}
	return err
}

func (e *emitter) samples(yield func(kafka.Record) error) error {
	k := &kit{contract: e.contract, suffix: e.suffix, began: time.Now().Add(-time.Minute)}
	all, err := k.samples()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.dead == "" || !strings.HasPrefix(s.dead, "invalid") { // that one is invalid on purpose
			if err := e.check(s.event); err != nil {
				return fmt.Errorf("sample %s: %w", s.event.ID, err)
			}
		}
		topic := e.routes[s.event.Name]
		if err := yield(e.upstream.record(topic, s.event)); err != nil {
			return err
		}
		fmt.Fprintln(e.out, fit(fmt.Sprintf("%-21s %-9s %s", s.event.Name, topic, s.title), columns))
	}
	return nil
}

// check judges an event, unless it need not be valid.
func (e *emitter) check(event schemas.Event) error {
	if e.unchecked {
		return nil
	}
	return e.contract.Validate(event)
}

// tell says what has been sent, and how to see what becomes of it.
func (e *emitter) tell(out io.Writer, took time.Duration, brokers []string) error {
	total := 0
	var topics []string
	for _, topic := range slices.Sorted(maps.Keys(e.sent)) {
		total += e.sent[topic]
		topics = append(topics, fmt.Sprintf("%s %d", topic, e.sent[topic]))
	}
	if total == 0 {
		_, err := fmt.Fprintln(out, "no event sent")
		return err
	}
	said := fit(fmt.Sprintf("%d events sent in %.1f s (%s)", total, took.Seconds(), strings.Join(topics, ", ")), columns)
	_, err := fmt.Fprintf(out, "%s\n\nNext, what has become of them (--follow goes on):\n%s\n", said, reading(brokers))
	return err
}

// progress gives a bar for long work on a terminal, else nil. A total of -1 is not known.
func progress(t terminal, total int) *progressbar.ProgressBar {
	if !isTerminal(t.stderr) || total >= 0 && total < 2*batch {
		return nil
	}
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(t.stderr), progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
		progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionEnableColorCodes(styleFor(t.stderr, t).on))
}
