package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// BenchCmd is "distributor-sandbox bench".
type BenchCmd struct {
	Events     int           `default:"20000" placeholder:"N" help:"Events to be done, each with one call; 60000 or more for numbers to be quoted (default ${default})."`
	Runs       int           `default:"1" placeholder:"N" help:"Measure so many times, and tell medians; 3 for numbers to be quoted (default ${default})."`
	WarmUp     int           `placeholder:"N" help:"Runs before these that do not count. With --libs they are on the same broker, which takes the processor to compile itself when it has just started; 3 for numbers to be quoted (default 0)."`
	Customers  int           `default:"2000" placeholder:"N" help:"Customers that they are of (default ${default})."`
	Skew       float64       `placeholder:"S" help:"Some customers have more events than others: Zipf's law with this exponent, above 1. Default: all alike."`
	Partitions int           `default:"8" placeholder:"N" help:"Partitions of each topic (default ${default})."`
	InFlight   int           `default:"64" placeholder:"N" help:"Calls in flight: the bridge's rules.max_in_flight, and the bare client's connections (default ${default})."`
	Latency    time.Duration `default:"20ms" help:"How long the API takes for a call (default ${default})."`

	BlockedCustomer bool `help:"One customer more, whose calls take 5 s each. Its events are not counted: how much does it hold up the others?"`
	Pairs           int  `placeholder:"N" help:"With --blocked-customer: so many pairs of runs, without it and with it in turn, and the median slow-down of the others."`

	Libs         string `placeholder:"DIR" help:"Folder with the jars of Apache Kafka, which is started for the run; make test-kafka fetches them."`
	Profile      string `placeholder:"FILE" help:"Write a CPU profile of the bridge, for go tool pprof."`
	AllocProfile string `placeholder:"FILE" help:"Write a profile of what the bridge has allocated."`
	JSON         bool   `name:"json" help:"One JSON object instead of a table."`
}

// benchCommands are the benchmark, and what it runs in processes of their own.
type benchCommands struct {
	Bench       BenchCmd       `cmd:"" help:"Measure the bridge: events a second, order, latency, processor and memory."`
	BenchBroker benchBrokerCmd `cmd:"" hidden:""`
	BenchAPI    benchAPICmd    `cmd:"" hidden:"" name:"bench-api"`
	BenchBridge benchBridgeCmd `cmd:"" hidden:""`
}

// Help is the rest of the command's help.
func (BenchCmd) Help() string {
	return `The broker, the API and the bridge run as processes of their own, on this machine. The broker is in memory, where it keeps
all records, another for each run; or a real Apache Kafka (--libs; for a million events), one for all runs; or any that
KAFKA_BROKERS names (topics named bench-* are left there). The API answers from memory after a fixed latency, to the nearest
millisecond from 5 ms on, and sees for itself how many calls were in flight, whether the order was kept, and that no effect
came twice.

How it is measured:
  1 customers are linked, through a bridge of their own: none of it counts
  2 a bare HTTP client makes the first half of its calls, with as many connections
  3 all events (customer.wallet_added: one call each) are written upstream; then the bridge starts, and always has work.
    Rates, of bridge and bare client alike, are counted between the 10th and the 90th percent of what is done. Processor
    time is the bridge's from its start to the last result, intake included, without loading the program; its log, at level
    info as by default, goes to /dev/null. Memory is the most that was resident; bytes per object of state are what the
    heap has more after the last result, garbage collected, than before the bridge began to run.
  4 events come at half that rate for 5 s: latency is from append to the inbox to the sending of the result, by the
    timestamps of both records
  5 the bare client makes the other half of its calls

With --skew the busiest customer's calls, one after the other, take a least time; that and the bare client limit what can
be reached, and the share of it is told, of all events from the first result to the last.

It exits 1 if an event was lost, out of order, or had its effect twice. --json fields: events_per_second,
share_of_bare_client, order_inversions, duplicate_effects, p50_ms, p99_ms, cpu_seconds_per_1000_events,
peak_memory_bytes, bare_client_per_second, most_in_flight, mean_in_flight, repeated_calls, lost_events, other_results,
gc_share_of_cpu, allocations_per_event, allocated_bytes_per_event (what is allocated does not depend on how busy the machine
is), state_objects, heap_bytes, bytes_per_object, memory_series (what was resident as events got done), took_seconds, and the
options. With --skew: order_limit_seconds, order_permits_per_second, share_of_order_limit. With --runs above 1 numbers are
medians, counts of broken promises are sums, and there are spread (least and most) and run_reports. With --pairs: those
of the runs with the blocked customer, pairs, and slow_down_percent.`
}

// Validate is called by kong.
func (c *BenchCmd) Validate() error {
	var errs []error
	positive := func(name string, n int) {
		if n < 1 {
			errs = append(errs, fmt.Errorf("--%s: want at least 1", name))
		}
	}
	positive("customers", c.Customers)
	positive("partitions", c.Partitions)
	positive("in-flight", c.InFlight)
	positive("runs", c.Runs)
	if c.WarmUp < 0 {
		errs = append(errs, errors.New("--warm-up: want at least 0"))
	}
	if c.Pairs < 0 || c.Pairs > 0 && (!c.BlockedCustomer || c.Runs > 1) {
		errs = append(errs, errors.New("--pairs: want it with --blocked-customer, and without --runs"))
	}
	if c.Events < 100 {
		errs = append(errs, errors.New("--events: want at least 100"))
	}
	if c.Skew != 0 && c.Skew <= 1 {
		errs = append(errs, errors.New("--skew: want more than 1"))
	}
	if c.Latency < 0 || c.Latency > 10*time.Second {
		errs = append(errs, errors.New("--latency: want 0 to 10s"))
	}
	return errors.Join(errs...)
}

// bench is a run.
type bench struct {
	cmd    *BenchCmd
	t      terminal
	prefix string // of all names on the broker

	brokers []string
	api     string // base URL of the sandbox
	client  *kafka.Client
	load    *workload

	report benchReport
}

const (
	// slowCall is how long calls of the blocked customer take.
	slowCall = 5 * time.Second
	// easy is how long events come at half the rate.
	easy = 5 * time.Second
)

// Run measures, and tells.
func (c *BenchCmd) Run(ctx context.Context, t terminal) error {
	var runs []benchReport
	shared, err := c.sharedBroker(ctx, t)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	defer shared.stop()
	for i, one := range c.plan() {
		r, err := one.once(ctx, t, shared)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return err
		}
		if i >= c.WarmUp {
			runs = append(runs, r)
		} else if err := r.verdict(); err != nil { // what holds always holds then, too
			return err
		}
	}
	s := summarize(c, runs)
	if err := s.tell(t, c.JSON); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return s.verdict()
}

// plan gives what is to be run, those runs first that do not count. In a pair it is without and with the blocked customer, in the
// next one the other way round: a machine that gets slower, or faster, shall not count.
func (c *BenchCmd) plan() []BenchCmd {
	runs := slices.Repeat([]BenchCmd{*c}, c.WarmUp)
	if c.Pairs == 0 {
		return append(runs, slices.Repeat([]BenchCmd{*c}, c.Runs)...)
	}
	for p := range c.Pairs {
		pair := []BenchCmd{*c, *c}
		pair[p%2].BlockedCustomer = false
		runs = append(runs, pair...)
	}
	return runs
}

// once does one run, on a broker of its own unless it is given one.
func (c *BenchCmd) once(ctx context.Context, t terminal, on *benchBroker) (benchReport, error) {
	if on == nil {
		own, err := ownBroker(ctx, t)
		if err != nil {
			return benchReport{}, err
		}
		defer own.stop()
		on = own
	}
	load, err := newWorkload(c)
	if err != nil {
		return benchReport{}, err
	}
	b := &bench{cmd: c, t: t, prefix: "bench-" + uuid.NewString()[:8] + ".", load: load, report: newBenchReport(c), brokers: on.addrs}
	b.report.Broker = on.kind
	err = b.run(ctx)
	return b.report, err
}

func (b *bench) run(ctx context.Context) error {
	api, err := b.startAPI(ctx)
	if err != nil {
		return err
	}
	defer api.stop()
	b.client, err = kafka.New(kafka.Config{Brokers: b.brokers, ClientID: "distributor-sandbox"})
	if err != nil {
		return err
	}
	defer b.client.Close()
	if err := b.makeTopics(ctx); err != nil {
		return err
	}
	if err := b.link(ctx); err != nil {
		return fmt.Errorf("link the customers: %w", err)
	}
	half := b.cmd.Events / 2
	before, err := b.bare(ctx, half)
	if err != nil {
		return fmt.Errorf("bare client: %w", err)
	}
	if err := b.measure(ctx); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	after, err := b.bare(ctx, half)
	if err != nil {
		return fmt.Errorf("bare client: %w", err)
	}
	b.report.compare(2 / (1/before + 1/after)) // of all calls over all the time
	return nil
}

func (b *bench) startAPI(ctx context.Context) (*child, error) {
	args := []string{"bench-api", "--latency", b.cmd.Latency.String()}
	if b.cmd.BlockedCustomer {
		args = append(args, "--slow", investorID(b.load.blocked()))
	}
	api, hello, err := startChild(ctx, b.t, args...)
	if err != nil {
		return nil, err
	}
	b.api = "http://" + hello.Addrs[0]
	return api, nil
}

// startBridge starts a bridge, with more arguments.
func (b *bench) startBridge(ctx context.Context, more ...string) (*child, error) {
	c, _, err := startChild(ctx, b.t, append([]string{
		"bench-bridge", "--brokers", strings.Join(b.brokers, ","), "--api", b.api + sandbox.Base, "--prefix", b.prefix,
		"--partitions", fmt.Sprint(b.cmd.Partitions), "--in-flight", fmt.Sprint(b.cmd.InFlight),
	}, more...)...)
	return c, err
}

// upstream is the topic of the events.
func (b *bench) upstream() string { return benchConfig(b.prefix, b.cmd.Partitions).Topics.Upstream[0] }

func (b *bench) topics() bridge.TopicNames {
	return benchConfig(b.prefix, b.cmd.Partitions).Topics.Names()
}

func (b *bench) makeTopics(ctx context.Context) error {
	specs := bridge.TopicSpecs(benchConfig(b.prefix, b.cmd.Partitions))
	specs = append(specs, kafka.TopicSpec{Name: b.upstream(), Partitions: b.cmd.Partitions, Replication: 1})
	if _, err := b.client.CreateTopics(ctx, specs); err != nil {
		return fmt.Errorf("make the topics: %w", err)
	}
	return nil
}

// benchConfig is a bridge's, but for where it finds broker and API.
func benchConfig(prefix string, partitions int) bridge.Config {
	cfg := bridge.Default()
	cfg.Topics.Prefix, cfg.Topics.Partitions, cfg.Topics.Upstream = prefix, partitions, []string{prefix + "upstream"}
	cfg.Topics.Replication, cfg.Topics.MinInsyncReplicas = 1, 1
	cfg.Group.Name = prefix + "bridge"
	cfg.API.ClientID, cfg.API.ClientSecret = "bench", "bench"
	cfg.Ops.Listen = ""
	return cfg
}
