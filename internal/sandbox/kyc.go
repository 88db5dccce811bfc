package sandbox

import "time"

// kyc is an investor's KYC. Its state follows from when it started and from the clock.
type kyc struct {
	rule    KYC
	started time.Time // zero: something is missing yet
	before  string    // the state that a forced verdict replaces, once its delay is over; empty: none is forced
}

// startKYC starts the KYC once all is there: an identification and, of a company, a benefiting person [D].
func (i *investor) startKYC(now time.Time) {
	if i.kyc.started.IsZero() && i.identified && (!i.company() || i.persons > 0) {
		i.kyc.started = now
	}
}

// state is the KYC's state, and since when it is that.
func (k *kyc) state(now time.Time) (string, time.Time) {
	if k.started.IsZero() {
		return KYCPending, k.started
	}
	end := k.started.Add(k.rule.Delay)
	if now.Before(end) {
		return orDefault(k.before, KYCPending), k.started
	}
	return k.rule.Verdict, end
}

// corrected starts a refused KYC again.
func (k *kyc) corrected(now time.Time) {
	if state, _ := k.state(now); state == KYCRejected {
		k.started, k.before = now, ""
	}
}

// force ends the KYC as the rule says, counted from now, whatever is missing.
func (k *kyc) force(rule KYC, now time.Time) {
	k.before, _ = k.state(now)
	k.started, k.rule = now, rule
}
