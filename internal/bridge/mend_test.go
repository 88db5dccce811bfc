package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/replay"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// A wrong enum value in many events, which intake has refused, is mended and put back. What was refused by the provider after its
// investor was created is not, if the investor would have been another: by the forecast, and by the engine if it comes there all
// the same; without that change it goes on from where it was.
func TestReplayMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const customers = 200
		w := newPipes(t, sandbox.Config{})
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		var events []schemas.Event
		for i := range customers {
			id := fmt.Sprintf("p%02d", i)
			customer := verified(id)
			customer.Person.Surname += id
			customer.Person.Salutation = "FRAU"
			events = append(events, event(id, schemas.TypeCustomerVerified, emitted, customer))
		}
		w.emit(events...)
		w.until("all are refused", func() bool { return w.letters() == customers })

		d := w.desk()
		invalid := replay.Query{Filter: replay.Filter{Reasons: []string{"invalid"}}}
		b := w.prepare(d, invalid, "")
		if got := forecasts(b); got[replay.Invalid] != customers || !slices.Equal(b.Items[0].Fields, []string{"/data/person/salutation enum"}) {
			t.Errorf("unmended: %v, %s", got, b.Items[0].Fields)
		}
		const mending = `.person.salutation |= if . == "FRAU" then "MS" else "MR" end`
		for wrong, note := range map[string]string{
			`.customer_id = "p99"`:             "", // still invalid
			mending + ` | .customer_id += "9"`: "it would be another customer's",
			`.person.salutation.x`:             "the expression fails on it",
			`.person, .contact`:                "the expression gives more than one value",
			`empty`:                            "the expression gives no value",
		} {
			b := w.prepare(d, invalid, wrong)
			if got := forecasts(b); got[replay.Invalid] != customers || b.Items[0].Note != note {
				t.Errorf("%s: %v, %q", wrong, got, b.Items[0].Note)
			}
		}
		b = w.prepare(d, invalid, mending)
		if got := forecasts(b); got[replay.Runs] != customers || b.Items[0].Step != "document/legitimation_protocol" || !b.Items[0].Mended {
			t.Errorf("mended: %v, from %q", got, b.Items[0].Step)
		}
		if _, err := d.Replay(context.Background(), b, carefully()); err != nil {
			t.Fatal(err)
		}
		if got := outcomes(b); got[replay.EndedDone] != customers {
			t.Errorf("outcomes %v", got)
		}
		w.await("p00 wallet.created", "p19 wallet.created")
		once(t, w, "create_investor", customers)

		refusing := w.api.Fault(sandbox.Fault{Operation: "create_identification", Kind: sandbox.Status, Status: 400})
		one := verified("late")
		one.Person.Surname += "late"
		w.emit(event("late", schemas.TypeCustomerVerified, emitted, one))
		w.await("late event.rejected")
		w.api.Unfault(refusing)
		late := replay.Query{Filter: replay.Filter{IDs: []string{"late"}}}
		b = w.prepare(d, late, `.person.salutation = "MR"`)
		if it := b.Items[0]; it.Forecast != replay.Refused || it.Reason != "step_changed" || it.Step != "investor" || it.Put {
			t.Errorf("an edit that changes the investor: %+v", it)
		}
		b.Items[0].Put = true // as if it had not been known
		if _, err := d.Replay(context.Background(), b, carefully()); err != nil {
			t.Fatal(err)
		}
		if it := b.Items[0]; it.Outcome != replay.EndedAgain || it.Again != "step_changed" {
			t.Errorf("outcome %s %s, want it to be refused", it.Outcome, it.Again)
		}
		w.until("there is a letter of that", func() bool { return w.letters() == customers+2 })
		b = w.prepare(d, late, `.person.salutation = "MS" | .identification.document_issuer = "MarkedOffice"`)
		if it := b.Items[0]; it.Forecast != replay.Runs || it.Step != "identification" || it.Round != 2 {
			t.Errorf("an edit of what is still to be sent: %+v", it)
		}
		if _, err := d.Replay(context.Background(), b, carefully()); err != nil {
			t.Fatal(err)
		}
		w.await("late wallet.created")
		m.stop()
		once(t, w, "create_investor", customers+1, "create_identification", customers+2)
		if doubles := w.api.Doubles(); len(doubles) > 0 {
			t.Errorf("doubled effects: %v", doubles)
		}
	})
}

// A credit whose end the provider does not know, and an order that may have been made, end as a person says. A decision that
// comes too early, or again, or about something else does nothing.
func TestResolveUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		w.crowd(2)
		unknown := sandbox.TaskRule{Verdict: sandbox.TaskUnknown, Applied: true}
		if err := w.api.NextTask("create_credit", nil, 2, unknown); err != nil {
			t.Fatal(err)
		}
		w.emit(event("yes", schemas.TypeOrderPaid, emitted, order("p00", "o1", 10)),
			event("no", schemas.TypeOrderPaid, emitted, order("p01", "o1", 10)))
		w.await("yes event.unresolved", "no event.unresolved")
		d := w.desk()
		resolve := func(id string, decision replay.Decision) (replay.Held, replay.Effect) {
			t.Helper()
			h, err := d.Unknown(context.Background(), replay.Filter{IDs: []string{id}}, decision)
			if err != nil {
				t.Fatal(err)
			}
			return h, w.decide(d, h, decision)
		}
		for id, decision := range map[string]replay.Decision{"yes": {Happened: true}, "no": {}} {
			if _, e := resolve(id, decision); e.Word != replay.EffectDone {
				t.Errorf("%s: %+v", id, e)
			}
		}
		w.await("yes credit.succeeded", "no credit.failed")

		for id, e := range map[string]struct {
			customer string
			answer   answer
		}{"made": {"p00", broken}, "not": {"p01", func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
			rw.WriteHeader(http.StatusCreated)
		}}} {
			s := &script{answers: times(1, e.answer)}
			w.intercept(s.handler)
			w.emit(event(id, schemas.TypeOrderPaid, emitted, order(e.customer, "o2", 10)))
			w.await(id + " event.unresolved")
		}
		w.intercept(nil)
		if _, err := d.Unknown(context.Background(), replay.Filter{IDs: []string{"not"}}, replay.Decision{}); err == nil {
			t.Error("that it did not happen can be said at once")
		}
		if _, err := d.Unknown(context.Background(), replay.Filter{IDs: []string{"made"}}, replay.Decision{Happened: true}); err == nil {
			t.Error("that it happened can be said without the provider's ID")
		}
		time.Sleep(2 * time.Minute)
		h, e := resolve("not", replay.Decision{})
		if e.Word != replay.EffectDone {
			t.Errorf("what did not happen: %+v", e)
		}
		w.await("not investment.created")
		if e := w.decide(d, h, replay.Decision{}); e.Word != replay.EffectDone { // what it was about is gone all the same
			t.Errorf("again: %+v", e)
		}
		stale, err := d.Unknown(context.Background(), replay.Filter{IDs: []string{"made"}}, replay.Decision{})
		if err != nil {
			t.Fatal(err)
		}
		other := stale
		intent := *stale.Intent
		intent.Generation++
		other.Intent = &intent
		_ = w.decide(d, other, replay.Decision{})
		if n := w.effects()["create_investment"]; n != 4 { // two, the one that nobody knows of, and the one made again
			t.Errorf("%d investments after a stale command, want 4", n)
		}
		e = w.discard(d, stale)
		if e.Word != replay.EffectDone {
			t.Errorf("discarded: %+v", e)
		}
		w.until("it is a dead letter", func() bool { return w.letters() == 1 })
		wantLetters(t, w, map[string]string{"made": "unresolved"}, 1)
		m.stop()
	})
}

func (w *world) decide(d *replay.Desk, h replay.Held, decision replay.Decision) replay.Effect {
	w.t.Helper()
	e, err := d.Resolve(context.Background(), h, decision, replay.Who{By: "test", Why: "looked"})
	return w.effect(d, e, err)
}

func (w *world) discard(d *replay.Desk, h replay.Held) replay.Effect {
	w.t.Helper()
	e, err := d.Discard(context.Background(), h, replay.Who{By: "test", Why: "enough"})
	return w.effect(d, e, err)
}

func (w *world) effect(d *replay.Desk, e replay.Effect, err error) replay.Effect {
	w.t.Helper()
	effects := []replay.Effect{e}
	if err == nil {
		err = d.Await(context.Background(), effects, time.Minute)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return effects[0]
}

// A credit that was refused is put back by itself: its order is not made again.
func TestReplayOfFollowUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{})
		w.cfg.Rules.PollInterval = time.Second
		m := w.start()
		w.crowd(1)
		refusing := w.api.Fault(sandbox.Fault{Operation: "create_credit", Kind: sandbox.Status, Status: 400})
		w.emit(event("paid", schemas.TypeOrderPaid, emitted, order("p00", "o1", 10)))
		w.until("its credit is refused", func() bool { return w.letters() == 1 })
		w.api.Unfault(refusing)
		d := w.desk()
		b := w.prepare(d, replay.Query{}, "")
		if it := b.Items[0]; it.Letter.Follow != "credit" || it.Forecast != replay.Runs || it.Step != "credit" {
			t.Errorf("forecast: %s of %q from %q", it.Forecast, it.Letter.Follow, it.Step)
		}
		if _, err := d.Replay(context.Background(), b, carefully()); err != nil {
			t.Fatal(err)
		}
		if o := b.Items[0].Outcome; o != replay.GoesOn && o != replay.EndedDone {
			t.Errorf("outcome %q", o)
		}
		w.await("paid credit.succeeded")
		if got := forecasts(w.prepare(d, replay.Query{Filter: replay.Filter{IDs: []string{"paid"}}, All: true}, "")); got[replay.IsClosed] != 1 {
			t.Errorf("afterwards: %v", got)
		}
		m.stop()
		once(t, w, "create_investment", 1, "create_credit", 2)
	})
}
