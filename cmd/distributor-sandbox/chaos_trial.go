package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/broker"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/sandbox"
)

// trial is one trial: topics, group, API and members of its own, on the run's broker. It is used by one goroutine, beside
// the one that writes events.
type trial struct {
	run    *chaos
	name   string
	prefix string // of all names on the broker, but for trial scale
	dir    string
	cfg    bridge.Config
	file   string   // the members' configuration
	vars   []string // and what their environment changes of it
	api    *chaosAPI
	client *kafka.Client
	admin  *broker.Admin

	members []*member // those that run
	left    []*member // those that were stopped for good
	load    *chaosLoad
	// stopLoad ends the writing of events, waits for it, and tells how it went; nil before the first event.
	stopLoad func() error
	// roll ends the watching of the group, and tells how many memberships there were; nil before all members work.
	roll func() int

	disturbed []stretch           // from each disturbance until all was as before
	away      []time.Duration     // of each kill of the broker, until it answered again
	recovered []time.Duration     // and from then until work went on
	phases    []phase             // of trial scale: how long how many members worked
	steps     []scaleStep         // of trial scale
	times     map[int][]time.Time // of all results, by partition; set by gather
	firsts    []time.Time         // of each event's first result; set by gather
	takeovers int                 // of partitions of members that were lost
	compacted int                 // records of the state topic that the broker has cleaned away
}

// stretch is a time that something took.
type stretch struct{ from, to time.Time }

// try runs a trial and audits it.
func (c *chaos) try(ctx context.Context, name string, times int) (told trialReport, err error) {
	began := time.Now()
	r := &trial{run: c, name: name, prefix: fmt.Sprintf("chaos-%s-%s.", name, uuid.NewString()[:8]), dir: filepath.Join(c.dir, name)}
	ctx, cancel := context.WithCancel(ctx)
	defer r.end(cancel)
	if err := r.begin(ctx); err != nil {
		return told, r.withLogs(err)
	}
	if err := r.disturb(ctx, times); err != nil {
		return told, r.withLogs(err)
	}
	found, err := r.finish(ctx)
	if err != nil {
		return told, r.withLogs(err)
	}
	told = newTrialReport(r, times, found)
	told.TookSeconds = time.Since(began).Seconds()
	return told, nil
}

// begin starts the API, makes topics and customers, starts the members, and lets events come.
func (r *trial) begin(ctx context.Context) error {
	if err := os.MkdirAll(r.dir, 0o750); err != nil {
		return err
	}
	secretFile := filepath.Join(r.dir, "client-secret")
	if err := os.WriteFile(secretFile, []byte(uuid.NewString()+"\n"), 0o600); err != nil {
		return err
	}
	if _, err := config.ReadSecret(secretFile); err != nil {
		return err
	}
	if err := r.configure(ctx, secretFile); err != nil {
		return err
	}
	var err error
	if r.client, err = kafka.New(kafka.Config{Brokers: r.run.brokers, ClientID: "distributor-sandbox"}); err != nil {
		return err
	}
	if r.admin, err = broker.NewAdmin(r.run.brokers); err != nil {
		return err
	}
	if err := r.makeTopics(ctx); err != nil {
		return fmt.Errorf("make the topics: %w", err)
	}
	if err := r.prepareLoad(ctx); err != nil {
		return err
	}
	if err := r.grow(ctx, r.first()); err != nil {
		return err
	}
	if err := r.load.links(ctx); err != nil {
		return err
	}
	if err := r.await(ctx, "the customers are linked", r.results(len(r.load.linked)*2)); err != nil {
		return err
	}
	r.startLoad(ctx)
	if err := r.await(ctx, "all members work", r.settled); err != nil {
		return err
	}
	r.roll = r.callRoll(ctx)
	return nil
}

// configure starts the API, and makes the members' configuration: the example for trial scale, else one of short times.
func (r *trial) configure(ctx context.Context, secretFile string) (err error) {
	r.cfg = r.memberConfig(secretFile)
	if r.name == "scale" {
		if r.cfg, err = r.exampleConfig(secretFile); err != nil {
			return err
		}
	}
	if r.api, err = startChaosAPI(ctx, r.run.t, r.run.cmd.Latency, secretFile, r.cfg); err != nil {
		return err
	}
	r.cfg.API.BaseURL = r.api.base
	if r.name == "scale" {
		r.vars = append(r.vars, envPrefix+"API_BASE_URL="+r.api.base)
		return nil
	}
	r.file = filepath.Join(r.dir, "bridge.yaml")
	return writeMemberConfig(r.file, r.cfg)
}

// first is how many members there are at the beginning.
func (r *trial) first() int {
	if r.name == "scale" {
		return 1
	}
	return r.run.cmd.Members
}

// grow starts members at once, until there are n.
func (r *trial) grow(ctx context.Context, n int) error {
	for len(r.members) < n {
		m := r.newMember(fmt.Sprintf("member-%d", len(r.members)+len(r.left)+1))
		if r.name == "scale" {
			if err := m.serveOps(ctx); err != nil {
				return err
			}
		}
		if err := m.start(); err != nil {
			return err
		}
		r.members = append(r.members, m)
	}
	return nil
}

func (r *trial) newMember(name string) *member {
	return &member{
		name: name, program: r.run.program, config: r.file, vars: r.vars, log: filepath.Join(r.dir, name+".log"),
		environ: r.run.t.environ, grace: r.grace(),
	}
}

func (r *trial) prepareLoad(ctx context.Context) error {
	linked, err := r.api.register(ctx, r.run.t, r.run.cmd.Customers, r.cfg.API)
	if err != nil {
		return err
	}
	var before []sandbox.Effect
	if err := r.api.ask(ctx, "/sandbox/ledger", &before); err != nil {
		return err
	}
	byHand := make(map[string]bool, len(before))
	for _, effect := range before {
		byHand[effect.Key] = true
	}
	up, err := newUpstream(ctx, r.client, r.cfg.Topics.Upstream, false)
	if err != nil {
		return err
	}
	contract, err := newContract()
	if err != nil {
		return err
	}
	r.load = &chaosLoad{
		up: up, contract: contract, topics: r.cfg.Topics.Upstream, offering: offeringOf(r.cfg), rate: r.run.cmd.Rate, linked: linked,
		random: rand.New(rand.NewPCG(r.run.cmd.Seed, 1)), byHand: byHand,
	}
	return nil
}

// startLoad lets events come until stopLoad.
func (r *trial) startLoad(ctx context.Context) {
	stop, ended := make(chan struct{}), make(chan struct{})
	var failed error // set before ended is closed
	once := sync.OnceFunc(func() { close(stop) })
	r.stopLoad = func() error {
		once()
		<-ended
		return failed
	}
	go func() { // ends with stopLoad, or ctx
		defer close(ended)
		failed = r.load.run(ctx, stop)
	}()
}

// end ends everything that still runs, whatever state it is in.
func (r *trial) end(cancel func()) {
	cancel()
	for _, m := range r.members {
		m.kill()
	}
	if r.stopLoad != nil {
		_ = r.stopLoad() // its error is told already, or is cancel's
	}
	if r.roll != nil {
		r.roll()
	}
	if r.load != nil {
		r.load.close()
	}
	if r.client != nil {
		r.client.Close()
	}
	if r.admin != nil {
		r.admin.Close()
	}
	if r.api != nil {
		r.api.process.stop()
	}
}

// finish lets all come to its end, stops the members, and audits. After freezes state and inbox are tried once more.
func (r *trial) finish(ctx context.Context) (findings, error) {
	if r.name == "freeze" && r.run.apache != nil {
		if err := r.await(ctx, "the state topic is compacted", r.compaction); err != nil {
			return findings{}, err
		}
	}
	if err := r.stopLoad(); err != nil {
		return findings{}, err
	}
	found, err := r.complete(ctx)
	if err != nil {
		return findings{}, err
	}
	r.takeovers = r.roll()
	for _, m := range r.members {
		if err := m.stop(ctx); err != nil {
			return findings{}, err
		}
	}
	if r.name == "freeze" && len(found.problems()) == 0 {
		return r.again(ctx, found)
	}
	return found, nil
}

// complete waits until there is nothing left to be done, and audits. If that does not come, the audit tells what is
// missing.
func (r *trial) complete(ctx context.Context) (findings, error) {
	undone := r.await(ctx, "all events are done", r.done)
	if ctx.Err() != nil {
		return findings{}, undone
	}
	proof, err := r.gather(ctx)
	if err != nil {
		return findings{}, errors.Join(undone, err)
	}
	found := audit(proof)
	if undone != nil && len(found.problems()) == 0 {
		return findings{}, undone
	}
	if undone != nil {
		found.note("it did not come to its end: %v", undone)
	}
	return found, nil
}

// again restores the compacted state into a member that has never run, and gives it the whole inbox and all of upstream's
// topics as if nothing had been committed: no call with an effect may be made.
func (r *trial) again(ctx context.Context, before findings) (findings, error) {
	for _, group := range []string{r.cfg.Group.Name, r.cfg.Group.Name + "-intake"} {
		err := r.await(ctx, "group "+group+" is forgotten", func(ctx context.Context) (string, error) {
			return "", r.admin.Forget(ctx, group)
		})
		if err != nil {
			return findings{}, err
		}
	}
	fresh := r.newMember("member-fresh")
	if err := fresh.start(); err != nil {
		return findings{}, err
	}
	r.members = append(r.members, fresh)
	found, err := r.complete(ctx)
	if err != nil {
		return findings{}, err
	}
	if err := fresh.stop(ctx); err != nil {
		return findings{}, err
	}
	if found.Effects != before.Effects || found.Calls != before.Calls {
		found.note("given everything again, a fresh member made %d calls with %d effects, want none",
			found.Calls-before.Calls, found.Effects-before.Effects)
	}
	return found, nil
}
