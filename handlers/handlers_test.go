package handlers_test

import (
	"errors"
	"strings"
	"testing"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// newHandlers makes handlers whose API is nowhere: for what is decided without it.
func newHandlers(t *testing.T) *handlers.Handlers {
	t.Helper()
	api, err := distributor.New(distributor.Config{
		BaseURL: "https://distributor.invalid/api/external", ClientID: "client", ClientSecret: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	fetcher, err := documents.New(documents.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := handlers.New(handlers.Config{API: api, Documents: fetcher})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestConfigNamesAllProblems(t *testing.T) {
	t.Parallel()
	_, err := handlers.New(handlers.Config{
		Offerings:     map[string]handlers.Offering{"bond-2026": {Campaign: "bond", Product: product}, "green-bond": {Campaign: campaign}},
		FinalStatuses: []string{"PAID"},
	})
	if err == nil {
		t.Fatal("New took a configuration without anything")
	}
	for _, problem := range []string{
		"no API client", "no fetcher", "bond-2026: the campaign", "green-bond: the product", "status PAID is final",
	} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("error does not tell %q: %v", problem, err)
		}
	}
	for _, fine := range []string{"bond-2026: the product", "green-bond: the campaign"} {
		if strings.Contains(err.Error(), fine) {
			t.Errorf("error tells %q, which is right: %v", fine, err)
		}
	}
}

// TestEveryTypeHasAHandler gives each type data that cannot be decoded: who has no handler is rejected as unknown.
func TestEveryTypeHasAHandler(t *testing.T) {
	t.Parallel()
	h := newHandlers(t)
	reason := func(typ string) outcome.Reason {
		e := attempt.Event{Source: "/test", ID: "1", Type: typ, Customer: "42", Data: []byte(`"erika@muster.example"`)}
		err := h.Handle(t.Context(), attempt.New(rules, nil, attempt.Work{Event: e}))
		v := outcome.Of(err)
		if v == nil || v.Verdict != outcome.Rejected {
			t.Fatalf("%s: verdict %v, want rejected", typ, v)
		}
		if strings.Contains(err.Error(), "muster") {
			t.Errorf("%s: the error quotes the data: %v", typ, err)
		}
		return v.Reason
	}
	for _, typ := range schemas.EventTypes() {
		if got := reason(typ); got != outcome.Invalid {
			t.Errorf("%s is rejected as %s, want %s", typ, got, outcome.Invalid)
		}
	}
	if got := reason("order.cancelled"); got != outcome.UnknownType {
		t.Errorf("a type of nobody's is rejected as %s, want %s", got, outcome.UnknownType)
	}
}

// A follow-up of a newer release must survive the return to an older one.
func TestUnknownFollowUpIsKept(t *testing.T) {
	t.Parallel()
	r := attempt.New(rules, nil, attempt.Work{Event: attempt.Event{Source: "/test", ID: "1"}, Follow: "dividend"})
	err := newHandlers(t).FollowUp(t.Context(), r)
	if v := outcome.Of(err); v == nil || v.Verdict != outcome.Retrying {
		t.Errorf("verdict %v, want a retry", v)
	}
	var verdict *outcome.Error
	if errors.As(err, &verdict) {
		t.Errorf("the error carries the verdict %v of its own; the default is meant", verdict)
	}
}
