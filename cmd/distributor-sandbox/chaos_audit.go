package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/internal/state"
	"distributor-bridge/schemas"
)

// proof is all that is to be seen of what the members did, from outside of them.
type proof struct {
	emitted []emitted
	inbox   []inboxEvent              // in the order of each partition
	effects []sandbox.Effect          // the API's ledger, in its order, without what upstream did by hand
	doubles int                       // groups of effects that the API takes for one thing done twice
	calls   []sandbox.Call            // with an effect, likewise
	results []resultSeen              // in the order of each partition
	dead    []string                  // reasons of dead letters
	state   map[string]*state.Record  // by customer and subject
	byEvent map[eventIdentity]int     // index into emitted; made by audit
	places  map[eventIdentity][]int64 // offsets in the inbox; made by audit
}

// eventIdentity is what tells an event from all others.
type eventIdentity struct{ source, id string }

type inboxEvent struct {
	eventIdentity
	partition int
	offset    int64
}

// resultSeen is a record of the results topic.
type resultSeen struct {
	id, typ string // the type without its prefix
	cause   eventIdentity
	digest  string // of all of its bytes: key, headers and value
}

// findings is what an audit has found. All but the first three break a promise.
type findings struct {
	Events   int `json:"events"`
	Effects  int `json:"effects"`
	Calls    int `json:"calls"`          // with an effect, or to have one
	Repeated int `json:"repeated_calls"` // of these, with a key that the API had seen before
	Again    int `json:"repeated_results"`
	Appended int `json:"repeated_appends"` // events that intake has appended more than once

	Missing       int `json:"missing_effects"`
	Doubled       int `json:"doubled_effects"`
	Strange       int `json:"strange_effects"` // which no event asked for
	Inversions    int `json:"order_inversions"`
	Lost          int `json:"lost_events"` // which are not in the inbox
	Overtaken     int `json:"inbox_inversions"`
	NoResult      int `json:"missing_results"`
	Contradicting int `json:"contradicting_results"` // with the same ID and other bytes, or another ID for the same thing
	StrangeResult int `json:"strange_results"`       // of a type that the event does not have, or of no event
	DeadLetters   int `json:"dead_letters"`
	Disagreeing   int `json:"disagreeing_state"` // events of which state does not say that they are done, or not what was done

	notes []string // the first of each kind, and what else is wrong
	more  []string // broken promises beyond the counts
}

// fault counts one, and tells of the first few of its kind.
func (f *findings) fault(count *int, format string, args ...any) {
	*count++
	if *count <= 3 {
		f.notes = append(f.notes, fmt.Sprintf(format, args...))
	}
}

// note adds a broken promise that no count tells.
func (f *findings) note(format string, args ...any) {
	f.more = append(f.more, fmt.Sprintf(format, args...))
}

// problems tells everything that breaks a promise; nothing if all were kept.
func (f *findings) problems() []string {
	var told []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{f.Missing, "effects missing"}, {f.Doubled, "effects twice"}, {f.Strange, "effects that no event asked for"},
		{f.Inversions, "effects out of order"}, {f.Lost, "events not in the inbox"}, {f.Overtaken, "events overtaken in the inbox"},
		{f.NoResult, "results missing"}, {f.Contradicting, "results contradicting another"},
		{f.StrangeResult, "results of another kind"}, {f.DeadLetters, "dead letters"},
		{f.Disagreeing, "events of which state says something else"},
	} {
		if c.n > 0 {
			told = append(told, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return append(append(told, f.more...), f.notes...)
}

// audit holds what was seen against what had to come of the events.
func audit(p proof) findings {
	f := findings{Events: len(p.emitted), Effects: len(p.effects), Calls: len(p.calls)}
	p.byEvent = make(map[eventIdentity]int, len(p.emitted))
	for i, e := range p.emitted {
		p.byEvent[eventIdentity{e.source, e.id}] = i
	}
	f.auditInbox(&p)
	f.auditEffects(&p)
	f.auditCalls(&p)
	f.auditResults(&p)
	f.auditState(&p)
	for _, reason := range p.dead {
		f.fault(&f.DeadLetters, "a dead letter: %s", reason)
	}
	return f
}

// auditInbox looks whether each event is in the inbox, and those of a customer and an upstream topic in upstream's order.
func (f *findings) auditInbox(p *proof) {
	p.places = make(map[eventIdentity][]int64, len(p.emitted))
	type stream struct{ customer, topic string }
	highest := map[stream]int{}
	for _, r := range p.inbox {
		i, known := p.byEvent[r.eventIdentity]
		if !known {
			f.note("the inbox has an event that nobody sent: %s", r.id)
			continue
		}
		e := p.emitted[i]
		if before := p.places[r.eventIdentity]; len(before) > 0 {
			f.Appended++
		} else {
			of := stream{e.customer, e.topic}
			if i < highest[of] {
				f.fault(&f.Overtaken, "in the inbox %s comes after a later one of %s", e.id, e.customer)
			}
			highest[of] = max(highest[of], i)
		}
		p.places[r.eventIdentity] = append(p.places[r.eventIdentity], r.offset)
	}
	for _, e := range p.emitted {
		if len(p.places[eventIdentity{e.source, e.id}]) == 0 {
			f.fault(&f.Lost, "%s is not in the inbox", e.id)
		}
	}
}

// auditEffects looks whether the ledger has each effect of each event once, in the order of the inbox, and no other.
func (f *findings) auditEffects(p *proof) {
	type place struct {
		event int
		want  effectWanted
	}
	wanted := map[string]place{}
	for i, e := range p.emitted {
		for _, w := range e.effects {
			wanted[w.key] = place{i, w}
		}
	}
	had := map[string]bool{}
	furthest := map[string]int64{} // by customer: the offset of the furthest event of which there was an effect
	for _, effect := range p.effects {
		w, known := wanted[effect.Key]
		switch {
		case !known || w.want.operation != effect.Operation:
			f.fault(&f.Strange, "effect %d, %s, belongs to no step of an event", effect.Seq, effect.Operation)
			continue
		case had[effect.Key]:
			f.fault(&f.Doubled, "%s: %s happened twice", p.emitted[w.event].id, effect.Operation)
			continue
		}
		had[effect.Key] = true
		e := p.emitted[w.event]
		places := p.places[eventIdentity{e.source, e.id}]
		if w.want.later || len(places) == 0 {
			continue
		}
		if places[0] < furthest[e.customer] {
			f.fault(&f.Inversions, "%s: %s came after an effect of a later event of %s", e.id, effect.Operation, e.customer)
		}
		furthest[e.customer] = max(furthest[e.customer], places[0])
	}
	for _, e := range p.emitted {
		for _, w := range e.effects {
			if !had[w.key] {
				f.fault(&f.Missing, "%s: %s has not happened", e.id, w.operation)
			}
		}
	}
	if p.doubles > 0 {
		f.note("the API has %d things that look as if they were done twice under different keys", p.doubles)
	}
}

// auditCalls counts the calls that had been made before.
func (f *findings) auditCalls(p *proof) {
	seen := map[string]bool{}
	for _, c := range p.calls {
		if seen[c.Key] {
			f.Repeated++
		}
		seen[c.Key] = true
	}
}

// auditResults looks whether each event has each of its results, and nothing else but repeats of the very same bytes.
func (f *findings) auditResults(p *proof) {
	type kind struct {
		cause eventIdentity
		typ   string
	}
	digests := map[string]string{} // by ID
	ids := map[kind]string{}
	for _, r := range p.results {
		i, known := p.byEvent[r.cause]
		if !known || !slices.Contains(p.emitted[i].results, r.typ) {
			f.fault(&f.StrangeResult, "%s has a result %s", r.cause.id, r.typ)
			continue
		}
		of := kind{r.cause, r.typ}
		switch before, known := digests[r.id]; {
		case known && before != r.digest:
			f.fault(&f.Contradicting, "%s: the result %s was repeated with other bytes", r.cause.id, r.typ)
		case known:
			f.Again++
		case ids[of] != "":
			f.fault(&f.Contradicting, "%s has two results %s", r.cause.id, r.typ)
		}
		digests[r.id], ids[of] = r.digest, r.id
	}
	for _, e := range p.emitted {
		for _, typ := range e.results {
			if ids[kind{eventIdentity{e.source, e.id}, typ}] == "" {
				f.fault(&f.NoResult, "%s has no result %s", e.id, typ)
			}
		}
	}
}

// auditState looks whether state says of each event that it is done, and knows what it made at the API.
func (f *findings) auditState(p *proof) {
	made := map[string]string{} // what the API made, by key
	for _, effect := range p.effects {
		made[effect.Key] = effect.ObjectID
	}
	for _, e := range p.emitted {
		if wrong := p.disagrees(e, made); wrong != "" {
			f.fault(&f.Disagreeing, "state of %s: %s", e.id, wrong)
		}
	}
	known := map[string]bool{}
	for _, e := range p.emitted {
		known[e.customer+"/"+e.subject], known[e.customer+"/customer"] = true, true
	}
	for _, key := range slices.Sorted(maps.Keys(p.state)) {
		if !known[key] {
			f.note("state has a record of which there is no event: %s", key)
		}
	}
}

// disagrees tells what state says of an event that is not so; nothing if all is right.
func (p *proof) disagrees(e emitted, made map[string]string) string {
	rec := p.state[e.customer+"/"+e.subject]
	customer := p.state[e.customer+"/customer"]
	switch {
	case rec == nil || customer == nil || customer.Customer == nil:
		return "there is none"
	case len(rec.Work) > 0 || len(rec.Behind) > 0:
		return "something is held, or still to come"
	case rec.Last != nil && rec.Last.Verdict != outcome.Done: // it leaves when the offset is committed, and the record written again
		return "it is not done"
	case !slices.Contains(p.places[eventIdentity{e.source, e.id}], rec.Seen):
		return fmt.Sprintf("it was done at offset %d, where it is not", rec.Seen)
	}
	if e.wallet != "" {
		w, ok := customer.Customer.Wallet(e.wallet)
		if !ok && rec.Wallet != nil { // one of many
			w = *rec.Wallet
		}
		if w.ID != made[e.effects[0].key] {
			return "the customer does not have its wallet"
		}
	}
	if strings.HasPrefix(e.subject, "order/") {
		o := rec.Order
		if o == nil || o.InvestmentID != made[keyOf(e, "create_investment")] || o.CreditTask != made[keyOf(e, "create_credit")] {
			return "its investment or its credit is another"
		}
		if o.Status != sandbox.StatusDelivered || o.CreditStatus != sandbox.TaskSucceeded {
			return fmt.Sprintf("its investment is %s, its credit %s", o.Status, o.CreditStatus)
		}
	}
	return ""
}

func keyOf(e emitted, operation string) string {
	for _, w := range e.effects {
		if w.operation == operation {
			return w.key
		}
	}
	return ""
}

// bare gives a type without the prefix that all have.
func bare(fullType string) string { return strings.TrimPrefix(fullType, schemas.DefaultPrefix) }
