package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

// scaleGrace is how long a container may take to stop: what Kubernetes gives where nothing is said.
const scaleGrace = 30 * time.Second

// phase is a time in which the same members worked.
type phase struct {
	members int
	stretch
}

// scaleStep is a change of how many members there are.
type scaleStep struct {
	From       int     `json:"from"`
	To         int     `json:"to"`
	TookMS     float64 `json:"took_ms"` // until all were ready, each partition had one of them, and results came of each
	Partitions []int   `json:"partitions"`
	Pause      float64 `json:"pause_ms"` // of the partition with the longest
	AllPause   float64 `json:"all_partitions_pause_ms"`
}

// exampleConfig gives the example's configuration, with what the environment changes of it. The API is not known yet.
func (r *trial) exampleConfig(secretFile string) (bridge.Config, error) {
	var err error
	if r.file, err = filepath.Abs(r.run.cmd.Config); err != nil {
		return bridge.Config{}, err
	}
	r.vars = []string{
		envPrefix + "KAFKA_BROKERS=" + strings.Join(r.run.brokers, ","),
		envPrefix + "API_CLIENT_SECRET_FILE=" + secretFile,
		envPrefix + "TOPICS_REPLICATION=1", envPrefix + "TOPICS_MIN_INSYNC_REPLICAS=1",
	}
	cfg := bridge.Default()
	if err := config.Load(&cfg, r.file, r.vars, envPrefix); err != nil {
		return bridge.Config{}, fmt.Errorf("--config: %w", err)
	}
	if len(cfg.Topics.Upstream) < 2 || len(cfg.Offerings) == 0 {
		return bridge.Config{}, fmt.Errorf("--config: %s: want two upstream topics and an offering", r.run.cmd.Config)
	}
	return cfg, nil
}

// offeringOf gives the name of what orders are for.
func offeringOf(cfg bridge.Config) string {
	return slices.Min(slices.Collect(maps.Keys(cfg.Offerings)))
}

func (r *trial) grace() time.Duration {
	if r.name == "scale" {
		return scaleGrace
	}
	return memberLimit
}

// do runs another command of the member's program, with its configuration.
func (m *member) do(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, m.program, append(args, "--config", m.config)...)
	cmd.Env = append(without(m.environ, envPrefix), m.vars...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return os.WriteFile(m.log, out, 0o600)
}

// serveOps finds the member a port of this machine for its health.
func (m *member) serveOps(ctx context.Context) error {
	ln, err := listen(ctx, 0)
	if err != nil {
		return err
	}
	m.ops = ln.Addr().String()
	return ln.Close()
}

// ready looks whether all members say that they are, as an orchestrator does.
func (r *trial) ready(ctx context.Context) (string, error) {
	for _, m := range r.members {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.ops+"/readyz", nil)
		if err != nil {
			return "", err
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(req)
		if err != nil {
			return "", fmt.Errorf("ask %s whether it is ready: %w", m.name, err)
		}
		said, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Sprintf("%s is not ready: %s", m.name, strings.TrimSpace(string(said))), err
		}
	}
	return "", nil
}

// scaleOnce lets one member work, then all, then one again.
func (r *trial) scaleOnce(ctx context.Context) error {
	if len(r.phases) == 0 {
		if err := r.await(ctx, "one member works", r.ready, r.settled, r.flowing()); err != nil {
			return err
		}
		if err := r.work(ctx); err != nil {
			return err
		}
	}
	for _, n := range []int{r.run.cmd.Members, 1} {
		if err := r.scaleTo(ctx, n); err != nil {
			return fmt.Errorf("scale to %d: %w", n, err)
		}
		if err := r.work(ctx); err != nil {
			return err
		}
	}
	return nil
}

// work lets the members work for a phase.
func (r *trial) work(ctx context.Context) error {
	began := time.Now()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(r.run.cmd.Phase):
	}
	r.phases = append(r.phases, phase{len(r.members), stretch{began, time.Now()}})
	return nil
}

// scaleTo starts or stops members, all at once, as an orchestrator does, and waits until those that are left work.
func (r *trial) scaleTo(ctx context.Context, n int) error {
	began, from := time.Now(), len(r.members)
	change := r.grow
	if n < from {
		change = r.shrink
	}
	if err := change(ctx, n); err != nil {
		return err
	}
	if err := r.await(ctx, "the members work", r.ready, r.settled, r.flowing()); err != nil {
		return err
	}
	took := time.Since(began)
	step := scaleStep{From: from, To: n, TookMS: ms(took)}
	for _, m := range r.members {
		has, err := r.partitionsOf(ctx, m)
		if err != nil {
			return err
		}
		step.Partitions = append(step.Partitions, len(has))
	}
	r.steps, r.disturbed = append(r.steps, step), append(r.disturbed, stretch{began, began.Add(took)})
	return nil
}

// shrink stops the newest members until there are n.
func (r *trial) shrink(ctx context.Context, n int) error {
	var stopping errgroup.Group
	for _, m := range r.members[n:] {
		stopping.Go(func() error { return m.stop(ctx) })
	}
	if err := stopping.Wait(); err != nil {
		return err
	}
	r.left, r.members = append(r.left, r.members[n:]...), slices.Clone(r.members[:n])
	return nil
}

// scaled is what trial scale has shown.
type scaled struct {
	Partitions int           `json:"partitions"`
	InFlight   int           `json:"in_flight"`
	SessionMS  float64       `json:"session_ms"`
	GraceMS    float64       `json:"grace_ms"`
	Steps      []scaleStep   `json:"steps"`
	Phases     []scaledPhase `json:"phases"`
	Stopped    []stopped     `json:"stopped"`
}

// scaledPhase is what members did between two steps.
type scaledPhase struct {
	Members int     `json:"members"`
	Seconds float64 `json:"seconds"`
	Events  float64 `json:"events_per_second"` // that had their first result
}

// stopped is how a member ended.
type stopped struct {
	Member   string  `json:"member"`
	ExitCode int     `json:"exit_code"`
	TookMS   float64 `json:"took_ms"`
}

func newScaled(r *trial, partition, all []time.Duration) *scaled {
	s := &scaled{
		Partitions: r.cfg.Topics.Partitions, InFlight: r.cfg.Rules.MaxInFlight, SessionMS: ms(r.cfg.Group.Session),
		GraceMS: ms(scaleGrace), Steps: slices.Clone(r.steps),
	}
	for i := range s.Steps {
		s.Steps[i].Pause, s.Steps[i].AllPause = ms(partition[i]), ms(all[i])
	}
	for _, p := range r.phases {
		took := p.to.Sub(p.from).Seconds()
		s.Phases = append(s.Phases, scaledPhase{p.members, took, float64(within(r.firsts, p.stretch)) / took})
	}
	for _, m := range slices.Concat(r.left, r.members) {
		s.Stopped = append(s.Stopped, stopped{m.name, m.cmd.ProcessState.ExitCode(), ms(m.took)})
	}
	return s
}

// within counts the times that lie in s.
func within(times []time.Time, s stretch) int {
	n := 0
	for _, at := range times {
		if !at.Before(s.from) && at.Before(s.to) {
			n++
		}
	}
	return n
}

// judge takes note of what scaling must not do: leave members without their share, or end with anything but 0.
func (f *findings) judge(s *scaled) {
	for _, step := range s.Steps {
		if len(step.Partitions) != step.To || slices.Max(step.Partitions)-slices.Min(step.Partitions) > 1 {
			f.note("scaled from %d to %d, the members have %v partitions: not the same share each", step.From, step.To, step.Partitions)
		}
	}
	for _, p := range s.Phases {
		if p.Events == 0 {
			f.note("%d members did nothing for %.0fs", p.Members, p.Seconds)
		}
	}
	for _, m := range s.Stopped {
		if m.ExitCode != 0 || m.TookMS > s.GraceMS {
			f.note("%s ended with exit code %d after %s of %s", m.Member, m.ExitCode, seconds(m.TookMS), seconds(s.GraceMS))
		}
	}
}

// tell tells it to people. A nil one tells nothing.
func (s *scaled) tell(out io.Writer) {
	if s == nil {
		return
	}
	fmt.Fprintf(out, "scale: the example's configuration: %d partitions, %d calls in flight a member, session %s.\n", s.Partitions,
		s.InFlight, time.Duration(s.SessionMS)*time.Millisecond)
	for _, step := range s.Steps {
		fmt.Fprintf(out, "scale: %d → %d members within %s, %s partitions; pause of a partition %s, standstill of all %s.\n",
			step.From, step.To, seconds(step.TookMS), strings.ReplaceAll(strings.Trim(fmt.Sprint(step.Partitions), "[]"), " ", " + "),
			seconds(step.Pause), seconds(step.AllPause))
	}
	var rates, codes []string
	slowest := 0.0
	for _, p := range s.Phases {
		rates = append(rates, fmt.Sprintf("%.0f with %d", p.Events, p.Members))
	}
	for _, m := range s.Stopped {
		codes, slowest = append(codes, fmt.Sprint(m.ExitCode)), max(slowest, m.TookMS)
	}
	fmt.Fprintf(out, "scale: events/s: %s. Exit codes %s, the slowest after %s of %s.\n", strings.Join(rates, ", "),
		strings.Join(codes, ", "), seconds(slowest), seconds(s.GraceMS))
}
