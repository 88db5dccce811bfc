package ops_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"distributor-bridge/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A pulse tells of a loop that has ended before its time, of what a look has found, and of a look that does not come back; an end
// that was asked for, or an error that ends the program anyway, is none of it.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p ops.Pulse
		says := func(want ...string) {
			t.Helper()
			if got := p.Stuck(); !slices.Equal(got, want) {
				t.Errorf("stuck is %q, want %q", got, want)
			}
		}
		says() // nobody looks yet
		ctx, cancel := context.WithCancel(t.Context())
		found := make(chan []string)
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			p.Watch(ctx, func() []string { return <-found })
		}()
		time.Sleep(5 * time.Second)
		found <- nil
		synctest.Wait()
		time.Sleep(35 * time.Second) // five until the next look, which takes thirty
		says()
		time.Sleep(time.Second)
		says("watchdog: it has not come round for 36s")
		found <- []string{"a worker"}
		synctest.Wait()
		says("a worker")

		if err := p.Run(ctx, "broken", func(context.Context) error { return errors.New("broken") }); err == nil {
			t.Error("the error is gone")
		}
		says("a worker")
		_ = p.Run(ctx, "done", func(context.Context) error { return nil })
		says("done: it has ended", "a worker")
		close(found) // all is well, from now on
		time.Sleep(5 * time.Second)
		cancel()
		<-watched
		_ = p.Run(ctx, "stopped", func(context.Context) error { return nil })
		says("done: it has ended")
	})
}

// What cannot be gathered is left out of the numbers, and the rest is told; an answer is of its moment.
func TestAnswers(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(broken{}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "well", Help: "Is."}, func() float64 { return 1 }))
	var stuck, missing []string
	h := ops.New(ops.Config{
		Stuck: func() []string { return stuck }, Missing: func() []string { return missing }, Metrics: registry,
	})
	for _, step := range []struct {
		path           string
		stuck, missing []string
		status         int
		body           string
	}{
		{"/livez", nil, []string{"token"}, http.StatusOK, `{"alive":true}` + "\n"},
		{"/readyz", nil, []string{"token", "state"}, http.StatusServiceUnavailable, `{"missing":["token","state"],"ready":false}` + "\n"},
		{"/readyz", []string{"loop"}, nil, http.StatusOK, `{"ready":true}` + "\n"},
		{"/livez", []string{"loop"}, nil, http.StatusServiceUnavailable, `{"alive":false,"stuck":["loop"]}` + "\n"},
		{"/metrics", nil, nil, http.StatusOK, "# HELP well Is.\n# TYPE well gauge\nwell 1\n"},
	} {
		stuck, missing = step.stuck, step.missing
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, step.path, http.NoBody))
		if r.Code != step.status || r.Body.String() != step.body {
			t.Errorf("%s answers %d %s", step.path, r.Code, r.Body)
		}
		if step.path != "/metrics" && r.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", step.path)
		}
	}
}

// broken is a collector that cannot be gathered.
type broken struct{}

func (broken) Describe(ch chan<- *prometheus.Desc) {
	ch <- prometheus.NewDesc("broken", "Is.", nil, nil)
}

func (b broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "Is.", nil, nil), errors.New("broken"))
}
