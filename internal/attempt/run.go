package attempt

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"
)

// KeyCustomer is the key of the customer's own object. Keys are relative to the customer.
const KeyCustomer = "customer"

// KeyOrder gives the key of an order's object.
func KeyOrder(id string) string { return "order/" + id }

// KeyRedemption gives the key of a redemption's object.
func KeyRedemption(id string) string { return "redemption/" + id }

// KeyTransfer gives the key of a transfer's object.
func KeyTransfer(id string) string { return "transfer/" + id }

// KeyWallet gives the key of the object of a wallet that has one.
func KeyWallet(address string) string { return "wallet/" + strings.ToLower(address) }

// Subject gives the subject, within the customer, to which the object at key belongs: redemptions and transfers are of one,
// all others are their own.
func Subject(key string) string {
	if strings.HasPrefix(key, "redemption/") || strings.HasPrefix(key, "transfer/") {
		return "positions"
	}
	return key
}

// Awaited gives the key under which a change of the object at key is waited for: a wallet is a part of its customer, whether it has
// an object of its own or not.
func Awaited(key string) string {
	if strings.HasPrefix(key, "wallet/") {
		return KeyCustomer
	}
	return key
}

// Journal is the side of the consumer that an attempt sees.
type Journal interface {
	// Object gives the object at a key of the event's customer, not to be changed; an empty one if nothing is known.
	Object(key string) Object
	// Processing says whether a task of the customer is under way at the API, other than that of the object at except.
	Processing(except string) bool
	// Intend writes work and the changed objects down, in one piece, and returns once that is acknowledged. After an
	// error nothing may be sent.
	Intend(ctx context.Context, w Work, changed []Entry) error
	// Ready is asked right before a call with an effect is sent, and gives the context to send it under; an error means
	// that it must not be sent.
	Ready(ctx context.Context) (context.Context, error)
}

// Config are the rules of doubt; see design section 5. All are required; what is told as usual is the program's default.
type Config struct {
	KeyRetention time.Duration // how long the API surely keeps idempotency keys; usually 20 h
	Margin       time.Duration // how much earlier the bridge stops to repeat; usually 10 min
	Quiet        time.Duration // how long after the last try in doubt a 4xx begins to count; usually 60 s
}

// Run is one attempt at an event or at a follow-up. It is used by one goroutine.
type Run struct {
	cfg     Config
	journal Journal
	work    Work
	objects []seen // a handful
	answers []answer
	taken   int // how many of answers are in work
	results []Result
	follows []Follow

	room struct { // for what an attempt has as a rule
		objects [2]seen
		answers [1]answer
	}
}

// answer is what a step was answered.
type answer struct {
	Sent
	raw json.RawMessage
}

// seen is an object that the handler has looked at.
type seen struct {
	key     string
	now     Object // a copy, as the handler changes it
	was     Object // the same, as it was loaded
	written bool   // an intent has written it since: it changed, even if it is as it was loaded again
}

func (s *seen) changed() bool { return s.written || !s.now.settled().equal(s.was) }

// Entry is an object under its key.
type Entry struct {
	Key    string
	Object Object
}

// Follow is a follow-up that an attempt asks for: of the object at Key, under a name.
type Follow struct{ Key, Name string }

// New makes an attempt at work w, which is copied. w.Event must be whole; its Data may be missing for a follow-up.
func New(cfg Config, journal Journal, w Work) *Run {
	r := &Run{cfg: cfg, journal: journal, work: w.Clone()}
	r.objects, r.answers = r.room.objects[:0], r.room.answers[:0]
	return r
}

// Event gives the event that is worked on, or that caused the follow-up.
func (r *Run) Event() Event { return r.work.Event }

// FollowUp gives the name of the follow-up that is worked on; empty for the event itself.
func (r *Run) FollowUp() string { return r.work.Follow }

// Replayed says whether the event is a replay of one that was given up.
func (r *Run) Replayed() bool { return r.work.Round > 0 }

// Decided gives what a person says of the task that is followed; empty if nobody has said anything.
func (r *Run) Decided() Decision { return r.work.Decided }

// Work gives the work as the attempt has brought it on: answers and intent. Answers are taken in when somebody asks for them: of an
// event that ends with its last one nobody does.
func (r *Run) Work() Work {
	for _, a := range r.answers[r.taken:] {
		if r.work.Answers == nil {
			r.work.Answers = map[string]json.RawMessage{}
		}
		r.work.Answers[a.Step] = a.raw
		r.work.Sent = append(r.work.Sent, a.Sent)
	}
	r.taken = len(r.answers)
	return r.work
}

// Steps calls fn with each step that was answered in this attempt.
func (r *Run) Steps(fn func(step string)) {
	for i := range r.answers {
		fn(r.answers[i].Step)
	}
}

// Results gives what the handler asked to publish, in its order.
func (r *Run) Results() []Result { return r.results }

// Follows gives the follow-ups that the handler asked for, in its order.
func (r *Run) Follows() []Follow { return r.follows }

// Customer gives the event's customer to read and to change (see Object.Clone); a zero one if nothing is known.
func (r *Run) Customer() *Customer {
	o := r.object(KeyCustomer)
	if o.Customer == nil {
		o.Customer = &Customer{}
	}
	return o.Customer
}

// Order gives an order of the customer to read and to change; a zero one if nothing is known.
func (r *Run) Order(id string) *Order {
	o := r.object(KeyOrder(id))
	if o.Order == nil {
		o.Order = &Order{}
	}
	return o.Order
}

// Position gives the redemption or transfer at key, to read and to change; a zero one if nothing is known.
func (r *Run) Position(key string) *Position {
	o := r.object(key)
	if o.Position == nil {
		o.Position = &Position{}
	}
	return o.Position
}

// inline is how many wallets the customer's own object holds: enough to tell whether there is only one. It is written for
// each new one; with all of a thousand in it, that would be a thousand times the work.
const inline = 2

// Wallet gives the customer's wallet with the given address, in whatever case it is written.
func (r *Run) Wallet(address string) (w Wallet, ok bool) {
	c := r.Customer()
	if w, ok = c.Wallet(address); ok || c.More == 0 {
		return w, ok
	}
	if own := r.object(KeyWallet(address)).Wallet; own != nil {
		return *own, true
	}
	return Wallet{}, false
}

// AddWallet remembers a wallet of the customer, once. After the first few, those that are found by their address have an
// object of their own, and the customer does not change any more; who waits for it is woken all the same (Awaited).
func (r *Run) AddWallet(w Wallet) {
	c := r.Customer()
	known := slices.ContainsFunc(c.Wallets, func(have Wallet) bool { return have.ID == w.ID })
	if known || w.Managed || w.Address == "" || len(c.Wallets) < inline {
		c.AddWallet(w)
		return
	}
	c.More = max(c.More, 1)
	w.Address = strings.ToLower(w.Address)
	r.object(KeyWallet(w.Address)).Wallet = &w
}

// Processing says whether a credit, redemption or transfer of the customer is processing, other than that at except.
func (r *Run) Processing(except string) bool { return r.journal.Processing(except) }

// Publish asks for a result about the given subject ("order/1001"). data must hold IDs and statuses only.
func (r *Run) Publish(typ, subject string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	r.results = append(r.results, Result{Type: typ, Subject: subject, Data: raw})
	return nil
}

// Follow asks for a follow-up of the object at key. One of that name that is under way already goes on instead.
func (r *Run) Follow(key, name string) {
	r.follows = append(r.follows, Follow{Key: key, Name: name})
}

// Changed gives the objects that the handler changed, each once; if it changed none, an empty list that is not nil. They are kept
// whatever the verdict is: what was created stays created, even if the event is rejected later. They are the attempt's own: it has
// to be over.
func (r *Run) Changed() []Entry {
	changed := []Entry{}
	for i := range r.objects {
		if s := &r.objects[i]; s.changed() {
			changed = append(slices.Grow(changed, len(r.objects)-i), Entry{s.key, s.now.settled()})
		}
	}
	return changed
}

// settled gives o without parts that say nothing, so that looking at an object that is not there does not make it.
func (o Object) settled() Object {
	if o.Customer != nil && o.Customer.equal(&Customer{}) {
		o.Customer = nil
	}
	if o.Order != nil && o.Order.equal(&Order{}) {
		o.Order = nil
	}
	if o.Position != nil && o.Position.equal(&Position{}) {
		o.Position = nil
	}
	if o.Wallet != nil && *o.Wallet == (Wallet{}) {
		o.Wallet = nil
	}
	return o
}

func (r *Run) object(key string) *Object { return &r.look(key).now }

// look gives the object at key, until the next one is looked at for the first time.
func (r *Run) look(key string) *seen {
	for i := range r.objects {
		if r.objects[i].key == key {
			return &r.objects[i]
		}
	}
	was := r.journal.Object(key)
	r.objects = append(r.objects, seen{key: key, now: was.Clone(), was: was})
	return &r.objects[len(r.objects)-1]
}

// keep remembers a step's answer, and closes its intent.
func (r *Run) keep(a any, sent Sent) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return outcome.At(sent.Step, err)
	}
	r.answers = append(r.answers, answer{sent, raw})
	if r.work.Intent != nil && r.work.Intent.Step == sent.Step {
		r.work.Intent = nil
	}
	return nil
}
