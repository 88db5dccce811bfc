package breaker

import (
	"strings"
	"time"

	"distributor-bridge/internal/outcome"
)

// operations remember how calls of each operation end: one that is refused to everybody (a permission is missing), while what else
// has an effect is done, is no outage. To stop all work for it again and again would make everybody wait for what a few need.
//
// That takes more than a success at the side: as an outage begins, calls that were under way still succeed. What shows it is the try
// to begin again after the breaker has opened: another operation's call that began since then has had its effect. And it takes a
// refusal, of which nothing can have come: what is not answered, or by a 5xx, leaves a doubt with each call, and is called little.
type operations struct {
	of    map[string]*operation
	tried time.Time // when work began again last
}

// operation is what is known of one.
type operation struct {
	worked  time.Time // when the last call began that has had its effect
	since   time.Time // of the first failure after the last answer; zero: there is none
	failed  time.Time // of the last of them
	failing customers // of all of them
	refused customers // of those that are refusals
	alone   bool      // it has been found to be the only one that fails
}

// customers tells one from several.
type customers struct {
	first   string
	some    bool
	several bool
}

func (c *customers) add(customer string) {
	if !c.some {
		c.first, c.some = strings.Clone(customer), true // which keeps no event in memory
	}
	c.several = c.several || c.first != customer
}

func (o *operations) get(name string) *operation {
	op := o.of[name]
	if op == nil {
		if o.of == nil {
			o.of = map[string]*operation{}
		}
		op = &operation{}
		o.of[name] = op
	}
	return op
}

// answered takes note of a call that was, by a success or about what was asked; was says that its operation alone had failed.
func (o *operations) answered(c Call, err *outcome.Error) (was bool) {
	if c.Operation == "" {
		return false
	}
	op := o.get(c.Operation)
	was = op.alone
	*op = operation{worked: op.worked}
	if c.Effect && err == nil && c.Began.After(op.worked) {
		op.worked = c.Began
	}
	return was
}

// fails takes note of a call that failed, and says whether its operation alone is refused, and whether that is new.
func (o *operations) fails(c Call, err *outcome.Error, now time.Time) (alone, found bool) {
	if c.Operation == "" {
		return false, false
	}
	op := o.get(c.Operation)
	if op.since.IsZero() || now.Sub(op.failed) > forget {
		*op = operation{worked: op.worked, since: now}
	}
	op.failed = now
	op.failing.add(c.Customer)
	if err.Class != outcome.ClassUnauthorized && err.Class != outcome.ClassEndpoint {
		return false, false
	}
	op.refused.add(c.Customer)
	if !o.alone(op, now) {
		return false, false
	}
	found, op.alone = !op.alone, true
	return true, found
}

// alone says whether op alone fails, by refusals to several.
func (o *operations) alone(op *operation, now time.Time) bool {
	if !op.refused.several || !o.tried.After(op.since) {
		return false
	}
	others := false
	for _, other := range o.of {
		switch {
		case other == op:
		case other.failing.several && now.Sub(other.failed) <= forget:
			return false
		case !other.worked.Before(o.tried) && now.Sub(other.worked) <= forget:
			others = true
		}
	}
	return others
}
