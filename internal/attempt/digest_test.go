package attempt_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"distributor-bridge/internal/attempt"
)

// Digests are compared with those in state, which older bridges have written: each one is of the event's identity and of the body as
// json.Marshal gives it, whatever was digested before or is at the same time.
func TestDigestIsThatOfOlderBridges(t *testing.T) {
	t.Parallel()
	bodies := []any{
		nil, "", "a", "<b> & \"c\"\u2028\n", strings.Repeat("long ", 20_000), 42, []string{}, map[string]int{"b": 1, "a": 2},
		json.RawMessage("{ \"a\" :\t\"<\" }\n"),
		struct {
			Name string   `json:"name,omitempty"`
			Of   []string `json:"of"`
			Yes  *bool    `json:"yes"`
		}{Of: []string{"ü", "\x00"}},
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 100 {
				event := attempt.Event{Source: strings.Repeat("s", n), ID: fmt.Sprint(i)}
				if _, err := digestOf(t, event, math.NaN()); err == nil {
					t.Error("what JSON cannot tell has a digest")
				}
				body := bodies[(n+i)%len(bodies)]
				raw, err := json.Marshal(body)
				if err != nil {
					t.Error(err)
				}
				sum := sha256.Sum256([]byte(event.Source + "\x00" + event.ID + "\x00" + string(raw)))
				if got, err := digestOf(t, event, body); got != hex.EncodeToString(sum[:16]) || err != nil {
					t.Errorf("event %q %q, body %.40q: digest %s, %v", event.Source, event.ID, raw, got, err)
				}
			}
		})
	}
	all.Wait()
}

// digestOf gives the digest that an intent to send the body has.
func digestOf(t *testing.T, event attempt.Event, body any) (string, error) {
	j := &journal{}
	_, err := attempt.Do(t.Context(), attempt.New(rules, j, attempt.Work{Event: event}), "step", nil,
		func(attempt.Refs) any { return body }, func(context.Context, uuid.UUID, any) (string, error) { return "", nil })
	if err != nil {
		return "", err
	}
	return j.written[0].Intent.Digest, nil
}
