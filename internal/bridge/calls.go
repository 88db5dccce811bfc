package bridge

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// calls counts the requests to the API, where the client has classified each once. What there can be of usual answers is made ahead:
// a call costs no search for labels, and a first failure is an increase that alerts can see.
type calls struct {
	usual map[answered]prometheus.Counter
	all   *prometheus.CounterVec // for the others: few, by the hundred that their status is of
	took  map[string]prometheus.Observer
	times *prometheus.HistogramVec

	fetches map[string]prometheus.Counter
	tokens  *prometheus.CounterVec
}

// answered is what a request is counted by: a status, or if there was none why.
type answered struct {
	operation string
	status    int
}

// Statuses that are none.
const (
	noAnswer = -1
	notSent  = 0
)

// usualStatuses have a label value each.
var usualStatuses = []int{
	noAnswer, notSent, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent,
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
	http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// What became of a token's fetch.
const (
	fetchDone    = "done"
	fetchRefused = "refused" // the token endpoint answered, and gave none: what it is asked with has to be mended
	fetchFailed  = "failed"  // it did not answer, or asks for time
)

func newCalls() *calls {
	c := &calls{
		usual: map[answered]prometheus.Counter{}, took: map[string]prometheus.Observer{}, fetches: map[string]prometheus.Counter{},
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "api_calls_total",
			Help: "HTTP requests to the API by operation and status: a code, no_answer (it may have had its effect), or not_sent; rare " +
				"codes by their hundred, such as 5xx.",
		}, []string{"operation", "status"}),
		times: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "api_call_duration_seconds",
			Help:    "Time from a request to the API until its answer was read, or it was given up.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"operation"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "token_fetches_total",
			Help: "Fetches of a token: done, refused (wrong client ID, secret, scopes or address), or failed (no answer, or not now).",
		}, []string{"result"}),
	}
	for _, operation := range distributor.Operations() {
		c.took[operation] = c.times.WithLabelValues(operation)
		for _, status := range usualStatuses {
			c.usual[answered{operation, status}] = c.all.WithLabelValues(operation, statusLabel(status))
		}
	}
	for _, result := range []string{fetchDone, fetchRefused, fetchFailed} {
		c.fetches[result] = c.tokens.WithLabelValues(result)
	}
	return c
}

// statusLabel gives a status's label value.
func statusLabel(status int) string {
	switch status {
	case noAnswer:
		return "no_answer"
	case notSent:
		return "not_sent"
	}
	return strconv.Itoa(status)
}

// observe counts a request.
func (c *calls) observe(call distributor.Call) {
	status := call.Status
	if call.Class == outcome.ClassNoAnswer { // also if its answer broke off after the status
		status = noAnswer
	}
	counter := c.usual[answered{call.Operation, status}]
	if counter == nil {
		counter = c.all.WithLabelValues(call.Operation, strconv.Itoa(status/100)+"xx")
	}
	counter.Inc()
	if took := c.took[call.Operation]; took != nil {
		took.Observe(call.Duration.Seconds())
	}
	if call.Operation == distributor.TokenOperation {
		c.fetches[fetchResult(call.Class)].Inc()
	}
}

func fetchResult(class outcome.Class) string {
	switch class {
	case "":
		return fetchDone
	case outcome.ClassUnauthorized, outcome.ClassEndpoint:
		return fetchRefused
	}
	return fetchFailed
}

// ofCalls gives what there is to tell of calls and tokens.
func (b *Bridge) ofCalls() []prometheus.Collector {
	since := time.Now()
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value)
	}
	return []prometheus.Collector{
		b.calls.all, b.calls.times, b.calls.tokens,
		gauge("api_calls_in_flight", "Calls of the API under way, with those that wait for their turn or for a token.",
			func() float64 { return float64(b.api.InFlight()) }),
		gauge("api_calls_in_flight_limit", "How many there may be at once (rules.max_in_flight).",
			func() float64 { return float64(b.cfg.Rules.MaxInFlight) }),
		gauge("token_age_seconds", "Time since the last token was got; since the start while none has been.", func() float64 {
			if got := b.api.TokenFetched(); !got.IsZero() {
				return time.Since(got).Seconds()
			}
			return time.Since(since).Seconds()
		}),
	}
}
