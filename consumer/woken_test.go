package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// A wallet wakes who waits for it, also one that has an object of its own, of which the customer's does not change.
func TestWaitingForWallets(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		const wallets = 5
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			e := run.Event()
			address := "0xab" + e.ID[len(e.ID)-1:]
			switch _, known := run.Wallet(address); {
			case strings.HasPrefix(e.ID, "wallet"):
				run.AddWallet(attempt.Wallet{ID: "w-" + address, Address: address})
			case !known:
				return outcome.Wait(outcome.WalletMissing, attempt.KeyCustomer)
			}
			return nil
		})
		w.start(d, false)
		for i := range wallets {
			w.put(w.order("c1", fmt.Sprint("o", i), fmt.Sprint("order", i)))
		}
		for i := range wallets {
			w.put(w.linked("c1", fmt.Sprint("wallet", i)))
			time.Sleep(time.Minute)
			if !d.finished(fmt.Sprint("order", i))() {
				t.Errorf("wallet %d is there, and the order that waits for it was not woken", i)
			}
		}
	})
}

// What an intent has written wakes who waits for it, also if the attempt that wrote it was followed by another.
func TestWokenByIntent(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, nil)
		d.on = func(ctx context.Context, run *attempt.Run, nth int) error {
			c := run.Customer()
			if run.Event().ID == "update" {
				if c.InvestorID == "" {
					return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
				}
				return nil
			}
			c.InvestorID = "inv" // a step before has created it
			_, err := attempt.Do(ctx, run, "identification", nil, func(attempt.Refs) string { return "body" },
				func(context.Context, uuid.UUID, string) (string, error) {
					if nth == 1 {
						return "", outcome.Retry(outcome.ClassThrottled, false, errTrouble)
					}
					return "", outcome.Reject(outcome.Refused)
				})
			return err
		}
		w.start(d, false)
		w.put(w.linked("c1", "update"), w.linked("c1", "verified"))
		w.until("refused", d.finished("verified"))
		time.Sleep(time.Hour)
		if !d.finished("update")() {
			t.Error("the investor is there, and the update that waits for it was not woken")
		}
	})
}
