package breaker

import "time"

// operations remember how calls of each operation end: one that is refused for everybody, while what else has an effect is done, is
// no outage. To stop all work for it again and again would make everybody wait for what a few need.
//
// That takes more than a success at the side: as an outage begins, calls that were under way still succeed. What shows it is the try
// to begin again after it has opened: another operation's effect succeeded since then.
type operations struct {
	of    map[string]*operation
	tried time.Time // when work began again last
}

// operation is what is known of one.
type operation struct {
	worked  time.Time // when it last had an effect
	since   time.Time // of the first failure after its last success; zero: there is none
	failed  time.Time // of the last of them
	first   string    // the customer of the first of them
	several bool      // they are of more than one customer
	alone   bool      // it has been found to be the only one that fails
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

// succeeded takes note of a call that was answered, and says whether its operation alone had failed.
func (o *operations) succeeded(c Call, now time.Time) (was bool) {
	if c.Operation == "" {
		return false
	}
	op := o.get(c.Operation)
	was = op.alone
	op.since, op.several, op.alone = time.Time{}, false, false
	if c.Effect {
		op.worked = now
	}
	return was
}

// fails takes note of a call that failed, and says whether its operation alone does, and whether that is new.
func (o *operations) fails(c Call, now time.Time) (alone, found bool) {
	if c.Operation == "" {
		return false, false
	}
	op := o.get(c.Operation)
	if op.since.IsZero() || now.Sub(op.failed) > forget {
		op.since, op.first, op.several = now, c.Customer, false
	}
	op.failed = now
	op.several = op.several || op.first != c.Customer
	if !o.alone(op, now) {
		return false, false
	}
	found, op.alone = !op.alone, true
	return true, found
}

// alone says whether op alone fails.
func (o *operations) alone(op *operation, now time.Time) bool {
	if !o.tried.After(op.since) {
		return false
	}
	others := false
	for _, other := range o.of {
		switch {
		case other == op:
		case other.several && now.Sub(other.failed) <= forget:
			return false
		case other.worked.After(o.tried) && now.Sub(other.worked) <= forget:
			others = true
		}
	}
	return others
}
