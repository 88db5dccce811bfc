package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"distributor-bridge/internal/kafka"
	"distributor-bridge/schemas"
)

// total is how many events a stream will have; -1 if that is not known.
func (c *EmitCmd) total() int {
	byTime := -1
	if c.Duration > 0 && c.rate() > 0 {
		byTime = int(c.rate() * c.Duration.Seconds())
	}
	switch {
	case c.Count > 0 && byTime >= 0:
		return min(c.Count, byTime)
	case c.Count > 0:
		return c.Count
	}
	return byTime
}

// stream gives events at the rate, until there are enough or the time is over.
func (e *emitter) stream(ctx context.Context, c *EmitCmd, yield func(kafka.Record) error) error {
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	k := &kit{contract: e.contract, suffix: e.suffix, began: time.Now()}
	for sent := 0; c.Count == 0 || sent < c.Count; sent++ {
		if e.pace.Wait(ctx) != nil {
			return nil // the time is over, or will be before the next event's turn
		}
		event, err := k.next(sent)
		if err != nil {
			return err
		}
		if err := e.check(event); err != nil {
			return fmt.Errorf("event %d: %w", sent+1, err)
		}
		if err := yield(e.upstream.record(e.routes[event.Name], event)); err != nil {
			return err
		}
	}
	return nil
}

// life is what happens to each customer of a stream. Several customers are under way at a time, so that the events of
// one are apart.
var life = []string{
	schemas.TypeCustomerVerified, schemas.TypeOrderPaid, schemas.TypeCustomerUpdated, schemas.TypeCustomerWalletAdded,
	schemas.TypeOrderPaid, schemas.TypeOrderCreditReleased,
}

// crowd is how many customers are under way at a time.
const crowd = 20

// next gives the nth event of a stream, from 0: the first of each of a crowd, then the second of each, and so on.
func (k *kit) next(n int) (schemas.Event, error) {
	round, at := n/(crowd*len(life)), n%(crowd*len(life))
	number, stage := round*crowd+at%crowd, at/crowd
	customer := k.id(fmt.Sprintf("stream-%d", number))
	order := k.id(fmt.Sprintf("stream-order-%d-%d", number, stage))
	who := k.someone(number)
	var data any
	source := onboarding
	switch name := life[stage]; {
	case name == schemas.TypeCustomerVerified && number%5 == 4:
		data = who.verifiedCompany(customer, fmt.Sprintf("Musterwerke %d%s GmbH", number, k.suffix), k.someone(number+1))
	case name == schemas.TypeCustomerVerified:
		data = who.verified(customer, "")
	case name == schemas.TypeCustomerUpdated:
		data = schemas.CustomerUpdated{CustomerID: customer, Contact: &schemas.Contact{Email: "new-" + who.email(), EmailConfirmed: true}}
	case name == schemas.TypeCustomerWalletAdded:
		data = schemas.CustomerWalletAdded{CustomerID: customer, Address: address(customer)}
	case name == schemas.TypeOrderPaid:
		o := k.order(order, customer, int64(1+number%500))
		if life[(stage+1)%len(life)] == schemas.TypeOrderCreditReleased {
			o.Credit = new(false)
		}
		source, data = payments, o
	default: // its credit is released
		order = k.id(fmt.Sprintf("stream-order-%d-%d", number, stage-1))
		source, data = payments, schemas.OrderCreditReleased{CustomerID: customer, OrderID: order}
	}
	return k.event(life[stage], source, k.id(fmt.Sprintf("stream-%d-%d", number, stage)), customer, data)
}

var (
	forenames = []string{
		"Anneliese", "Bertram", "Cordula", "Detlef", "Edeltraud", "Ferdinand", "Gundula", "Hartmut", "Ingeborg", "Joachim",
	}
	surnames = []string{
		"Apfelbaum", "Birnstengel", "Dinkelacker", "Eichenlaub", "Fliederbusch", "Haselnuss", "Kirschkern", "Lindenblatt",
		"Pflaumenmus", "Quittengelee",
	}
	towns = [][2]string{{"10115", "Berlin"}, {"20095", "Hamburg"}, {"80331", "München"}, {"50667", "Köln"}, {"70173", "Stuttgart"}}
)

// someone gives a person for a number: always the same one in runs with the same suffix, and another one in any other run.
func (k *kit) someone(number int) person {
	r := rand.New(rand.NewPCG(uint64(number), k.seed()))
	town := towns[r.IntN(len(towns))]
	p := person{
		forename: forenames[r.IntN(len(forenames))], surname: surnames[r.IntN(len(surnames))], salutation: schemas.SalutationMR,
		born:       time.Date(1950+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
		birthPlace: towns[r.IntN(len(towns))][1], street: fmt.Sprintf("Teststraße %d", 1+r.IntN(200)), zip: town[0], city: town[1],
		account: number,
	}
	if slices.Index(forenames, p.forename)%2 == 0 {
		p.salutation = schemas.SalutationMS
	}
	return k.own(p)
}

// own gives the person an account that belongs to this run: without it, two runs would register the very same people,
// and an audit for doubles would accuse the bridge of it.
func (k *kit) own(p person) person {
	if k.suffix != "" {
		p.account = (p.account + 1_000_000*int(k.seed()%accounts)) % (1_000_000 * accounts)
	}
	return p
}

// accounts is how many millions of accounts there are: numbers of ten digits, that are below 2^32.
const accounts = 4000

// seed is the run's, by its suffix.
func (k *kit) seed() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k.suffix)) // a hash takes all
	return h.Sum64()
}
