package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// workload makes the events. The same options make the same ones.
type workload struct {
	contract  *schemas.Contract
	customers int
	pick      func() int // the customer of the next event
	events    []int      // how many there were, by customer; the last is the blocked one
	made      int        // how many there were
	time      time.Time  // of all events
}

func newWorkload(c *BenchCmd) (*workload, error) {
	contract, err := newContract()
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	w := &workload{contract: contract, customers: c.Customers, events: make([]int, c.Customers+1), time: time.Now().UTC()}
	w.pick = func() int { return random.IntN(c.Customers) }
	if c.Skew > 1 {
		zipf := rand.NewZipf(random, c.Skew, 1, uint64(c.Customers-1))
		w.pick = func() int { return int(zipf.Uint64()) }
	}
	return w, nil
}

// blocked is the customer whose calls take long.
func (w *workload) blocked() int { return w.customers }

// busiest gives how many events the customer with the most of them has had.
func (w *workload) busiest() int {
	most := 0
	for _, n := range w.events[:w.customers] {
		most = max(most, n)
	}
	return most
}

func customerID(customer int) string { return fmt.Sprintf("bench-%d", customer) }
func investorID(customer int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", customer+1) }

// walletAddress is the address that event n of all adds: rising with n, by which the API sees the order.
func walletAddress(n int) string { return fmt.Sprintf("0x%040x", n+1) }

func (w *workload) linked(customer int) (schemas.Event, error) {
	return w.event(schemas.TypeCustomerLinked, fmt.Sprintf("linked-%d", customer), customer,
		schemas.CustomerLinked{CustomerID: customerID(customer), InvestorID: investorID(customer)})
}

// next gives an event of the next customer.
func (w *workload) next() (schemas.Event, error) { return w.wallet(w.pick()) }

func (w *workload) wallet(customer int) (schemas.Event, error) {
	n := w.made
	w.made++
	w.events[customer]++
	return w.event(schemas.TypeCustomerWalletAdded, fmt.Sprintf("wallet-%d", n), customer,
		schemas.CustomerWalletAdded{CustomerID: customerID(customer), Address: walletAddress(n)})
}

func (w *workload) event(name, id string, customer int, data any) (schemas.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return schemas.Event{}, err
	}
	return schemas.Event{
		ID: id, Source: "/bench", Type: w.contract.FullType(name), Name: name, Time: w.time,
		CustomerID: customerID(customer), DataContentType: "application/json", Data: raw,
	}, nil
}

// loadBatch is how many events are written at a time: many, since they are waited for, but no more than a topic with one
// partition takes as one batch (1 MiB).
const loadBatch = 2000

// loader writes events upstream, many at a time.
type loader struct {
	up      *upstream
	topic   string
	waiting []kafka.Record
}

func (b *bench) newLoader(ctx context.Context) (*loader, error) {
	up, err := newUpstream(ctx, b.client, []string{b.upstream()}, false)
	if err != nil {
		return nil, err
	}
	return &loader{up: up, topic: b.upstream()}, nil
}

func (l *loader) add(ctx context.Context, e schemas.Event, err error) error {
	if err != nil {
		return err
	}
	l.waiting = append(l.waiting, l.up.record(l.topic, e))
	if len(l.waiting) < loadBatch {
		return nil
	}
	return l.flush(ctx)
}

func (l *loader) flush(ctx context.Context) error {
	if len(l.waiting) == 0 {
		return nil
	}
	_, err := l.up.producer.Produce(ctx, l.waiting...)
	l.waiting = l.waiting[:0]
	return err
}

// close ends the producer; what matters is acknowledged already.
func (l *loader) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.up.producer.Close(ctx)
}

// links writes a customer.linked for each customer.
func (l *loader) links(ctx context.Context, w *workload, m meter) error {
	for customer := range w.events {
		e, err := w.linked(customer)
		if err := l.add(ctx, e, err); err != nil {
			return err
		}
		m.count(customer)
	}
	return l.flush(ctx)
}

// all writes n events, and with blocked as many more as an average customer has, spread over them, of the blocked one.
func (l *loader) all(ctx context.Context, w *workload, n int, blocked bool, m meter) error {
	for i := range n {
		e, err := w.next()
		if err := l.add(ctx, e, err); err != nil {
			return err
		}
		m.count(i)
		if blocked && i%w.customers == 0 {
			e, err := w.wallet(w.blocked())
			if err := l.add(ctx, e, err); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

// paced writes n events at a rate.
func (l *loader) paced(ctx context.Context, w *workload, n int, perSecond float64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for sent := 0; sent < n; {
		for due := min(n, int(time.Since(began).Seconds()*perSecond)); sent < due; sent++ {
			e, err := w.next()
			if err := l.add(ctx, e, err); err != nil {
				return err
			}
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
