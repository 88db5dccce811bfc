package attempt_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// Answers are taken into the work when somebody asks for it: whoever asks, and whenever, finds all that there are.
func TestAnswersOfOneAttempt(t *testing.T) {
	t.Parallel()
	j := &journal{}
	a := &api{journal: j}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	call := func(step string) string {
		t.Helper()
		id, err := attempt.Do(t.Context(), r, step, attempt.Refs{"investor": step}, body, a.send)
		if err != nil || !r.Answered(step) {
			t.Fatalf("step %s: error %v, answered: %v", step, err, r.Answered(step))
		}
		return id
	}
	sent := func(w attempt.Work) string {
		steps := make([]string, 0, len(w.Sent))
		for _, s := range w.Sent {
			steps = append(steps, s.Step+"="+string(w.Answers[s.Step]))
		}
		return strings.Join(steps, " ")
	}
	if got := []string{call("a"), call("a"), call("b")}; !slices.Equal(got, []string{"id-1", "id-1", "id-2"}) {
		t.Errorf("answers %v: a step that has its answer was called again", got)
	}
	if got := sent(j.written[1]); got != `a="id-1"` {
		t.Errorf("the second intent wrote %s", got)
	}
	_, err := attempt.Repeat(t.Context(), r, "c", "data", func(context.Context, uuid.UUID) (string, error) { return "id-3", nil })
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	r.Steps(func(step string) { steps = append(steps, step) })
	if want := []string{"a", "b", "c"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	for range 2 {
		if got := sent(r.Work()); got != `a="id-1" b="id-2" c="id-3"` {
			t.Errorf("the work has %s", got)
		}
	}
	attempt.New(rules, j, r.Work()).Steps(func(step string) { t.Errorf("step %s was answered in another attempt", step) })
}

// An answer that state cannot keep is an error, and what was called stays in doubt.
func TestAnswerThatIsNoJSON(t *testing.T) {
	t.Parallel()
	j := &journal{}
	r := attempt.New(rules, j, attempt.Work{Event: paid})
	_, err := attempt.Do(t.Context(), r, "investment", nil, body, func(context.Context, uuid.UUID, string) (func(), error) { return nil, nil })
	if v := outcome.Of(err); v == nil || v.Step != "investment" {
		t.Errorf("error %v", err)
	}
	if r.Answered("investment") || r.Work().Intent == nil {
		t.Error("the step counts as answered")
	}
}
