package bridge_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

// What the API has made it may not show for a while. Nothing is given up for that: it is looked at until it is there.
func TestNotShownYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newPipes(t, sandbox.Config{Tasks: map[string]sandbox.TaskRule{"create_credit": {Delay: time.Second}}})
		until := time.Now().Add(10 * time.Minute)
		var hidden atomic.Int64
		w.intercept(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || time.Now().After(until) {
					next.ServeHTTP(rw, r)
					return
				}
				hidden.Add(1)
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(http.StatusNotFound)
				_, _ = rw.Write([]byte(`{"detail": "Not found."}`))
			})
		})
		m := w.start()
		events, want := story()
		w.emit(events...)
		w.await(want...)
		m.stop()
		if hidden.Load() == 0 {
			t.Error("nothing was looked at before it was shown")
		}
		wantLetters(t, w, nil, 0)
	})
}
