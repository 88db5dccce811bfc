// Package ops answers what tools and people ask a running program: is it alive, is it ready, what does it count.
//
//	/livez          is it to be killed? 200, or 503 with what is stuck. It is about the program's own loops alone: whether
//	                anything else can be reached is no reason to start anew
//	/readyz         has it all that it works with? 200, or 503 with what is missing
//	/metrics        the numbers, for Prometheus
//	/debug/pprof/   profiles, if they are allowed
//
// The answers hold no secrets and no personal data, as long as what the program tells holds none: nobody has to prove who asks.
// It knows nothing of what the program does.
package ops

import (
	"encoding/json"
	"log"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says who knows the answers. Stuck, Missing and Metrics are required, and called by many goroutines.
type Config struct {
	// Stuck names the loops that do not go on; none is well. It must not wait for what may be stuck.
	Stuck func() []string
	// Missing names what is not there yet, or not any more; nothing is ready.
	Missing func() []string
	// Metrics gives the numbers.
	Metrics prometheus.Gatherer
	// Pprof serves profiles, too: whoever asks can slow the program down.
	Pprof bool
	// Log, if set, takes what goes wrong with gathering.
	Log *log.Logger
}

// Limits of /metrics: who asks more often, or for what takes longer, is refused.
const (
	gathering = 4
	gatherFor = 15 * time.Second
)

// New gives the handler of all paths.
func New(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", report("alive", "stuck", cfg.Stuck))
	mux.HandleFunc("GET /readyz", report("ready", "missing", cfg.Missing))
	options := promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: gathering, Timeout: gatherFor,
	}
	if cfg.Log != nil {
		options.ErrorLog = cfg.Log
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Metrics, options))
	if cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // as tools do that ask for many
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// report answers 200 if there is nothing against it, else 503 with what there is: {"ready":false,"missing":["token"]}.
func report(word, against string, ask func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		found := ask()
		status, answer := http.StatusOK, map[string]any{word: len(found) == 0}
		if len(found) > 0 {
			status, answer[against] = http.StatusServiceUnavailable, found
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // the caller may have gone
	}
}
