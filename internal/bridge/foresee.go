package bridge

import (
	"context"
	"errors"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/replay"
)

// errCall is how far an attempt is foreseen: up to its first call with an effect.
var errCall = errors.New("the first call is reached")

// foresee attempts replays by their real handlers, with what state knows of their customers, up to the first call with an
// effect. So it tells what only handlers know: that mended data would change a step which succeeded, that something newer has
// overtaken the event, that it would be given up at once. What it looks at of the API is the stand-in's, which says that all is
// well. Nothing is sent anywhere.
func (c *Config) foresee(ctx context.Context, trials []replay.Trial) ([]replay.Foreseen, error) {
	if len(trials) == 0 {
		return nil, nil
	}
	p := &planner{rules: c.Rules, prefix: c.API.Prefix}
	defer p.close()
	if err := p.connect(*c); err != nil {
		return nil, err
	}
	seen := make([]replay.Foreseen, len(trials))
	for i, t := range trials {
		handle := p.handlers.Handle
		if t.Work.Follow != "" {
			handle = p.handlers.FollowUp
		}
		rules := attempt.Config{KeyRetention: c.Rules.KeyRetention, Margin: c.Rules.Margin, Quiet: c.Rules.Quiet}
		v := outcome.Of(handle(ctx, attempt.New(rules, known(t.Objects), t.Work)))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch {
		case v == nil:
		case errors.Is(v, errCall), v.Reason == outcome.DocumentRefusedLink && v.Step != "": // links are not followed here
			seen[i].Step = v.Step
		default:
			seen[i].Error = v
		}
	}
	return seen, nil
}

// known is the journal of an attempt that is foreseen: what state knows, by key.
type known map[string]attempt.Object

// Object gives what state knows.
func (k known) Object(key string) attempt.Object { return k[key] }

// Processing says whether a redemption or a transfer, or the credit of an order, is under way.
func (k known) Processing(except string) bool {
	for key, o := range k {
		if key != except && o.Processing() {
			return true
		}
	}
	return false
}

// Intend writes nothing down.
func (known) Intend(context.Context, attempt.Work, []attempt.Entry) error { return nil }

// Ready lets no call go.
func (known) Ready(context.Context) (context.Context, error) { return nil, errCall }
