package bridge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/breaker"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/pace"
)

// gate stands between the work and the API: attempts begin, and calls are made, while the API answers, and as often as it
// takes them. It learns both from how calls end.
//
//	Try, Enter, Shut   the consumer asks before an attempt
//	before             the API's client asks before each request
//	ended              the API's client tells how each call ended
//	probe              the breaker asks the API while it is down
type gate struct {
	breaker *breaker.Breaker
	pace    *pace.Pacer
	ask     func(ctx context.Context) error // makes a probe
	probes  prometheus.Counter
	free    consumer.Pass // of attempts that began while there was no rate
}

func newGate(cfg *Config) *gate {
	g := &gate{
		pace: pace.New(pace.Config{Ceiling: cfg.Rules.CallsPerSecond, Log: cfg.Log}),
		probes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "breaker_probes_total", Help: "Probes of the API while the breaker was open.",
		}),
	}
	g.breaker = breaker.New(breaker.Config{
		Probe: g.probe, Full: cfg.Rules.MaxInFlight, Log: cfg.Log,
		Turned: func(to breaker.State) {
			if to == breaker.Open {
				g.pace.Outage()
			}
		},
	})
	g.free = pass{gate: g}
	return g
}

// pass is an attempt's; ticket is nil while there is no rate.
type pass struct {
	gate   *gate
	ticket *pace.Ticket
}

// Under gives the context for the attempt's calls.
func (p pass) Under(ctx context.Context) context.Context { return p.ticket.Under(ctx) }

// Leave ends the attempt.
func (p pass) Leave() {
	p.ticket.Return()
	p.gate.breaker.Leave()
}

// Try lets an attempt begin, if it may at once.
func (g *gate) Try() (consumer.Pass, bool) {
	if !g.breaker.Try() {
		return nil, false
	}
	ticket, ok := g.pace.Try()
	if !ok {
		g.breaker.Leave()
		return nil, false
	}
	if ticket == nil {
		return g.free, true
	}
	return pass{g, ticket}, true
}

// Enter waits until an attempt may begin. Its error is that of ctx.
func (g *gate) Enter(ctx context.Context) (consumer.Pass, error) {
	for {
		if err := g.breaker.Enter(ctx); err != nil {
			return nil, err
		}
		ticket, err := g.pace.Enter(ctx)
		if err != nil {
			g.breaker.Leave()
			return nil, err
		}
		if g.breaker.State() != breaker.Open { // it may have opened meanwhile
			return pass{g, ticket}, nil
		}
		pass{g, ticket}.Leave()
	}
}

// Shut says that the API is down, or has asked for time.
func (g *gate) Shut() bool { return g.breaker.State() == breaker.Open || g.pace.Paused() }

var (
	errDown  = errors.New("not sent: the API is down, as other calls have shown")
	errPaced = errors.New("not sent: it would be one call too many for the API, or too early")
)

// before waits until a call may be made. One of an attempt that began before an outage is refused in it.
func (g *gate) before(ctx context.Context, late time.Time) error {
	if g.breaker.State() == breaker.Open {
		return outcome.Retry(outcome.ClassNotSent, false, errDown)
	}
	err := g.pace.Wait(ctx, late)
	switch {
	case errors.Is(err, pace.ErrLate):
		return outcome.Retry(outcome.ClassThrottled, false, errPaced)
	case err != nil:
		return outcome.Retry(outcome.ClassNotSent, false, err)
	case g.breaker.State() == breaker.Open: // it has opened meanwhile
		return outcome.Retry(outcome.ClassNotSent, false, errDown)
	}
	return nil
}

// ended takes note of how a call ended.
func (g *gate) ended(ctx context.Context, end distributor.End) {
	g.paced(end.Verdict)
	call := breaker.Call{Operation: end.Operation, Effect: end.Effect, Began: end.Began}
	if c, ok := ctx.Value(customerKey{}).(*customerContext); ok {
		call.Customer = c.customer
	}
	if end.Verdict != nil && distributor.OfToken(end.Verdict) {
		call.Operation = "" // it has not been called
	}
	g.breaker.Observe(call, end.Verdict)
}

// paced takes note of what a call says about the rate.
func (g *gate) paced(verdict *outcome.Error) {
	switch {
	case verdict == nil:
		g.pace.Succeeded()
	case verdict.Class == outcome.ClassThrottled && distributor.OfToken(verdict):
		g.pace.Pause(verdict.After) // the API refused no call; without a token none can be made
	case verdict.Class == outcome.ClassThrottled && g.breaker.State() == breaker.Open && verdict.Status != http.StatusTooManyRequests:
		// It is down, and has not refused a call for the rate. When it is asked next is the breaker's.
	case verdict.Class == outcome.ClassThrottled:
		g.pace.Refused(verdict.After)
	case verdict.Class == outcome.ClassClient, verdict.Class == outcome.ClassContract, verdict.Class == outcome.ClassInFlight:
		g.pace.Succeeded() // it was taken, whatever it came to
	}
}

// probe asks the API whether it answers. Its word about the rate counts.
func (g *gate) probe(ctx context.Context) error {
	g.probes.Inc()
	err := g.ask(ctx)
	if e := outcome.Of(err); ctx.Err() == nil && e != nil {
		g.paced(e)
	}
	return err
}

type customerKey struct{}

// customerContext knows whose calls are made under it.
type customerContext struct {
	context.Context
	customer string
}

// Value is context.Context's. One allocation less than context.WithValue, for each attempt.
func (c *customerContext) Value(key any) any {
	if key == (customerKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// forCustomer lets a handler's calls be known as those of the event's customer.
func forCustomer(handle consumer.Handler) consumer.Handler {
	return func(ctx context.Context, run *attempt.Run) error {
		return handle(&customerContext{ctx, run.Event().Customer}, run)
	}
}
