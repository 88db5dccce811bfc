package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// emitted is an event that upstream has had acknowledged, and all that has to come of it.
type emitted struct {
	source, id string
	customer   string
	subject    string // within the customer: the key of its record in state
	topic      string // upstream's
	effects    []effectWanted
	results    []string // types, each once
	wallet     string   // the address that it adds
}

// effectWanted is one effect at the API.
type effectWanted struct {
	operation, key string
	later          bool // by a follow-up: later events of the customer may come before it
}

const chaosSource = "/chaos"

// effect gives what a step has to do, once: the key is the step's, which the API sees.
func (e *emitted) effect(operation, step string, later bool) {
	key := attempt.Key(attempt.Event{Source: e.source, ID: e.id}, step, 0).String()
	e.effects = append(e.effects, effectWanted{operation, key, later})
}

// chaosLoad writes events upstream, at a rate.
type chaosLoad struct {
	up       *upstream
	contract *schemas.Contract
	topics   []string // upstream's: of customers, of orders
	offering string   // what orders are for
	random   *rand.Rand
	rate     float64
	linked   []schemas.CustomerLinked
	byHand   map[string]bool // keys of the calls that were made for them

	mu      sync.Mutex // guards emitted
	emitted []emitted
}

// all gives what has been acknowledged so far.
func (l *chaosLoad) all() []emitted {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.emitted[:len(l.emitted):len(l.emitted)]
}

// links writes a customer.linked of each customer.
func (l *chaosLoad) links(ctx context.Context) error {
	var records []kafka.Record
	var events []emitted
	for i, data := range l.linked {
		e := emitted{
			source: chaosSource, id: fmt.Sprintf("linked-%d", i), customer: data.CustomerID, subject: attempt.KeyCustomer,
			results: []string{schemas.TypeCustomerRegistered, schemas.TypeWalletCreated},
		}
		r, err := l.record(&e, 0, schemas.TypeCustomerLinked, data)
		if err != nil {
			return err
		}
		records, events = append(records, r), append(events, e)
	}
	return l.write(ctx, records, events)
}

// run writes events until stop is closed, or ctx ends, which is an error: an event may be written then without its being
// known.
func (l *chaosLoad) run(ctx context.Context, stop <-chan struct{}) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for sent := 0; ; {
		var records []kafka.Record
		var events []emitted
		for due := int(time.Since(began).Seconds() * l.rate); sent < due && len(records) < batch; sent++ {
			r, e, err := l.next(sent)
			if err != nil {
				return err
			}
			records, events = append(records, r), append(events, e)
		}
		if err := l.write(ctx, records, events); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// write writes events, and takes note of them when they are acknowledged. Lost answers and a broker that is away are seen
// to by the producer: it repeats until there is an answer.
func (l *chaosLoad) write(ctx context.Context, records []kafka.Record, events []emitted) error {
	for len(records) > 0 {
		n := min(batch, len(records))
		if _, err := l.up.producer.Produce(ctx, records[:n]...); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
		l.mu.Lock()
		l.emitted = append(l.emitted, events[:n]...)
		l.mu.Unlock()
		records, events = records[n:], events[n:]
	}
	return nil
}

// orderEvery is how many events there are for each that is an order.
const orderEvery = 25

// next gives event n of all, of any customer.
func (l *chaosLoad) next(n int) (kafka.Record, emitted, error) {
	customer := l.linked[l.random.IntN(len(l.linked))].CustomerID
	e := emitted{source: chaosSource, customer: customer}
	if n%orderEvery == orderEvery-1 {
		order := fmt.Sprintf("order-%d", n)
		e.id, e.subject = order+"-paid", attempt.KeyOrder(order)
		data := (&kit{}).order(order, customer, int64(1+n%500))
		data.Offering = l.offering
		for i := range data.SignedDocuments {
			e.effect("create_document", fmt.Sprintf("document/signed/%d", i), false)
		}
		e.effect("create_investment", "investment", false)
		e.effect("create_credit", "credit", true)
		e.results = []string{
			schemas.TypeInvestmentCreated, schemas.TypeCreditStarted, schemas.TypeCreditSucceeded,
			schemas.TypeInvestmentStatusChanged,
		}
		r, err := l.record(&e, 1, schemas.TypeOrderPaid, data)
		return r, e, err
	}
	e.wallet = strings.ToLower(address(fmt.Sprintf("chaos-%d", n)))
	e.id, e.subject = fmt.Sprintf("wallet-%d", n), schemas.WalletSubject(e.wallet)
	e.effect("create_generic_wallet", "wallet", false)
	e.results = []string{schemas.TypeWalletCreated}
	r, err := l.record(&e, 0, schemas.TypeCustomerWalletAdded, schemas.CustomerWalletAdded{CustomerID: customer, Address: e.wallet})
	return r, e, err
}

func (l *chaosLoad) record(e *emitted, topic int, name string, data any) (kafka.Record, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return kafka.Record{}, err
	}
	e.topic = l.topics[topic]
	return l.up.record(e.topic, schemas.Event{
		ID: e.id, Source: e.source, Type: l.contract.FullType(name), Name: name, Time: time.Now().UTC(),
		CustomerID: e.customer, DataContentType: "application/json", Data: raw,
	}), nil
}

// close ends the producer; what matters is acknowledged already.
func (l *chaosLoad) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.up.producer.Close(ctx)
}
