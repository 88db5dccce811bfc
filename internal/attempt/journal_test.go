package attempt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

var rules = attempt.Config{KeyRetention: 20 * time.Hour, Margin: 10 * time.Minute, Quiet: time.Minute}

var paid = attempt.Event{
	Source: "//shop", ID: "e-1", Type: "order.paid", Customer: "42", Subject: "order/1001",
	Data: json.RawMessage(`{"units":3}`),
}

// journal records what an attempt asks of the consumer, in one list with the calls: their order is the promise.
type journal struct {
	objects map[string]attempt.Object
	log     []string
	written []attempt.Work                  // as Intend got them
	changed [][]attempt.Entry               // as Intend got them
	intend  func(ctx context.Context) error // what the write does; nil: it is acknowledged
	ready   error
}

// Object shares nothing with what is kept.
func (j *journal) Object(key string) attempt.Object {
	o := j.objects[key].Clone()
	if c := o.Customer; c != nil {
		c.Wallets, c.Parts = slices.Clone(c.Wallets), maps.Clone(c.Parts)
	}
	return o
}

func (j *journal) Processing(except string) bool {
	for key, o := range j.objects {
		if key != except && o.Processing() {
			return true
		}
	}
	return false
}

func (j *journal) Intend(ctx context.Context, w attempt.Work, changed []attempt.Entry) error {
	j.log = append(j.log, "intend "+w.Intent.Step)
	if j.intend != nil {
		if err := j.intend(ctx); err != nil {
			return err
		}
	}
	j.written = append(j.written, w)
	j.changed = append(j.changed, changed)
	return nil
}

func (j *journal) Ready(ctx context.Context) (context.Context, error) {
	j.log = append(j.log, "ready")
	return ctx, j.ready
}

// byKey gives the objects by their keys, of which each has to be there once.
func byKey(t *testing.T, entries []attempt.Entry) map[string]attempt.Object {
	t.Helper()
	objects := map[string]attempt.Object{}
	for _, e := range entries {
		objects[e.Key] = e.Object
	}
	if len(objects) != len(entries) || entries == nil {
		t.Errorf("a key comes twice, or the list is nil: %+v", entries)
	}
	return objects
}

// restored gives the work that the last write left behind, as the next owner reads it from state.
func (j *journal) restored(t *testing.T) attempt.Work {
	t.Helper()
	if len(j.written) == 0 {
		t.Fatal("nothing was written")
	}
	return restore(t, j.written[len(j.written)-1])
}

// restore gives work as another owner reads it from state: through JSON, and in doubt.
func restore(t *testing.T, w attempt.Work) attempt.Work {
	t.Helper()
	raw, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var read attempt.Work
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	read.Event.Customer, read.Event.Subject, read.Event.Data = w.Event.Customer, w.Event.Subject, w.Event.Data
	read.Inherit()
	return read
}

// api answers calls and notes them in the journal's list.
type api struct {
	journal *journal
	keys    []uuid.UUID
	bodies  []string
	answers []error // of the calls in turn, nil for a success; the last one goes on
}

func (a *api) send(_ context.Context, key uuid.UUID, body string) (string, error) {
	a.journal.log = append(a.journal.log, "send "+body)
	a.keys = append(a.keys, key)
	a.bodies = append(a.bodies, body)
	if n := min(len(a.keys), len(a.answers)); n > 0 && a.answers[n-1] != nil {
		return "", a.answers[n-1]
	}
	return fmt.Sprintf("id-%d", len(a.keys)), nil
}

func body(refs attempt.Refs) string { return "for " + refs["investor"] }

// do makes the step "investment" in one attempt at w, for the given investor.
func do(t *testing.T, a *api, w attempt.Work, investor string) (*attempt.Run, string, error) {
	t.Helper()
	r := attempt.New(rules, a.journal, w)
	id, err := attempt.Do(t.Context(), r, "investment", attempt.Refs{"investor": investor}, body, a.send)
	return r, id, err
}

func lost() error    { return outcome.Retry(outcome.ClassNoAnswer, true, errors.New("timeout")) }
func notSent() error { return outcome.Retry(outcome.ClassNotSent, false, errors.New("dial")) }
func refused() error {
	e := outcome.Reject(outcome.Refused, "units")
	e.Class, e.Status = outcome.ClassClient, 400
	return e
}

// verdict fails the test unless err carries the verdict and reason, and names the step.
func verdict(t *testing.T, err error, want outcome.Verdict, reason outcome.Reason) *outcome.Error {
	t.Helper()
	var e *outcome.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v carries no verdict, want %v", err, want)
	}
	if e.Verdict != want || e.Reason != reason {
		t.Fatalf("verdict %v, want %v: %v", e, want, reason)
	}
	if e.Step != "investment" {
		t.Errorf("verdict names step %q, want investment", e.Step)
	}
	return e
}
