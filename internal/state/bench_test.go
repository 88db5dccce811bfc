package state_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/internal/state"
)

// keeper is a journal as the engine has one.
type keeper struct {
	store          *state.Store
	customer, home string
}

func (k *keeper) Object(key string) attempt.Object {
	if r := k.store.Get(k.customer, key); r != nil {
		return r.Object
	}
	return attempt.Object{}
}
func (k *keeper) Processing(string) bool { return false }
func (k *keeper) Ready(ctx context.Context) (context.Context, error) {
	_, err := k.store.Ready(ctx)
	return ctx, err
}

func (k *keeper) Intend(ctx context.Context, w attempt.Work, changed []attempt.Entry) error {
	var entries []state.Entry
	home := (*state.Record)(nil)
	for _, e := range changed {
		r := k.store.Edit(k.customer, e.Key)
		r.Object = e.Object
		entries = append(entries, state.Entry{Key: e.Key, Record: r})
		if e.Key == k.home {
			home = r
		}
	}
	if home == nil {
		home = k.store.Edit(k.customer, k.home)
		entries = append(entries, state.Entry{Key: k.home, Record: home})
	}
	home.Put(w)
	return k.store.Write(ctx, k.customer, entries...)
}

type ownWallet struct {
	Investor  string
	Address   string
	Receiving bool
}

type created struct {
	CustomerID string `json:"customer_id"`
	InvestorID string `json:"investor_id"`
	WalletID   string `json:"wallet_id"`
	Kind       string `json:"kind"`
	Address    string `json:"address"`
}

// addWallet does what an event with one call does to attempt and state: intent, call, outcome.
func addWallet(ctx context.Context, s *state.Store, customer string, offset int64) error {
	address := fmt.Sprintf("0x%040x", offset)
	event := attempt.Event{
		Source: "//upstream/onboarding", ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", offset), Type: "customer.wallet_added",
		Customer: customer, Subject: "wallet/" + address, Time: now,
	}
	k := &keeper{store: s, customer: customer, home: event.Subject}
	run := attempt.New(attempt.Config{KeyRetention: 20 * time.Hour, Quiet: time.Minute}, k, attempt.Work{Event: event, Offset: offset})
	c := run.Customer()
	if _, known := run.Wallet(address); known {
		return fmt.Errorf("known")
	}
	id, err := attempt.Do(ctx, run, "wallet", attempt.Refs{"investor": c.InvestorID},
		func(refs attempt.Refs) ownWallet { return ownWallet{refs["investor"], address, true} },
		func(_ context.Context, key uuid.UUID, _ ownWallet) (string, error) { return key.String(), nil })
	if err != nil {
		return err
	}
	run.AddWallet(attempt.Wallet{ID: id, Address: address})
	err = run.Publish("wallet.created", event.Subject, created{customer, c.InvestorID, id, "own", address})
	if err != nil {
		return err
	}
	out := attempt.Outcome{Verdict: outcome.Done, Time: now, Results: run.Results()}
	home := s.Edit(customer, event.Subject)
	home.Remember(event.Hash())
	home.Drop(offset, "")
	home.Seen, home.Last = offset, &out
	entries := append(make([]state.Entry, 0, 2), state.Entry{Key: event.Subject, Record: home})
	for _, e := range run.Changed() {
		if e.Key == event.Subject {
			home.Object = e.Object
			continue
		}
		r := s.Edit(customer, e.Key)
		r.Object = e.Object
		entries = append(entries, state.Entry{Key: e.Key, Record: r})
	}
	return s.Write(ctx, customer, entries...)
}

// linked is the record of a customer who may have wallets.
func linked() *state.Record {
	r := state.NewRecord()
	r.Customer = &attempt.Customer{
		InvestorID: "5f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21", KYC: attempt.KYCSuccess, KYCSince: now,
		Parts: map[string]time.Time{"person": now}, Registered: "0123456789abcdef",
	}
	r.Remember("0123456789abcdef")
	return r
}

func BenchmarkEvent(b *testing.B) {
	const wallets = 30
	s := state.NewUnwritten()
	b.ReportAllocs()
	began := processor(b)
	for i := 0; b.Loop(); i++ {
		customer := fmt.Sprintf("customer-%d", i/wallets)
		if i%wallets == 0 {
			if err := s.Write(b.Context(), customer, state.Entry{Key: "customer", Record: linked()}); err != nil {
				b.Fatal(err)
			}
		}
		if err := addWallet(b.Context(), s, customer, int64(i)); err != nil {
			b.Fatal(err)
		}
		if i%5000 == 0 { // a second's work
			s.Committed(int64(i))
			if err := s.Idle(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64((processor(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// processor gives the time that the process has been given so far, which neighbours do not stretch as they do the clock's.
func processor(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
