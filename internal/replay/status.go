package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/state"
)

// Status is what is known of a customer, or of one order of it.
type Status struct {
	Customer string
	Order    string   // empty: all of the customer
	Objects  []Object // the customer's own first, also of an order
	Held     []Held   // with follow-ups, oldest first
	Results  []Result // oldest first, each once
	Letters  []Letter // open ones, oldest first
}

// Object is what state remembers of a thing at the API, under its key within the customer.
type Object struct {
	Key string
	attempt.Object
}

// Result is a result event that was published.
type Result struct {
	Time        time.Time // when the outcome was recorded
	Type        string    // without the prefix
	Subject     string
	ID          string
	Cause       string // ID of the event that it comes from
	CauseSource string
	Data        json.RawMessage // IDs and statuses
}

// Customer gives the status of a customer, or of one of its orders. Results are looked for from since on.
func (d *Desk) Customer(ctx context.Context, customer, order string, since time.Time) (Status, error) {
	of := func(id string) bool { return id == customer }
	found, err := d.look(ctx, []string{customer}, of, order, since)
	if err != nil || len(found) == 0 {
		return Status{Customer: customer, Order: order}, err
	}
	return found[0], nil
}

// Order gives the status of an order whose customer is not known: of each customer that has one of that ID, since orders are
// told apart within a customer only.
func (d *Desk) Order(ctx context.Context, order string, since time.Time) ([]Status, error) {
	return d.look(ctx, nil, func(string) bool { return true }, order, since)
}

// Known says whether anything is known.
func (s *Status) Known() bool {
	return len(s.Objects)+len(s.Held)+len(s.Results)+len(s.Letters) > 0
}

// look gathers what is known of customers, each in one Status, sorted.
func (d *Desk) look(
	ctx context.Context, customers []string, of func(customer string) bool, order string, since time.Time,
) ([]Status, error) {
	about := func(customer, key string) bool {
		return of(customer) && (order == "" || key == attempt.KeyOrder(order))
	}
	found := statuses{order: order, of: map[string]*Status{}}
	err := d.state(ctx, customers, about, func(customer string, e state.Entry) {
		s := found.get(customer)
		s.Objects = append(s.Objects, Object{e.Key, e.Record.Object})
		s.Held = append(s.Held, heldIn(customer, e.Key, e.Record)...)
	})
	if err != nil {
		return nil, err
	}
	filter := Filter{Customers: customers}
	if order != "" {
		filter.Subjects = []string{attempt.KeyOrder(order)}
	}
	letters, err := d.Letters(ctx, Query{Filter: filter})
	if err != nil {
		return nil, err
	}
	for _, l := range letters {
		if l.Customer != "" && about(l.Customer, l.Subject) {
			s := found.get(l.Customer)
			s.Letters = append(s.Letters, l)
		}
	}
	if order != "" { // what it waits for is the customer's, as a rule
		err := d.addCustomers(ctx, found)
		if err != nil {
			return nil, err
		}
	}
	if customers == nil { // those that state or the letters know: results tell of no others, but of what was long ago
		customers = slices.Sorted(maps.Keys(found.of))
	}
	if err := d.results(ctx, customers, since, func(customer string, r Result) {
		if order == "" || r.Subject == attempt.KeyOrder(order) {
			s := found.get(customer)
			s.Results = append(s.Results, r)
		}
	}); err != nil {
		return nil, err
	}
	return found.sorted(), nil
}

// addCustomers adds the customers' own objects to what has been found of their orders.
func (d *Desk) addCustomers(ctx context.Context, found statuses) error {
	return d.state(ctx, slices.AppendSeq([]string{}, maps.Keys(found.of)), func(customer, key string) bool {
		return key == attempt.KeyCustomer && found.of[customer] != nil
	}, func(customer string, e state.Entry) {
		s := found.get(customer)
		s.Objects = append(s.Objects, Object{e.Key, e.Record.Object})
	})
}

// results gives the results of customers from a time on; one that was published again comes again.
func (d *Desk) results(ctx context.Context, customers []string, since time.Time, take func(customer string, r Result)) error {
	if len(customers) == 0 {
		return nil
	}
	info, err := d.cfg.Client.Topics(ctx, d.cfg.Results)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.cfg.Results, err)
	}
	partitions := partitionsOf(customers, info[d.cfg.Results].Partitions)
	return d.read(ctx, "results", d.cfg.Results, since, partitions, func(rec kafka.Record) {
		customer := string(rec.Key)
		if !slices.Contains(customers, customer) {
			return
		}
		e, err := d.cfg.Contract.Decode(rec.Value, rec.Headers)
		if err != nil || e.Time.Before(since) {
			return // one that is not ours tells nothing here
		}
		take(customer, Result{
			Time: e.Time, Type: cmp.Or(e.Name, e.Type), Subject: e.Subject, ID: e.ID,
			Cause: e.CausationID, CauseSource: e.Extensions["causationsource"], Data: e.Data,
		})
	})
}

// statuses are being gathered, by customer.
type statuses struct {
	order string
	of    map[string]*Status
}

func (s *statuses) get(customer string) *Status {
	if s.of[customer] == nil {
		s.of[customer] = &Status{Customer: customer, Order: s.order}
	}
	return s.of[customer]
}

func (s *statuses) sorted() []Status {
	var list []Status
	for _, customer := range slices.Sorted(maps.Keys(s.of)) {
		one := s.of[customer]
		slices.SortFunc(one.Objects, func(a, b Object) int {
			return cmp.Or(cmp.Compare(rank(a.Key), rank(b.Key)), cmp.Compare(a.Key, b.Key))
		})
		slices.SortStableFunc(one.Held, func(a, b Held) int { return cmp.Compare(a.Offset, b.Offset) })
		slices.SortStableFunc(one.Results, func(a, b Result) int { return a.Time.Compare(b.Time) })
		one.Results = slices.CompactFunc(one.Results, func(a, b Result) bool { return a.ID == b.ID })
		list = append(list, *one)
	}
	return list
}

// rank orders objects: the customer, wallets, orders, then the rest.
func rank(key string) int {
	for i, prefix := range []string{attempt.KeyCustomer, "wallet/", "order/"} {
		if strings.HasPrefix(key, prefix) {
			return i
		}
	}
	return 3
}
