package attempt_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

func TestRepeatableStep(t *testing.T) {
	t.Parallel()
	j := &journal{}
	var keys []uuid.UUID
	answer := errors.New("down")
	send := func(_ context.Context, key uuid.UUID) (string, error) {
		keys = append(keys, key)
		return "doc-1", answer
	}
	upload := func(w attempt.Work) (*attempt.Run, string, error) {
		r := attempt.New(rules, j, w)
		id, err := attempt.Repeat(t.Context(), r, "document/proof", nil, send)
		return r, id, err
	}

	r, _, err := upload(attempt.Work{Event: paid})
	if e := outcome.Of(err); e == nil || e.Verdict != outcome.Retrying || e.Step != "document/proof" {
		t.Fatalf("Repeat gave %v, want a retry that names the step", err)
	}
	answer = nil
	r, id, err := upload(r.Work())
	if err != nil || id != "doc-1" {
		t.Fatalf("Repeat gave %q, %v", id, err)
	}
	if _, id, err = upload(restore(t, r.Work())); err != nil || id != "doc-1" {
		t.Fatalf("Repeat gave %q, %v for a remembered answer", id, err)
	}
	if len(keys) != 2 || keys[0] != keys[1] || keys[0] != attempt.Key(paid, "document/proof", 0) {
		t.Errorf("called with keys %v, want twice the step's key", keys)
	}
	if want := []string{"ready", "ready"}; !slices.Equal(j.log, want) {
		t.Errorf("asked the journal for %q, want %q: no intent, but leave for each call", j.log, want)
	}

	j.ready = errors.New("lease is over")
	if _, _, err := upload(attempt.Work{Event: paid}); !errors.Is(err, j.ready) || len(keys) != 2 {
		t.Errorf("Repeat gave %v after %d calls, want the journal's error and no call", err, len(keys))
	}
}

func TestGenerationIsInTheKey(t *testing.T) {
	t.Parallel()
	a := &api{journal: &journal{}}
	w := attempt.Work{Event: paid, Generation: map[string]int{"investment": 1, "document/proof": 2}}
	r, _, err := do(t, a, w, "inv-1")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.journal.written[0].Intent.Generation; got != 1 {
		t.Errorf("intent of generation %d, want 1", got)
	}
	if a.keys[0] != attempt.Key(paid, "investment", 1) {
		t.Error("the key is not of the step's generation")
	}
	var key uuid.UUID
	_, err = attempt.Repeat(t.Context(), r, "document/proof", nil, func(_ context.Context, k uuid.UUID) (string, error) {
		key = k
		return "doc-1", nil
	})
	if err != nil || key != attempt.Key(paid, "document/proof", 2) {
		t.Errorf("Repeat used key %v, %v; want that of generation 2", key, err)
	}

	// The generation of an open intent stays, whatever the work says by now.
	in := a.journal.restored(t)
	in.Generation = map[string]int{"investment": 5}
	if _, _, err := do(t, a, in, "inv-1"); err != nil || a.keys[1] != a.keys[0] {
		t.Errorf("repeat used key %v, %v; want the intent's", a.keys[1], err)
	}
}

func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	e := func(source, id string) attempt.Event { return attempt.Event{Source: source, ID: id} }
	seen := map[uuid.UUID]int{}
	for i, key := range []uuid.UUID{
		attempt.Key(e("ab", "c"), "d", 0),
		attempt.Key(e("a", "bc"), "d", 0),
		attempt.Key(e("ab", "cd"), "", 0),
		attempt.Key(e("ab", ""), "cd", 0),
		attempt.Key(e("", "ab"), "cd", 0),
		attempt.Key(e("ab", "c"), "d", 1),
		attempt.Key(e("ab", "c"), "d\x01", 0),
		attempt.Key(e("ab\x01c", ""), "d", 0),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("keys %d and %d are the same", other, i)
		}
		seen[key] = i
		if key.Version() != 5 {
			t.Errorf("key %d is a UUID of version %d, want 5", i, key.Version())
		}
	}
	// A key that changes between releases would make a second effect of a step in doubt.
	if got, want := attempt.Key(paid, "investment", 0).String(), "f0e0606e-f976-5589-b417-e76fa25dd262"; got != want {
		t.Errorf("key %s, want %s as in every release before", got, want)
	}
}
