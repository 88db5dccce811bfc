package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// desk opens an operators' desk.
func (w *world) desk() *replay.Desk {
	w.t.Helper()
	d, err := bridge.OpenDesk(context.Background(), w.cfg, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.Close)
	return d
}

// prepare judges the letters that q is about, mended by a jq expression if there is one.
func (w *world) prepare(d *replay.Desk, q replay.Query, expression string) *replay.Batch {
	w.t.Helper()
	var edit *replay.Edit
	if expression != "" {
		var err error
		if edit, err = replay.ParseEdit(expression); err != nil {
			w.t.Fatal(err)
		}
	}
	b, err := d.Prepare(context.Background(), q, edit)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func carefully() replay.How {
	return replay.How{
		Who: replay.Who{By: "test", Why: "it may go on"}, Canary: 10, Succeed: 0.9, Rate: 50, StopAfter: 0.5, Wait: true,
		Patience: time.Minute,
	}
}

// forecasts and outcomes count a batch's.
func forecasts(b *replay.Batch) map[replay.Forecast]int {
	count := map[replay.Forecast]int{}
	for _, it := range b.Items {
		count[it.Forecast]++
	}
	return count
}

func outcomes(b *replay.Batch) map[replay.Outcome]int {
	count := map[replay.Outcome]int{}
	for _, it := range b.Items {
		count[it.Outcome]++
	}
	return count
}

// crowd registers n customers, p00 and on, with their wallets.
func (w *world) crowd(n int) {
	w.t.Helper()
	var events []schemas.Event
	var wallets []string
	for i := range n {
		id := fmt.Sprintf("p%02d", i)
		customer := verified(id)
		customer.Person.Surname += id
		events = append(events, event(id, schemas.TypeCustomerVerified, emitted, customer))
		wallets = append(wallets, id+" wallet.created")
	}
	w.emit(events...)
	w.await(wallets...)
}

// A campaign is closed while orders come, all of which are rejected. While it is still closed a canary stops a replay. Once it
// is open again they are put back, with two interrupts on the way: one effect each, in the order of their customer. Put back
// again and again, and with the inbox read from its start once more, nothing happens that had not happened.
func TestReplayOfClosedCampaign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const customers, orders = 20, 500
		w := newPipes(t, sandbox.Config{})
		orderly := &counted{typ: schemas.TypeOrderPaid, of: map[string]int{}}
		w.cfg.Report = orderly.report
		w.cfg.Rules.PollInterval = time.Second
		w.cfg.Rules.Flood.Events = 1000
		m := w.start()
		w.crowd(customers)
		closed := w.api.Fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Status, Status: 400})
		var events []schemas.Event
		for i := range orders {
			id := fmt.Sprintf("o%03d", i)
			events = append(events, event(id, schemas.TypeOrderPaid, emitted, order(fmt.Sprintf("p%02d", i%customers), id, 1)))
		}
		w.emit(events...)
		w.until("all orders are rejected", func() bool { return w.letters() == orders })

		d := w.desk()
		refused := replay.Query{Filter: replay.Filter{Reasons: []string{"refused"}}}
		b := w.prepare(d, refused, "")
		if n := forecasts(b)[replay.Runs]; n != orders || b.Items[0].Step != "investment" || !slices.Equal(b.Items[0].Answered, []string{"document/signed/0", "document/signed/1"}) {
			t.Fatalf("%d of %d run, the first from %s after %s", n, orders, b.Items[0].Step, b.Items[0].Answered)
		}
		if _, err := d.Replay(context.Background(), b, carefully()); !errors.Is(err, replay.ErrStopped) {
			t.Errorf("a canary that is rejected again: %v", err)
		}
		if got := outcomes(b); got[replay.EndedAgain] != 10 || got[replay.NotPut] != orders-10 {
			t.Errorf("outcomes of the canary: %v", got)
		}

		w.api.Unfault(closed)
		for _, after := range []int{117, 63} {
			ctx, interrupt := context.WithCancel(context.Background())
			how := carefully()
			how.Tell = func(put, _, _ int) {
				if put == after {
					interrupt()
				}
			}
			b = w.prepare(d, refused, "")
			if _, err := d.Replay(ctx, b, how); !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted after %d: %v", after, err)
			}
			if n := len(b.Items) - outcomes(b)[replay.NotPut]; n != after {
				t.Errorf("%d were put back before the interrupt, want %d", n, after)
			}
		}
		b = w.prepare(d, refused, "")
		if _, err := d.Replay(context.Background(), b, carefully()); err != nil {
			t.Fatal(err)
		}
		ran := len(b.Items) - forecasts(b)[replay.IsClosed] // one may have ended while the letters were read
		if got := outcomes(b); got[replay.EndedDone] != ran || ran > orders-150 {
			t.Errorf("outcomes of the last run: %v, want %d done", got, ran)
		}
		w.until("all are credited", func() bool { return w.effects()["create_credit"] == orders })
		w.settled()
		time.Sleep(time.Hour) // in which credits succeed
		inOrder(t, orderly.ended, customers)
		effects, told := w.effects(), len(w.results())

		q := replay.Query{Filter: refused.Filter, All: true}
		if got := forecasts(w.prepare(d, q, "")); got[replay.IsClosed] != orders+10 {
			t.Errorf("afterwards: %v, want %d closed", got, orders+10)
		}
		again(w, 2)
		w.settled()
		m.stop()
		w.cfg.Group.Name += "-anew" // which has no offsets
		m = w.start()
		w.settled()
		m.stop()
		if got := w.effects(); !maps.Equal(got, effects) {
			t.Errorf("effects %v, before they were put back again %v", got, effects)
		}
		if got := len(w.results()); got != told { // which sees to it that repeats have the same bytes
			t.Errorf("%d results, before they were put back again %d", got, told)
		}
		if doubles := w.api.Doubles(); len(doubles) > 0 {
			t.Errorf("doubled effects: %v", doubles)
		}
		commands, err := d.Commands(context.Background(), replay.CommandQuery{By: []string{"test"}, Events: []string{"o000"}})
		rounds := map[int]int{}
		for _, c := range commands {
			if rounds[c.Round]++; c.Kind != replay.KindReplay || c.Why != "it may go on" {
				t.Errorf("audit: %+v", c)
			}
		}
		if err != nil || !maps.Equal(rounds, map[int]int{1: 3, 2: 3}) { // each as it was put back, and twice more
			t.Errorf("audit has these rounds: %v, %v", rounds, err)
		}
	})
}

// inOrder says whether events of each customer ended in the order of their IDs.
func inOrder(t *testing.T, ended []string, customers int) {
	t.Helper()
	last := map[int]string{}
	for _, id := range ended {
		var n int
		if _, err := fmt.Sscanf(id, "o%d", &n); err != nil {
			continue
		}
		if id < last[n%customers] {
			t.Errorf("%s ended after %s of the same customer", id, last[n%customers])
		}
		last[n%customers] = id
	}
}

// again writes all replays that stand in the inbox once more, n times, as they are.
func again(w *world, n int) {
	w.t.Helper()
	records := w.read(w.cfg.Topics.Names().Inbox)
	for range n {
		for _, r := range records {
			if !slices.ContainsFunc(r.Headers, func(h kafka.Header) bool { return h.Key == "dlq_replays" }) {
				continue
			}
			if _, err := w.producer.Produce(context.Background(), r); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// settled waits until the inbox is done.
func (w *world) settled() {
	w.t.Helper()
	inbox := w.cfg.Topics.Names().Inbox
	w.until("the inbox is done", func() bool {
		ends, err := w.kafka.EndOffset(context.Background(), inbox)
		if err != nil {
			w.t.Fatal(err)
		}
		done, err := w.kafka.GroupOffsets(context.Background(), w.cfg.Group.Name, inbox)
		if err != nil {
			w.t.Fatal(err)
		}
		for p, end := range ends {
			if end > 0 && done[p] < end {
				return false
			}
		}
		return true
	})
	time.Sleep(time.Minute)
}
