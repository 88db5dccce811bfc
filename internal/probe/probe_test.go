package probe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/probe"
)

func TestAsk(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		want   string // in the error; "" is none
	}{
		"well":        {http.StatusOK, "ok", ""},
		"not ready":   {http.StatusServiceUnavailable, "state: 3 partitions are being restored\n", "503 Service Unavailable: state: 3 partitions are being restored"},
		"elsewhere":   {http.StatusNotFound, "", "404 Not Found"},
		"a redirect":  {http.StatusFound, "", "302 Found"}, // it may lead to another machine
		"no contents": {http.StatusNoContent, "", "204 No Content"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" || r.Method != http.MethodGet {
					t.Errorf("asked %s %s", r.Method, r.URL)
				}
				w.Header().Set("Location", "/other")
				w.WriteHeader(answer.status)
				if answer.body != "" {
					_, _ = w.Write([]byte(answer.body)) // the client's error would tell
				}
			}))
			defer server.Close()
			err := probe.Ask(t.Context(), server.URL+"/readyz")
			switch {
			case answer.want == "" && err != nil:
				t.Errorf("got %v", err)
			case answer.want != "" && (err == nil || !strings.Contains(err.Error(), answer.want)):
				t.Errorf("got %v, want %q in it", err, answer.want)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if err := probe.Ask(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "nothing answers") {
		t.Errorf("got %v", err)
	}
}

func TestEndsInTime(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := probe.Ask(ctx, server.URL); err == nil {
		t.Error("an answer that never came is taken for good")
	}
}
