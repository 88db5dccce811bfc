package attempt

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Object is what the bridge remembers of one thing at the API: exactly one of its parts is set, or none if nothing is
// known yet. It holds IDs, digests, statuses and times, never personal data.
type Object struct {
	Customer *Customer `json:"customer,omitempty"`
	Order    *Order    `json:"order,omitempty"`
	Position *Position `json:"position,omitempty"`
	Wallet   *Wallet   `json:"wallet,omitempty"`
}

// Customer is the object of a customer: the investor at the API and what belongs to it.
type Customer struct {
	InvestorID string               `json:"investor,omitempty"`
	Company    bool                 `json:"company,omitempty"`    // a company, else a person
	Persons    bool                 `json:"persons,omitempty"`    // the benefiting persons have been posted
	KYC        string               `json:"kyc,omitempty"`        // the API's kyc_status, as it was told last
	KYCSince   time.Time            `json:"kyc_since,omitzero"`   // when that status was seen first
	Wallets    []Wallet             `json:"wallets,omitempty"`    // the first ones, and managed ones, as they came to be known
	More       int                  `json:"more,omitempty"`       // 1 (older: a count): others have an object each, see Run.AddWallet
	Parts      map[string]time.Time `json:"parts,omitempty"`      // per part of the data, the time of the event applied last
	Registered string               `json:"registered,omitempty"` // Hash of the event that registered the customer
	Unfinished bool                 `json:"unfinished,omitempty"` // the investor was created, and not all that belongs to it yet
}

// Wallet is a wallet of a customer at the API.
type Wallet struct {
	ID      string `json:"id"`
	Address string `json:"address,omitempty"` // lower case; empty as long as the API has not told a managed one's
	Managed bool   `json:"managed,omitempty"`
}

// Order is the object of an order: the investment at the API and its credit.
type Order struct {
	Digest       string    `json:"digest"`                // of the data of its order.paid, links and contents left out
	Event        string    `json:"event"`                 // Hash of its order.paid
	InvestmentID string    `json:"investment,omitempty"`  // empty until it has been created
	WalletID     string    `json:"wallet,omitempty"`      // the wallet that the investment names
	Status       string    `json:"status,omitempty"`      // the investment's status, as it was told last
	Since        time.Time `json:"since,omitzero"`        // when that status was seen first
	Credit       bool      `json:"credit,omitempty"`      // the credit is allowed, by the order or by a release
	CreditTask   string    `json:"credit_task,omitempty"` // the ID of the credit's task, once it has been asked for
	CreditStatus string    `json:"credit_status,omitempty"`
	GivenUp      bool      `json:"given_up,omitempty"` // see Object.GiveUp
}

// Position is the object of a redemption or a transfer.
type Position struct {
	Digest string    `json:"digest"` // of the data of its event
	Event  string    `json:"event"`  // Hash of its event
	TaskID string    `json:"task,omitempty"`
	Status string    `json:"status,omitempty"`
	Since  time.Time `json:"since,omitzero"` // when that status was seen first
	// GivenUp: see Object.GiveUp.
	GivenUp bool `json:"given_up,omitempty"`
}

// Statuses of a task at the API, normalised: the API's client gives no other.
const (
	TaskProcessing = "processing"
	TaskSucceeded  = "succeeded"
	TaskFailed     = "failed"
	TaskUnknown    = "unknown"
)

// Statuses of a KYC at the API [A].
const (
	KYCPending  = "PENDING"
	KYCSuccess  = "SUCCESS"
	KYCRejected = "REJECTED"
)

// Processing says whether a task at the API may still change what the customer holds: later events about positions wait
// for it. A task whose end is unknown is one of them, until it is given up.
func (o Object) Processing() bool {
	if o.Order != nil && o.Order.CreditTask != "" {
		return o.Order.CreditStatus == TaskProcessing || o.Order.CreditStatus == TaskUnknown && !o.Order.GivenUp
	}
	if o.Position != nil && o.Position.TaskID != "" {
		return o.Position.Status == TaskProcessing || o.Position.Status == TaskUnknown && !o.Position.GivenUp
	}
	return false
}

// GiveUp marks an order, redemption or transfer of which nobody has found out for max_wait what became of it: nothing waits for
// it any more, and it may have happened, so that no other event may do it again.
func (o *Object) GiveUp() {
	if o.Order != nil {
		o.Order.GivenUp = true
	}
	if o.Position != nil {
		o.Position.GivenUp = true
	}
}

// BegunBy says whether an event, given by its Hash, has only begun what the object is: an order without an investment, a
// redemption or transfer without a task.
func (o Object) BegunBy(event string) bool {
	return o.Order != nil && o.Order.Event == event && o.Order.InvestmentID == "" ||
		o.Position != nil && o.Position.Event == event && o.Position.TaskID == ""
}

// Open says whether something has only begun at the API: what Processing and Without look for.
func (o Object) Open() bool {
	return o.Processing() || o.Order != nil && o.Order.InvestmentID == "" || o.Position != nil && o.Position.TaskID == ""
}

// Without gives o without what an event, given by its Hash, has only begun: an order without an investment, a redemption or
// transfer without a task. When the event is given up, another one with other data may come in its place.
func (o Object) Without(event string) Object {
	if o.Order != nil && o.Order.Event == event && o.Order.InvestmentID == "" {
		o.Order = nil
	}
	if o.Position != nil && o.Position.Event == event && o.Position.TaskID == "" {
		o.Position = nil
	}
	return o
}

// Managed gives the customer's managed wallet; ok is false if there is none.
func (c *Customer) Managed() (w Wallet, ok bool) {
	i := slices.IndexFunc(c.Wallets, func(w Wallet) bool { return w.Managed })
	if i < 0 {
		return Wallet{}, false
	}
	return c.Wallets[i], true
}

// Wallet gives that of Wallets with the given address, in whatever case it is written.
func (c *Customer) Wallet(address string) (w Wallet, ok bool) {
	i := slices.IndexFunc(c.Wallets, func(w Wallet) bool { return w.Address != "" && strings.EqualFold(w.Address, address) })
	if i < 0 {
		return Wallet{}, false
	}
	return c.Wallets[i], true
}

// AddWallet remembers a wallet among Wallets, once: one whose ID is known already is replaced.
func (c *Customer) AddWallet(w Wallet) {
	w.Address = strings.ToLower(w.Address)
	i := slices.IndexFunc(c.Wallets, func(have Wallet) bool { return have.ID == w.ID })
	if i >= 0 {
		c.Wallets = slices.Clone(c.Wallets) // they may be shared
		c.Wallets[i] = w
		return
	}
	c.Wallets = append(slices.Clip(c.Wallets), w)
}

// Apply remembers that data of the time at has been applied to the parts. What is newer stays.
func (c *Customer) Apply(at time.Time, parts ...string) {
	applied := maps.Clone(c.Parts) // they may be shared
	if applied == nil {
		applied = map[string]time.Time{}
	}
	for _, part := range parts {
		if !at.Before(applied[part]) {
			applied[part] = at.UTC()
		}
	}
	c.Parts = applied
}

// equal says whether two objects say the same: state would hold the same of them.
func (o Object) equal(p Object) bool {
	return same(o.Customer, p.Customer, (*Customer).equal) && same(o.Order, p.Order, (*Order).equal) &&
		same(o.Position, p.Position, (*Position).equal) && same(o.Wallet, p.Wallet, func(a, b *Wallet) bool { return *a == *b })
}

func same[T any](a, b *T, equal func(*T, *T) bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equal(a, b)
}

func (c *Customer) equal(d *Customer) bool {
	return c.InvestorID == d.InvestorID && c.Company == d.Company && c.Persons == d.Persons && c.KYC == d.KYC &&
		c.KYCSince.Equal(d.KYCSince) && slices.Equal(c.Wallets, d.Wallets) && c.More == d.More &&
		maps.EqualFunc(c.Parts, d.Parts, time.Time.Equal) && c.Registered == d.Registered && c.Unfinished == d.Unfinished
}

func (o *Order) equal(p *Order) bool {
	a, b := *o, *p
	a.Since, b.Since = time.Time{}, time.Time{}
	return a == b && o.Since.Equal(p.Since)
}

func (p *Position) equal(q *Position) bool {
	a, b := *p, *q
	a.Since, b.Since = time.Time{}, time.Time{}
	return a == b && p.Since.Equal(q.Since)
}

// Clone gives a copy that can be changed without changing o: of its customer, Wallets and Parts can be replaced, but not changed in
// place, since most who look at a customer change neither.
func (o Object) Clone() Object {
	var c Object
	if o.Customer != nil {
		copied := *o.Customer
		c.Customer = &copied
	}
	if o.Order != nil {
		copied := *o.Order
		c.Order = &copied
	}
	if o.Position != nil {
		copied := *o.Position
		c.Position = &copied
	}
	if o.Wallet != nil {
		copied := *o.Wallet
		c.Wallet = &copied
	}
	return c
}
