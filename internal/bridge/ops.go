package bridge

import (
	"context"
	"fmt"
	stdlog "log"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"distributor-bridge/internal/config"
	"distributor-bridge/internal/ops"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/server"
)

func (c *Config) checkOps(p *config.Problems) {
	if c.Ops.Listen == "" {
		return
	}
	if _, port, err := net.SplitHostPort(c.Ops.Listen); err != nil || port == "" {
		p.Add("ops.listen", "%q is not host:port", c.Ops.Listen)
	}
	if c.Ops.Listen == c.Webhooks.Listen {
		p.Add("ops.listen", "is also webhooks.listen")
	}
}

// progress is how far the bridge has come, as far as its parts do not know it themselves.
type progress struct {
	brokers  atomic.Bool                   // they have answered, and have what is needed
	stopping atomic.Bool                   // no more is begun
	refused  atomic.Pointer[outcome.Error] // why there was no token when it was asked for last
}

// opsEnd is how long requests in flight may take when all else has ended. A scrape that is cut off is one of many.
const opsEnd = time.Second

// opsAnswer is how long an answer may take: a profile takes half a minute unless told otherwise.
const opsAnswer = time.Minute

// serveOps serves health and numbers, from now on until what it gives is called: from before the brokers are waited for, so that
// probes see a bridge that is alive and not ready, until everything else has ended, so that the last numbers can be had.
func (b *Bridge) serveOps(ctx context.Context) (end func(), err error) {
	if b.cfg.Ops.Listen == "" {
		return func() {}, nil
	}
	ln, err := b.listenOps(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address, or \"\" to serve neither health nor metrics", err)
	}
	line := b.cfg.Log.Info()
	if b.cfg.Ops.Pprof && remote(b.cfg.Ops.Listen) {
		line = b.cfg.Log.Warn()
	}
	line.Stringer("address", ln.Addr()).Bool("pprof", b.cfg.Ops.Pprof).
		Msg("health and metrics are served to whoever can reach this address, profiles too if they are allowed")
	clients := stdlog.New(&strangers{log: b.cfg.Log, is: "ops: the server has trouble with a client"}, "", 0)
	numbers := stdlog.New(&strangers{log: b.cfg.Log, is: "ops: /metrics lacks numbers that cannot be gathered: that is a bug"}, "", 0)
	cfg := server.Config{
		Handler: ops.New(ops.Config{
			Stuck: b.pulse.Stuck, Missing: b.missing, Metrics: b.cfg.Registry, Pprof: b.cfg.Ops.Pprof, Log: numbers,
		}),
		Listen: b.listenOps, Answer: opsAnswer, End: opsEnd, Conns: 64,
		Failed: func(err error, pause time.Duration) {
			b.cfg.Log.Error().Err(err).Dur("pause_ms", pause).
				Msg("health and metrics are not served: the bridge goes on, and listens anew")
		},
		Strangers: clients,
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	looked, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		b.pulse.Watch(serving, b.stuck)
	}()
	go func() {
		defer close(served)
		server.Serve(serving, cfg, ln)
	}()
	return func() {
		stop()
		<-served
		<-looked
	}, nil
}

func (b *Bridge) listenOps(ctx context.Context) (net.Listener, error) {
	return b.cfg.listen(ctx, b.cfg.OpsListen, "ops.listen", b.cfg.Ops.Listen)
}

// listen opens the listener of a key; how is nil for the network.
func (c *Config) listen(ctx context.Context, how Listen, key, address string) (net.Listener, error) {
	if how == nil {
		how = new(net.ListenConfig).Listen
	}
	ln, err := how(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return ln, nil
}

// stuck names what of the bridge's own does not go on. It takes the locks that the work takes, and does not come back if one of
// them is not given back.
func (b *Bridge) stuck() []string {
	var stuck []string
	b.gate.breaker.State()
	b.gate.pace.Rate()
	for _, s := range b.intake.Stuck() {
		stuck = append(stuck, "intake: "+s)
	}
	for _, s := range b.engine.Stuck() {
		stuck = append(stuck, "inbox: "+s)
	}
	return stuck
}

// missing names what the bridge has not got yet: brokers, groups, state, token. What it has had once counts as had until it
// stops. Rebalances, and outages of API and brokers, leave it ready: no work comes to it by its readiness, but a rollout waits for
// it, webhooks come only to who is ready, and neither would mend an outage. Metrics tell of them.
func (b *Bridge) missing() []string {
	if b.progress.stopping.Load() {
		return []string{"stopping"}
	}
	if !b.progress.brokers.Load() {
		return []string{"brokers: they have not answered yet"}
	}
	var missing []string
	inbox := b.engine.Standing()
	if !inbox.Joined {
		missing = append(missing, "inbox: its group is not joined yet")
	}
	if !b.intake.Standing().Joined {
		missing = append(missing, "intake: the group for "+strings.Join(b.cfg.Topics.Upstream, ", ")+
			" is not joined yet: at least one of them has to be there, and to be readable")
	}
	if inbox.Joined && !inbox.Restored {
		missing = append(missing, fmt.Sprintf("state: %d of %d partitions are taken over", inbox.Owned, inbox.Assigned))
	}
	if b.api.TokenFetched().IsZero() {
		why := ""
		if e := b.progress.refused.Load(); e != nil {
			why = fmt.Sprintf(" (%s)", e.Class)
		}
		missing = append(missing, "token: none has been got yet"+why)
	}
	return missing
}

// announce says once that the member has all that it works with.
func (b *Bridge) announce(ctx context.Context) {
	began := time.Now()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		if len(b.missing()) == 0 {
			b.cfg.Log.Info().Int("partitions", b.engine.Standing().Assigned).Dur("took_ms", time.Since(began)).
				Msg("ready: the brokers answer, the groups are joined, state is taken over, the API gave a token")
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// askForToken is how often the API's client is asked for the first token. It asks the API less often, if that has failed.
const askForToken = time.Second

// authorize gets the first token, so that it is known before the first event whether there is one. Later ones are got when calls
// need them.
func (b *Bridge) authorize(ctx context.Context) {
	said := outcome.Class("")
	for ctx.Err() == nil {
		e := outcome.Of(b.api.Authorize(ctx))
		if e == nil || ctx.Err() != nil {
			return
		}
		b.progress.refused.Store(e)
		if e.Class != said {
			said = e.Class
			b.cfg.Log.Warn().EmbedObject(reason{e}).Msg("there is no token of the API yet: it is asked for until there is one")
		}
		timer := time.NewTimer(askForToken)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}
