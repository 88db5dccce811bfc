package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/time/rate"
)

// GroupConfig says how a Group is a member of a consumer group.
type GroupConfig struct {
	// ID of the consumer group. Required.
	ID string
	// Topics to share: all members must name the same. Those that do not exist are left out and looked for again.
	Topics []string
	// HeartbeatInterval is how soon a rebalance is noticed. Default: 1 s.
	HeartbeatInterval time.Duration
	// SessionTimeout is after how long a silent member is put out; CheckGroupLimits tells whether brokers accept it.
	// Default: 20 s.
	SessionTimeout time.Duration
	// RebalanceTimeout is how long the group waits for its members' drains. Default: 60 s.
	RebalanceTimeout time.Duration
	// JoinBackoff is the pause before joining again after an error. Default: 1 s.
	JoinBackoff time.Duration
	// Drain is how long a session whose ctx has ended keeps its membership; less than RebalanceTimeout. Default: 25 s.
	Drain time.Duration
	// TopicPoll is how often topics are looked at for new, gone or grown ones. Default: 5 s.
	TopicPoll time.Duration
}

// Validate names all that is wrong, not only the first.
func (c GroupConfig) Validate() error {
	var errs []error
	if c.ID == "" {
		errs = append(errs, errors.New("group ID is required"))
	}
	if len(c.Topics) == 0 || slices.Contains(c.Topics, "") {
		errs = append(errs, errors.New("topics: at least one is required, and none may be empty"))
	}
	d := c.withDefaults()
	for name, v := range map[string]time.Duration{
		"heartbeat interval": d.HeartbeatInterval, "session timeout": d.SessionTimeout,
		"rebalance timeout": d.RebalanceTimeout, "join backoff": d.JoinBackoff, "drain": d.Drain, "topic poll": d.TopicPoll,
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s: %s is negative", name, v))
		}
	}
	if d.HeartbeatInterval*3 > d.SessionTimeout {
		errs = append(errs, fmt.Errorf("heartbeat interval: %s is more than a third of the session timeout, %s",
			d.HeartbeatInterval, d.SessionTimeout))
	}
	if d.Drain >= d.RebalanceTimeout {
		errs = append(errs, fmt.Errorf("drain: %s is not less than the rebalance timeout, %s", d.Drain, d.RebalanceTimeout))
	}
	return errors.Join(errs...)
}

func (c GroupConfig) withDefaults() GroupConfig {
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, time.Second)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 20*time.Second)
	c.RebalanceTimeout = cmp.Or(c.RebalanceTimeout, 60*time.Second)
	c.JoinBackoff = cmp.Or(c.JoinBackoff, time.Second)
	c.Drain = cmp.Or(c.Drain, 25*time.Second)
	c.TopicPoll = cmp.Or(c.TopicPoll, 5*time.Second)
	return c
}

// Group is a membership in a consumer group.
//
// kafka-go's ConsumerGroup does the joining and the heartbeats. Around it, this type mends what is known of it: a
// missing or grown topic is noticed by an own poll, which closes and joins again; a draining session's membership is
// kept by own heartbeats; a member that kafka-go has forgotten is taken out of the group, which would wait for it for a
// whole session timeout.
type Group struct {
	client *Client
	cfg    GroupConfig
	log    zerolog.Logger
	sticky *sticky
}

// Group starts nothing; Run does.
func (c *Client) Group(cfg GroupConfig) *Group {
	cfg.Topics = slices.Clone(cfg.Topics)
	slices.Sort(cfg.Topics)
	return &Group{client: c, cfg: cfg.withDefaults(), sticky: &sticky{}, log: c.log.With().Str("group", cfg.ID).Logger()}
}

// errTopics is the cause of ctx when topics have come, gone, grown or been made anew: not an end, the group is joined anew.
var errTopics = errors.New("topics have changed")

// Session is what a member does with its partitions during one generation.
type Session func(ctx context.Context, a *Assignment) error

// Run keeps the membership until ctx ends or session returns an error, then leaves the group and returns that error
// (nil if ctx ended). session is called once per generation, never twice at a time. Its ctx ends when the generation or
// Run's ctx ends; it then finishes what it has in hand, commits, and returns. A session that returns nil earlier gives
// its partitions up and joins again. A group none of whose topics exists waits for one.
func (g *Group) Run(ctx context.Context, session Session) error {
	if err := g.cfg.Validate(); err != nil {
		return fmt.Errorf("consumer group: %w", err)
	}
	for ctx.Err() == nil {
		present, hidden, err := g.present(ctx)
		for _, denied := range hidden {
			g.log.Warn().Err(denied).Msg("kafka: a topic may not be read, and is left out; it is looked for again")
		}
		switch {
		case err != nil && ctx.Err() == nil:
			g.log.Warn().Err(err).Msg("kafka: topics of the group are not known")
			fallthrough
		case len(present) == 0:
			g.log.Warn().Strs("topics", g.cfg.Topics).Msg("kafka: none of the topics exists, or may be read: they are looked for again")
			_ = wait(ctx, g.cfg.TopicPoll)
			continue
		}
		if missing := g.missing(present); len(missing) > 0 {
			g.log.Warn().Strs("topics", missing).Msg("kafka: topics do not exist, or may not be read, and are left out")
		}
		if err := g.join(ctx, present, session); err != nil {
			return err
		}
	}
	return nil
}

// present gives those of the topics that exist and may be seen. hidden tells of those that may not be: whether they exist nobody
// knows.
func (g *Group) present(ctx context.Context) (present map[string]TopicInfo, hidden []error, err error) {
	err = g.client.ask(ctx, "ask for the group's topics", func(ctx context.Context) (err error) {
		present, hidden, err = g.client.visibleTo(ctx, g.cfg.ID, g.cfg.Topics, "Read")
		return err
	})
	return present, hidden, err
}

// refused says what is missing, where the coordinator denies the membership.
func (g *Group) refused(err error) error {
	var c codeError
	if errors.As(err, &c) && c.is(kafkago.TopicAuthorizationFailed) {
		return g.client.denied(err, onTopic("Read", strings.Join(g.cfg.Topics, " --topic "))) // it is not told which
	}
	return g.client.denied(err, onGroup("Read", g.cfg.ID))
}

func (g *Group) missing(present map[string]TopicInfo) []string {
	return slices.DeleteFunc(slices.Clone(g.cfg.Topics), func(t string) bool { _, ok := present[t]; return ok })
}

// join is a member for these topics until they change (nil), ctx ends (nil) or session fails.
func (g *Group) join(ctx context.Context, present map[string]TopicInfo, session Session) error {
	ctx, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if g.watch(ctx, present) {
			end(errTopics)
		}
	}()
	defer func() {
		end(nil)
		<-watched
	}()

	m := &membership{group: g, conns: newConns(g.client.cfg.Dial, g.client.cfg.TLS)}
	if err := m.start(slices.Sorted(maps.Keys(present))); err != nil {
		return err
	}
	defer m.leave(ctx)
	alarm := rate.NewLimiter(rate.Every(2*time.Second), 5)
	for {
		gen, err := m.next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, kafkago.RebalanceInProgress):
			continue
		case err != nil:
			g.log.Warn().Err(g.refused(clean(err))).Msg("kafka: joining the group again")
			m.forget(ctx)
			continue
		}
		m.id = gen.MemberID
		if !g.sticky.fed() {
			g.log.Warn().Strs("topics", slices.Sorted(maps.Keys(present))).
				Msg("kafka: nobody was given a partition, as one of the topics is not there any more: joining anew")
			_ = wait(ctx, g.cfg.JoinBackoff)
			return nil
		}
		g.sticky.own(owned(gen))
		if !alarm.Allow() {
			g.log.Error().Int32("generation", gen.ID).Msg("kafka: the group rebalances again and again")
		}
		switch err := m.generation(ctx, gen, present, session); {
		case errors.Is(err, errTopics):
			g.log.Info().Msg("kafka: topics have changed while the group was joined, joining it anew")
			_ = wait(ctx, g.cfg.JoinBackoff)
			return nil
		case err != nil:
			return err
		}
	}
}

// watch looks at the topics until they differ from present (true) or ctx ends. kafka-go can do it, too, but takes a
// missing topic for a change: 200 rebalances a second.
func (g *Group) watch(ctx context.Context, present map[string]TopicInfo) (changed bool) {
	for wait(ctx, g.cfg.TopicPoll) == nil {
		now, _, err := g.present(ctx)
		if err != nil || maps.EqualFunc(now, present, alike) {
			continue
		}
		g.log.Info().Strs("missing", g.missing(now)).Msg("kafka: topics have changed, joining the group anew")
		return true
	}
	return false
}

// alike says whether a topic is the one that it was, with as many partitions, and nothing more is known of it: else the group is
// joined anew.
func alike(now, was TopicInfo) bool {
	return now.Partitions == was.Partitions && !another(was.Identity, now.Identity) && (was.Identity != "" || now.Identity == "")
}
