package attempt_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

func TestIntentIsWrittenBeforeTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		a := &api{journal: j}
		r := attempt.New(rules, j, attempt.Work{Event: paid})
		r.Customer().InvestorID = "inv-1" // what an earlier step created has to be in the same write

		now := time.Now()
		id, err := attempt.Do(t.Context(), r, "investment", attempt.Refs{"investor": "inv-1"}, body, a.send)
		if err != nil || id != "id-1" {
			t.Fatalf("Do gave %q, %v", id, err)
		}
		if want := []string{"intend investment", "ready", "send for inv-1"}; !slices.Equal(j.log, want) {
			t.Errorf("did %q, want %q", j.log, want)
		}
		in := j.written[0].Intent
		if in.Digest == "" || in.Refs["investor"] != "inv-1" || !in.FirstSent.Equal(now) || !in.LastTry.Equal(now) || in.Ambiguous {
			t.Errorf("wrote intent %+v", *in)
		}
		if got := byKey(t, j.changed[0])[attempt.KeyCustomer].Customer; got == nil || got.InvestorID != "inv-1" {
			t.Errorf("wrote objects %+v, want the customer's investor", j.changed[0])
		}
		if r.Work().Intent != nil {
			t.Errorf("intent is still open after the answer: %+v", *r.Work().Intent)
		}
	})
}

func TestNothingIsSentWithoutLeave(t *testing.T) {
	t.Parallel()
	fenced := errors.New("fenced")
	for name, j := range map[string]*journal{
		"intent not acknowledged": {intend: func(context.Context) error { return fenced }},
		"not ready":               {ready: fenced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &api{journal: j}
			r, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
			if !errors.Is(err, fenced) {
				t.Errorf("Do gave %v, want the journal's error", err)
			}
			if len(a.keys) > 0 {
				t.Error("the call was sent")
			}
			if r.Answered("investment") {
				t.Error("the step counts as answered")
			}
		})
	}
}

func TestAnswerIsRemembered(t *testing.T) {
	t.Parallel()
	j := &journal{}
	a := &api{journal: j}
	first, id, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
	if err != nil {
		t.Fatal(err)
	}
	if !first.Answered("investment") || !first.Begun("investment") {
		t.Error("the step does not count as answered and begun")
	}
	// Other refs, and even an owner in doubt, make no difference: the answer is there.
	_, again, err := do(t, a, restore(t, first.Work()), "inv-2")
	if err != nil || again != id {
		t.Errorf("second attempt gave %q, %v; want %q", again, err, id)
	}
	if len(a.keys) != 1 {
		t.Errorf("%d calls, want one", len(a.keys))
	}
}

func TestInheritedIntentRepeatsTheSameCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		a := &api{journal: j}
		if _, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1"); err != nil {
			t.Fatal(err)
		}
		began := j.written[0].Intent.FirstSent
		time.Sleep(time.Hour)

		// The owner died after the call: all that the next one has is the intent. The customer has changed since.
		w := j.restored(t)
		if r := attempt.New(rules, j, w); !r.Begun("investment") || r.Answered("investment") || r.Begun("credit") {
			t.Error("an open intent has to count as begun, not as answered, and for its own step only")
		}
		r, _, err := do(t, a, w, "inv-2")
		if err != nil {
			t.Fatal(err)
		}
		if a.keys[0] != a.keys[1] || a.bodies[0] != a.bodies[1] {
			t.Errorf("repeat differs: keys %v, bodies %q", a.keys, a.bodies)
		}
		in := j.written[1].Intent
		if !in.FirstSent.Equal(began) || !in.LastTry.Equal(began.Add(time.Hour)) || !in.Ambiguous || in.Refs["investor"] != "inv-1" {
			t.Errorf("intent was written again as %+v", *in)
		}
		if r.Work().Intent != nil {
			t.Error("intent is still open after the answer")
		}
	})
}

func TestRepeatInDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		a := &api{journal: j, answers: []error{lost(), lost(), nil}}
		w := attempt.Work{Event: paid}
		for range 2 {
			r, _, err := do(t, a, w, "inv-1")
			if e := verdict(t, err, outcome.Retrying, outcome.Temporary); !e.InDoubt || e.Class != outcome.ClassNoAnswer {
				t.Errorf("verdict %+v, want in doubt without an answer", e)
			}
			w = r.Work()
			if w.Intent == nil || !w.Intent.Ambiguous || !w.Intent.LastTry.Equal(time.Now()) {
				t.Fatalf("intent after a lost answer: %+v", w.Intent)
			}
			time.Sleep(time.Second)
		}
		if _, id, err := do(t, a, w, "inv-2"); err != nil || id != "id-3" {
			t.Fatalf("third try gave %q, %v", id, err)
		}
		if a.keys[1] != a.keys[0] || a.keys[2] != a.keys[0] || a.bodies[2] != a.bodies[0] {
			t.Errorf("repeats differ: keys %v, bodies %q", a.keys, a.bodies)
		}
		if len(j.written) != 1 {
			t.Errorf("the owner of an intent wrote it %d times, want once", len(j.written))
		}
	})
}

func TestErrorWithoutVerdictIsInDoubt(t *testing.T) {
	t.Parallel()
	a := &api{journal: &journal{}, answers: []error{context.DeadlineExceeded}}
	r, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
	if e := verdict(t, err, outcome.Retrying, outcome.Temporary); !e.InDoubt {
		t.Error("nobody knows how far the call got, and the verdict is not in doubt")
	}
	if in := r.Work().Intent; in == nil || !in.Ambiguous {
		t.Errorf("intent %+v, want it open and ambiguous", in)
	}
}

func TestSurelyNotSentStartsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		a := &api{journal: j, answers: []error{notSent(), nil}}
		r, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
		verdict(t, err, outcome.Retrying, outcome.Temporary)
		if r.Work().Intent != nil {
			t.Fatalf("intent %+v stays open, though nothing was sent", *r.Work().Intent)
		}
		// An outage longer than the API keeps keys: nothing was sent, so nothing is in doubt.
		time.Sleep(rules.KeyRetention)
		if _, _, err := do(t, a, r.Work(), "inv-2"); err != nil {
			t.Fatal(err)
		}
		if a.keys[0] != a.keys[1] {
			t.Error("the key changed")
		}
		if in := j.written[1].Intent; !in.FirstSent.Equal(time.Now()) || in.Refs["investor"] != "inv-2" {
			t.Errorf("second intent %+v, want first_sent and refs of its own", *in)
		}
	})
}

func TestDoubtOutlivesATryThatWasNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &api{journal: &journal{}, answers: []error{lost(), notSent()}}
		r, _, _ := do(t, a, attempt.Work{Event: paid}, "inv-1")
		first := *r.Work().Intent
		time.Sleep(time.Second)
		r, _, err := do(t, a, r.Work(), "inv-1")
		verdict(t, err, outcome.Retrying, outcome.Temporary)
		in := r.Work().Intent
		if in == nil || !in.Ambiguous || !in.FirstSent.Equal(first.FirstSent) || !in.LastTry.Equal(first.LastTry) {
			t.Errorf("intent %+v, want %+v: the lost call may still land", in, first)
		}
	})
}

func TestRefusalNotInDoubtCountsAtOnce(t *testing.T) {
	t.Parallel()
	a := &api{journal: &journal{}, answers: []error{refused()}}
	r, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
	e := verdict(t, err, outcome.Rejected, outcome.Refused)
	if e.Status != 400 || !slices.Equal(e.Fields, []string{"units"}) {
		t.Errorf("verdict %+v lost what the API said", e)
	}
	if r.Work().Intent != nil {
		t.Error("intent stays open after a definite refusal")
	}
}

// A refusal in doubt may be that of a repeat which overtook the first call. It counts when all has been quiet, and the
// refusals themselves do not push that time away.
func TestRefusalInDoubtCountsWhenQuiet(t *testing.T) {
	t.Parallel()
	begin := map[string]func(t *testing.T, j *journal) attempt.Work{
		"a try ended without an answer": func(t *testing.T, j *journal) attempt.Work {
			r, _, err := do(t, &api{journal: j, answers: []error{lost()}}, attempt.Work{Event: paid}, "inv-1")
			verdict(t, err, outcome.Retrying, outcome.Temporary)
			return r.Work()
		},
		"taken over": func(t *testing.T, j *journal) attempt.Work {
			if _, _, err := do(t, &api{journal: j}, attempt.Work{Event: paid}, "inv-1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // quiet counts from the takeover: the old owner's last call may have been sent late
			return j.restored(t)
		},
	}
	for name, begin := range begin {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := &journal{}
				w := begin(t, j)
				a := &api{journal: j, answers: []error{refused()}}
				start := time.Now()
				for range 6 {
					r, _, err := do(t, a, w, "inv-1")
					e := verdict(t, err, outcome.Retrying, outcome.Temporary)
					if left := rules.Quiet - time.Since(start); e.After != left || !e.InDoubt {
						t.Fatalf("verdict in doubt %v, after %v; want in doubt, after %v", e.InDoubt, e.After, left)
					}
					w = r.Work()
					time.Sleep(10 * time.Second)
				}
				r, _, err := do(t, a, w, "inv-1")
				verdict(t, err, outcome.Rejected, outcome.Refused)
				if r.Work().Intent != nil {
					t.Error("intent stays open after a definite refusal")
				}
				if got := time.Since(start); got != rules.Quiet {
					t.Errorf("the refusal counted after %v, want %v", got, rules.Quiet)
				}
			})
		})
	}
}

func TestInDoubtAndTooOldIsUnknown(t *testing.T) {
	t.Parallel()
	usable := rules.KeyRetention - rules.Margin
	for name, c := range map[string]struct {
		age  time.Duration
		sent bool
	}{
		"just young enough": {usable - time.Millisecond, true},
		"too old":           {usable, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, inherited := range []bool{false, true} {
					j := &journal{}
					a := &api{journal: j, answers: []error{lost(), nil}}
					r, _, _ := do(t, a, attempt.Work{Event: paid}, "inv-1")
					w := r.Work()
					if inherited {
						w = j.restored(t)
					}
					time.Sleep(c.age)
					r, _, err := do(t, a, w, "inv-1")
					if c.sent {
						if err != nil || len(a.keys) != 2 {
							t.Errorf("inherited %v: %d calls, %v; want a repeat", inherited, len(a.keys), err)
						}
						continue
					}
					verdict(t, err, outcome.Unresolved, outcome.KeyExpired)
					if len(a.keys) != 1 || r.Work().Intent == nil {
						t.Errorf("inherited %v: %d calls, intent %v; want none more, and the intent kept", inherited, len(a.keys), r.Work().Intent)
					}
				}
			})
		})
	}
}

// The write of an inherited intent may take so long that the key is too old when it is acknowledged.
func TestAgeIsCheckedAgainAfterTheWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		a := &api{journal: j}
		if _, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1"); err != nil {
			t.Fatal(err)
		}
		w := j.restored(t)
		time.Sleep(rules.KeyRetention - rules.Margin - time.Second)
		j.intend = func(context.Context) error { time.Sleep(time.Second); return nil }
		r, _, err := do(t, a, w, "inv-1")
		verdict(t, err, outcome.Retrying, outcome.Temporary)
		if len(a.keys) != 1 {
			t.Fatalf("%d calls, want no second one", len(a.keys))
		}
		_, _, err = do(t, a, r.Work(), "inv-1")
		verdict(t, err, outcome.Unresolved, outcome.KeyExpired)
	})
}

func TestAnotherBodyIsUnknown(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]string{"same step": "investment", "another step": "credit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{}
			a := &api{journal: j}
			if _, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1"); err != nil {
				t.Fatal(err)
			}
			r := attempt.New(rules, j, j.restored(t))
			_, err := attempt.Do(t.Context(), r, step, nil, func(attempt.Refs) string { return "other" }, a.send)
			if e := outcome.Of(err); e == nil || e.Verdict != outcome.Unresolved || e.Reason != outcome.BodyChanged || e.Step != step {
				t.Errorf("Do gave %v, want unknown since the body changed, in step %s", err, step)
			}
			if len(a.keys) != 1 {
				t.Error("the other body was sent")
			}
		})
	}
}

// Whatever the API says that only a person can resolve keeps the intent: the operator's decision is about it.
func TestUnresolvedKeepsTheIntent(t *testing.T) {
	t.Parallel()
	a := &api{journal: &journal{}, answers: []error{outcome.Unknown(outcome.KeyReused, nil)}}
	r, _, err := do(t, a, attempt.Work{Event: paid}, "inv-1")
	verdict(t, err, outcome.Unresolved, outcome.KeyReused)
	if r.Work().Intent == nil {
		t.Error("the intent is gone")
	}
}
