package distributor_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// A token that is tried for is not used, and one that is refused leaves calls alone.
func TestTryToken(t *testing.T) {
	t.Parallel()
	a := newAPI(t, created)
	c := a.client()
	news, err := c.TryToken(t.Context(), []string{"investors:read"})
	if err != nil || news.Lifetime <= 0 || news.Lifetime > time.Hour {
		t.Errorf("%+v, %v", news, err)
	}
	if _, err := c.CreateInvestor(context.Background(), newKey(), distributor.Investor{}); err != nil {
		t.Error(err)
	}
	if n := a.granted(); n != 2 {
		t.Errorf("%d tokens: the one that was tried for is in use", n)
	}
	refusing := newAPI(t, created)
	refusing.token = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		says(http.StatusUnauthorized, `{"error": "invalid_client"}`)(w, r)
	}
	_, err = refusing.client().TryToken(t.Context(), nil)
	e := outcome.Of(err)
	if e == nil || e.Status != http.StatusUnauthorized || e.Code != "invalid_client" || e.Class != outcome.ClassUnauthorized {
		t.Errorf("refused: %v", err)
	}
}
