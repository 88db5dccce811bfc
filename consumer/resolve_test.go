package consumer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"distributor-bridge/consumer"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/kafka"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/producer"
	"distributor-bridge/schemas"
)

// give writes a command about c1 into the inbox, and waits until it is done. It says whether it was current.
func (w *world) give(d *desk, name string, data any) (current bool) {
	w.t.Helper()
	e, err := w.contract.NewCommand(name, "/bridge", data)
	if err != nil {
		w.t.Fatal(err)
	}
	value, headers := e.Binary()
	w.write(kafka.Record{
		Topic: w.cfg.Inbox, Partition: w.partition("c1"), Key: []byte("c1"), Value: value, Headers: headers,
	})
	var done []consumer.Report
	w.until("the command is done", func() bool {
		done = d.told(func(r consumer.Report) bool { return r.Stage == consumer.StageCommand && r.Event.ID == e.ID })
		return len(done) > 0
	})
	return done[0].Error == nil
}

func ref(id string) schemas.EventRef {
	return schemas.EventRef{ID: id, Source: "/upstream", Type: "distributor.order.credit_released"}
}

func resolve(id string, happened bool) schemas.CommandResolve {
	data := schemas.CommandResolve{
		By: "alex", Why: "seen", CustomerID: "c1", Object: "order/o1", Event: ref(id), Step: "step", Reason: "contract_broken",
		Happened: happened,
	}
	if happened {
		data.ProviderID = "told"
	}
	return data
}

// What is unknown goes on as a person has found out: with the answer, or with a call by a new key. Other decisions do nothing.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint("happened ", happened), func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T, w *world) {
				var c calls
				var answers []string
				w.cfg.Answer = func(step string, _ attempt.Refs, id string) (json.RawMessage, error) {
					answers = append(answers, step+" "+id)
					return json.RawMessage(`"` + id + `"`), nil
				}
				d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
					var answer error
					if run.Event().ID == "e1" && nth == 1 {
						answer = outcome.Unknown(outcome.ContractBroken, nil)
					}
					return c.do(ctx, run, "step", "", answer)
				})
				w.start(d, true)
				w.emit(w.order("c1", "o1", "e1"), w.order("c1", "o1", "e2"))
				w.until("it is told", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
				other := resolve("e1", happened)
				other.Step = "another"
				old := resolve("e1", happened)
				old.Generation = 1
				for _, stale := range []schemas.CommandResolve{other, old, resolve("e2", happened)} {
					if w.give(d, schemas.TypeCommandResolve, stale) {
						t.Errorf("%+v was current", stale)
					}
				}
				if !happened && w.give(d, schemas.TypeCommandResolve, resolve("e1", false)) {
					t.Error("that it did not happen was believed while the last try might still land")
				}
				time.Sleep(time.Minute)
				d.again("e1")
				if !w.give(d, schemas.TypeCommandResolve, resolve("e1", happened)) {
					t.Error("the decision was not current")
				}
				w.until("both have ended", d.finished("e1", "e2"))
				if w.give(d, schemas.TypeCommandResolve, resolve("e1", happened)) {
					t.Error("the decision was current twice")
				}
				want := []string{"e1 step", "e2 step"}
				if !happened {
					want = []string{"e1 step", "e1 step", "e2 step"} // by another key, or it would say so
				}
				if !slices.Equal(c.list(), want) {
					t.Errorf("calls %q, want %q", c.list(), want)
				}
				if happened && !slices.Equal(answers, []string{"step told"}) {
					t.Errorf("answers were made for %q", answers)
				}
			})
		})
	}
}

// A task whose end nobody knew has ended as a person says.
func TestResolveTask(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{true, false} {
		t.Run(fmt.Sprint("happened ", happened), func(t *testing.T) {
			t.Parallel()
			virtual(t, func(t *testing.T, w *world) {
				d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
					run.Follow(attempt.KeyOrder("o1"), "credit")
					return nil
				})
				decided := make(chan attempt.Decision, 1)
				d.looks = func(_ context.Context, run *attempt.Run, _ int) error {
					if said := run.Decided(); said != "" {
						decided <- said
						return nil
					}
					return outcome.At("credit", outcome.Unknown(outcome.TaskUnknown, nil))
				}
				w.start(d, true)
				w.emit(w.order("c1", "o1", "e1"))
				w.until("it is told", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 1 })
				data := resolve("e1", happened)
				data.FollowUp, data.Step, data.Reason = "credit", "credit", "task_unknown"
				d.again("e1 credit")
				if !w.give(d, schemas.TypeCommandResolve, data) {
					t.Error("the decision was not current")
				}
				want := map[bool]attempt.Decision{true: attempt.Happened, false: attempt.DidNotHappen}[happened]
				if got := <-decided; got != want {
					t.Errorf("decided %q, want %q", got, want)
				}
				w.committed()
				if w.give(d, schemas.TypeCommandResolve, data) {
					t.Error("the decision was current twice")
				}
			})
		})
	}
}

// What is given up goes to the dead letters and can be replayed; of what is in doubt it is not said that it was rejected.
func TestDiscard(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		var c calls
		d := newDesk(t, func(ctx context.Context, run *attempt.Run, nth int) error {
			switch run.Event().ID {
			case "waits":
				if !run.Replayed() {
					return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
				}
				return nil
			case "doubted":
				return c.do(ctx, run, "step", "", outcome.Unknown(outcome.ContractBroken, nil))
			}
			return c.do(ctx, run, "step", "", nil)
		})
		w.start(d, true)
		w.emit(w.order("c1", "o1", "waits"), w.order("c1", "o2", "doubted"), w.order("c1", "o2", "next"))
		w.until("both are held", func() bool {
			return len(w.named(schemas.TypeEventUnresolved)) == 1 && len(w.named(schemas.TypeEventWaiting)) == 1
		})
		discard := func(id, object string) bool {
			d.again(id)
			return w.give(d, schemas.TypeCommandDiscard, schemas.CommandDiscard{
				By: "alex", Why: "nobody waits", CustomerID: "c1", Object: object, Event: ref(id),
			})
		}
		if discard("waits", "order/o2") {
			t.Error("a command about another object was current")
		}
		if !discard("waits", "order/o1") || !discard("doubted", "order/o2") {
			t.Error("not discarded")
		}
		w.until("what stood behind goes on", d.finished("next"))
		if discard("waits", "order/o1") || discard("doubted", "order/o2") {
			t.Error("discarded twice")
		}
		headers, _ := w.letters()
		reasons := map[string]string{}
		for _, h := range headers {
			reasons[h[producer.HeaderEventID]] = h[producer.HeaderReason]
		}
		if len(headers) != 2 || reasons["waits"] != "discarded" || reasons["doubted"] != "unresolved" {
			t.Errorf("dead letters %v", reasons)
		}
		if rejected := w.named(schemas.TypeEventRejected); len(rejected) != 1 || rejected[0].CausationID != "waits" {
			t.Errorf("event.rejected was published %d times, want of the one that waited", len(rejected))
		}
		w.replay("waits", 1, nil)
		w.replay("doubted", 1, nil)
		w.until("the replay is done", func() bool { return d.tried("waits") == 2 })
		w.until("what is in doubt is unknown again", func() bool { return len(w.named(schemas.TypeEventUnresolved)) == 3 })
		want := []string{"doubted step", "next step", "doubted step same-key"} // while the API surely knows the key
		if !slices.Equal(c.list(), want) {
			t.Errorf("calls %q, want %q", c.list(), want)
		}
	})
}

// Commands that are delivered again, since nothing could be committed, do not act on what has come of the first time.
func TestCommandsAboutCustomersAgain(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		waits := func(_ context.Context, run *attempt.Run, _ int) error {
			if run.Event().ID == "slow" {
				return outcome.Retry(outcome.ClassServer, true, nil)
			}
			return outcome.Wait(outcome.InvestorMissing, attempt.KeyCustomer)
		}
		d := newDesk(t, waits)
		w.cfg.HoldAfter = 24 * time.Hour // the first event stays in its lane: nothing after it is committed
		w.cfg.RetryFirst, w.cfg.RetryMost = time.Minute, time.Minute
		m := w.start(d, true)
		first := "c2"
		for i := 0; w.partition(first) != w.partition("c1"); i++ {
			first = "c2" + string(rune('a'+i))
		}
		w.emit(w.order(first, "o1", "slow"))
		w.until("the slow one is under way", func() bool { return d.tried("slow") > 0 })
		w.emit(w.order("c1", "o1", "e1"))
		w.until("it waits", func() bool { return d.tried("e1") > 0 })
		discard := schemas.CommandDiscard{By: "alex", Why: "gone", CustomerID: "c1", Object: "order/o1", Event: ref("e1")}
		if !w.give(d, schemas.TypeCommandDiscard, discard) {
			t.Fatal("not discarded")
		}
		w.until("it is given up", func() bool { h, _ := w.letters(); return len(h) == 1 })
		w.replay("e1", 1, nil)
		w.until("the replay waits", func() bool { return d.tried("e1") > 1 })
		m.stop()
		d2 := newDesk(t, waits)
		w.start(d2, false)
		w.until("the command is delivered again", func() bool {
			return len(d2.told(func(r consumer.Report) bool { return r.Stage == consumer.StageCommand })) > 0
		})
		time.Sleep(time.Minute)
		if h, _ := w.letters(); len(h) != 1 {
			t.Errorf("%d dead letters, want 1: the replay goes on waiting", len(h))
		}
	})
}

// A follow-up that looks at a task is not discarded: others wait for the task's end, and nobody would see it.
func TestDiscardOfARunningTask(t *testing.T) {
	t.Parallel()
	virtual(t, func(t *testing.T, w *world) {
		d := newDesk(t, func(_ context.Context, run *attempt.Run, _ int) error {
			p := run.Position(attempt.KeyRedemption("r1"))
			p.Event, p.Digest, p.TaskID, p.Status = run.Event().Hash(), "d", "t", attempt.TaskProcessing
			run.Follow(attempt.KeyRedemption("r1"), "task/redemption/r1")
			return nil
		})
		d.looks = func(context.Context, *attempt.Run, int) error { return outcome.Wait(outcome.StatusPending, "") }
		w.start(d, true)
		w.emit(w.redeemed("c1", "r1", "e1"))
		w.until("it is looked at", func() bool { return d.tried("e1 task/redemption/r1") > 0 })
		event := ref("e1")
		current := w.give(d, schemas.TypeCommandDiscard, schemas.CommandDiscard{
			By: "alex", Why: "gone", CustomerID: "c1", Object: "redemption/r1", Event: event, FollowUp: "task/redemption/r1",
		})
		if current {
			t.Error("it was discarded")
		}
	})
}
