package replay

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// Query says which letters are wanted. Its zero value: all that are open, without payloads.
type Query struct {
	Filter
	All     bool // closed ones too
	Closed  bool // closed ones only
	Payload bool // with Value and Event.Data

	whole bool // read all letters, however old: for Letter.first
}

// Letters gives the letters that a query is about, oldest first by the time at which they were given up.
func (d *Desk) Letters(ctx context.Context, q Query) ([]Letter, error) {
	var chosen []Letter
	newest := map[string]Letter{} // by identity, of all: one that is not chosen closes one that is
	first := map[string]int64{}   // by identity: the lowest offset in the inbox
	since := q.Since
	if q.whole {
		since = time.Time{}
	}
	err := d.read(ctx, "dead letters", d.cfg.DeadLetters, since, nil, func(r kafka.Record) {
		l := letterOf(d.cfg.Contract, r)
		if offset, ok := first[l.identity()]; l.fromInbox() && (!ok || l.Read.Offset < offset) {
			first[l.identity()] = l.Read.Offset
		}
		bare := Letter{Place: l.Place, Time: l.Time, Failed: l.Failed}
		if last, ok := newest[l.identity()]; !ok || bare.newer(&last) {
			newest[l.identity()] = bare
		}
		if !q.Letter(&l) {
			return
		}
		if !q.Payload {
			l.forget()
		}
		chosen = append(chosen, l)
	})
	if err != nil {
		return nil, err
	}
	for i := range chosen {
		chosen[i].first = -1
		if offset, ok := first[chosen[i].identity()]; ok {
			chosen[i].first = offset
		}
		if newest[chosen[i].identity()].Place != chosen[i].Place {
			chosen[i].Closed = ClosedNewer
		}
	}
	if err := d.judge(ctx, chosen); err != nil {
		return nil, err
	}
	if !q.All {
		chosen = slices.DeleteFunc(chosen, func(l Letter) bool { return (l.Closed != Open) != q.Closed })
	}
	slices.SortStableFunc(chosen, func(a, b Letter) int {
		return cmp.Or(a.Failed.Compare(b.Failed), a.Time.Compare(b.Time), cmp.Compare(a.Place.Offset, b.Place.Offset))
	})
	return chosen, nil
}

// judge closes the letters of which state knows that they need nobody.
func (d *Desk) judge(ctx context.Context, letters []Letter) error {
	type name struct{ customer, key string }
	known := map[name]*state.Record{} // nil until it is found
	customers := map[string]bool{}
	for i := range letters {
		if l := &letters[i]; l.Customer != "" && l.Closed == Open {
			customers[l.Customer] = true
			for _, key := range l.keys() {
				known[name{l.Customer, key}] = nil
			}
		}
	}
	err := d.state(ctx, slices.AppendSeq([]string{}, maps.Keys(customers)), func(customer, key string) bool {
		_, wanted := known[name{customer, key}]
		return wanted
	}, func(customer string, e state.Entry) { known[name{customer, e.Key}] = e.Record })
	if err != nil {
		return err
	}
	for i := range letters {
		if l := &letters[i]; l.Customer != "" && l.Closed == Open {
			l.Closed = closed(l, func(key string) *state.Record { return known[name{l.Customer, key}] })
		}
	}
	return nil
}
