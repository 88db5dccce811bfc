package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/broker"
)

// ChaosCmd is "distributor-sandbox chaos".
type ChaosCmd struct {
	Trial []string `placeholder:"NAME[=N]" help:"What to try, and how often: rolling, scale, kill, broker, freeze. Repeatable, or with commas. Default: all (broker only with --libs)."`
	Times int      `placeholder:"N" help:"How often, for each --trial that does not say. Default: rolling 1, scale 1, kill 5, broker 1, freeze 2."`

	Bridge string `default:"build/bin/distributor-bridge" placeholder:"FILE" help:"The bridge's program, as make chaos builds it (default ${default})."`
	Config string `default:"deploy/config.example.yaml" placeholder:"FILE" help:"Configuration of trial scale (default ${default})."`
	Libs   string `placeholder:"DIR" help:"Folder with the jars of Apache Kafka, which is started for the run; make test-kafka fetches them. Default: a broker in memory."`

	Members    int           `default:"3" placeholder:"N" help:"Members of the group (default ${default})."`
	Partitions int           `default:"6" placeholder:"N" help:"Partitions of each topic (default ${default})."`
	Customers  int           `default:"600" placeholder:"N" help:"Customers that the events are of (default ${default})."`
	Rate       float64       `default:"300" placeholder:"N" help:"Events a second (default ${default})."`
	InFlight   int           `default:"32" placeholder:"N" help:"rules.max_in_flight of each member (default ${default})."`
	Latency    time.Duration `default:"20ms" help:"How long the API takes for a call (default ${default})."`
	Session    time.Duration `default:"3s" help:"group.session of the members: short, so that a lost one is soon replaced (default ${default})."`

	Phase time.Duration `default:"6s" help:"How long each number of members works in trial scale (default ${default})."`

	Seed uint64 `placeholder:"N" help:"Of what is random: which member, and when. Default: another one each time; the report tells it."`
	Dir  string `placeholder:"DIR" help:"Folder for configuration, logs and the broker's data, which stays. Default: one that is removed unless a promise was broken."`
	JSON bool   `name:"json" help:"One JSON object instead of a table."`
}

// chaosCommands are the trials, and the API that they run in a process of its own.
type chaosCommands struct {
	Chaos    ChaosCmd    `cmd:"" help:"Kill, freeze and restart members and broker under load, and audit what became of each event."`
	ChaosAPI chaosAPICmd `cmd:"" hidden:"" name:"chaos-api"`
}

// Help is the rest of the command's help.
func (ChaosCmd) Help() string {
	return `Members are processes of the real distributor-bridge, with a configuration file, as an operator runs them. The broker is a
process of its own as well, in memory or a real Apache Kafka (--libs), and so is the API, a sandbox that is never ended. Events
come without a pause: customer.wallet_added of linked customers, and some order.paid (documents, investment, credit).

  rolling  each member is stopped (SIGTERM) and started anew, one after another. N: rounds
  scale    one member works, then as many as --members, then one again, a while each. Their configuration is the example as it is
           (--config): of its names, times and limits nothing is changed. The environment tells what differs, as in a container:
           brokers, the API, the secret's file, one replica. The bridge's topics are made by its own command; a new member counts
           when it is ready, one too many is stopped (SIGTERM) and has 30s to end with exit code 0. N: rounds
  kill     a member is killed (SIGKILL) at a random moment and started at once. N: kills
  broker   the broker is killed (SIGKILL) and started again with its data (Apache Kafka only). N: kills
  freeze   a member is frozen (SIGSTOP) until others have taken its partitions and work on them, then goes on (SIGCONT). N: freezes.
           The state topic is compacted meanwhile (Apache Kafka only); at the end a fresh member restores its state from it, and
           is given the whole inbox, and all of upstream, again

After each trial everything is audited: the API's ledger has each effect of each event, once, and no other; per customer in the
order of the inbox; each event has its results, and a repeated result has the same bytes; there are no dead letters; state
says of each event that it is done. After kills and freezes the API has seen no more repeated calls than can have been in
flight: rules.max_in_flight for each, and for each member that the group has put out because the machine was too slow. It exits 1 if
that was not so.

--partitions, --in-flight and --session are for the trials other than scale.

A pause is the longest time without a result around each restart: of the partition with the longest, and over all partitions.`
}

// The trials, in the order in which they run.
var trialNames = []string{"rolling", "scale", "kill", "broker", "freeze"}

var trialTimes = map[string]int{"rolling": 1, "scale": 1, "kill": 5, "freeze": 2, "broker": 1}

// chosen gives the trials to run, and how often each.
func (c *ChaosCmd) chosen() (map[string]int, error) {
	chosen := map[string]int{}
	if c.Times < 0 {
		return nil, errors.New("--times: want at least 1")
	}
	for _, text := range c.Trial {
		name, times, given := strings.Cut(text, "=")
		if !slices.Contains(trialNames, name) {
			return nil, fmt.Errorf("--trial: %q is none of %s", name, strings.Join(trialNames, ", "))
		}
		n := trialTimes[name]
		if c.Times > 0 {
			n = c.Times
		}
		if given {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 0 {
				return nil, fmt.Errorf("--trial: %q is no number of times", times)
			}
		}
		if n > 0 {
			chosen[name] = n
		}
	}
	if len(c.Trial) == 0 {
		maps.Copy(chosen, trialTimes)
		if c.Times > 0 {
			for name := range chosen {
				chosen[name] = c.Times
			}
		}
		if c.Libs == "" {
			delete(chosen, "broker")
		}
	}
	if chosen["broker"] > 0 && c.Libs == "" {
		return nil, errors.New("--trial broker: only Apache Kafka (--libs) can be killed and started again with its data")
	}
	return chosen, nil
}

// Validate is called by kong.
func (c *ChaosCmd) Validate() error {
	_, err := c.chosen()
	errs := []error{err}
	atLeast := func(name string, n, least int) {
		if n < least {
			errs = append(errs, fmt.Errorf("--%s: want at least %d", name, least))
		}
	}
	atLeast("members", c.Members, 2)
	atLeast("partitions", c.Partitions, c.Members)
	atLeast("customers", c.Customers, 1)
	atLeast("in-flight", c.InFlight, 1)
	if c.Rate < 10 || c.Rate > 10_000 {
		errs = append(errs, errors.New("--rate: want 10 to 10000"))
	}
	if c.Latency < 0 || c.Latency > time.Second {
		errs = append(errs, errors.New("--latency: want 0 to 1s"))
	}
	if c.Phase < 100*time.Millisecond || c.Phase > time.Hour {
		errs = append(errs, errors.New("--phase: want 100ms to 1h"))
	}
	if c.Session < 3*time.Second || c.Session > time.Minute {
		errs = append(errs, errors.New("--session: want 3s to 1m"))
	}
	return errors.Join(errs...)
}

// chaos is a run: some trials, on one broker.
type chaos struct {
	cmd     *ChaosCmd
	t       terminal
	program string // of the members
	dir     string
	random  *rand.Rand

	brokers []string
	apache  *broker.ApacheBroker // nil: the broker in memory
}

// Run tries, audits and tells.
func (c *ChaosCmd) Run(ctx context.Context, t terminal) error {
	trials, err := c.chosen()
	if err != nil {
		return err
	}
	program, err := exec.LookPath(c.Bridge)
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return fmt.Errorf("--bridge: %w (make chaos builds it)", err)
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 32)
	}
	if trials["scale"] > 0 {
		if _, err := os.Stat(c.Config); err != nil {
			return fmt.Errorf("--config: %w", err)
		}
	}
	dir, cleanup, err := c.folder()
	if err != nil {
		return err
	}
	run := &chaos{cmd: c, t: t, program: program, dir: dir, random: rand.New(rand.NewPCG(c.Seed, 0))}
	report, err := run.all(ctx, trials)
	switch {
	case err != nil && ctx.Err() != nil:
		cleanup()
		return fmt.Errorf("interrupted: %w", err)
	case err == nil:
		if err := report.tell(t, c.JSON); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		if err = report.verdict(); err == nil {
			cleanup()
			return nil
		}
	}
	return fmt.Errorf("%w\nseed %d; logs and configuration are in %s", err, c.Seed, dir)
}

// folder gives the folder to work in, and what removes it.
func (c *ChaosCmd) folder() (dir string, cleanup func(), err error) {
	if c.Dir != "" {
		if dir, err = filepath.Abs(c.Dir); err == nil {
			err = os.MkdirAll(dir, 0o750)
		}
		return dir, func() {}, err
	}
	dir, err = os.MkdirTemp("", "distributor-chaos-")
	return dir, func() { _ = os.RemoveAll(dir) }, err // what cannot be removed is in the system's temporary folder
}

func (c *chaos) all(ctx context.Context, trials map[string]int) (chaosReport, error) {
	stop, err := c.startBroker(ctx)
	if err != nil {
		return chaosReport{}, err
	}
	defer stop()
	report := newChaosReport(c.cmd)
	for _, name := range trialNames {
		times := trials[name]
		if times == 0 {
			continue
		}
		told, err := c.try(ctx, name, times)
		if err != nil {
			return report, fmt.Errorf("%s: %w", name, err)
		}
		report.Trials = append(report.Trials, told)
	}
	return report, nil
}

func (c *chaos) startBroker(ctx context.Context) (stop func(), err error) {
	if c.cmd.Libs == "" {
		kept, hello, err := startChild(ctx, c.t, "bench-broker")
		if err != nil {
			return nil, err
		}
		c.brokers = hello.Addrs
		return kept.stop, nil
	}
	libs, err := jars(c.cmd.Libs)
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("no answer within %s", startLimit))
	defer cancel()
	c.apache, err = broker.Apache(starting, broker.ApacheConfig{
		Libs: libs, Dir: filepath.Join(c.dir, "kafka"),
		Properties: []string{"log.cleaner.backoff.ms=500"}, // compaction soon after there is something to be compacted
	})
	if err != nil {
		return nil, err
	}
	c.brokers = c.apache.Addrs()
	return c.apache.Close, nil
}
