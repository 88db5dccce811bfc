package bridge_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/sandbox"
	"distributor-bridge/schemas"
)

// metrics are all that there are, with their labels: dashboards and alerts are made of them. Each stands for distributor_bridge_….
var metrics = map[string]string{
	"api_call_duration_seconds": "operation", "api_calls_in_flight": "", "api_calls_in_flight_limit": "",
	"api_calls_total": "operation,status", "attempts_in_flight": "", "breaker_probes_total": "", "breaker_state": "state",
	"build_info": "go_version,version", "calls_per_second_limit": "", "commits_total": "result", "dead_letters_total": "reason",
	"document_host_down": "host", "event_to_result_seconds": "", "events_total": "outcome,stage,type", "held_events": "reason",
	"held_full": "partition", "held_oldest_age_seconds": "reason", "hints_total": "result", "inbox_lag_records": "partition",
	"inbox_lost": "partition", "inbox_partitions": "", "inbox_to_done_seconds": "", "intake_lag_records": "partition,topic",
	"lanes": "state", "oldest_event_age_seconds": "partition",
	"partitions_assigned": "", "partitions_fenced_total": "", "partitions_owned": "", "partitions_restoring": "",
	"partitions_retaken_total": "reason", "paused_partitions": "type", "ready": "", "rebalances_total": "", "retries_total": "class",
	"state_objects": "partition", "state_restore_duration_seconds": "", "token_age_seconds": "", "token_fetches_total": "result",
	"unresolved_events": "", "watchdog_cures_total": "cause,cure", "window_bytes": "partition", "window_full": "partition",
	"window_records": "partition",
}

// scrape gives what /metrics says, as Prometheus reads it.
func (p *prober) scrape() map[string]*dto.MetricFamily {
	p.t.Helper()
	status, body := p.get("/metrics")
	if status != http.StatusOK {
		p.t.Fatalf("/metrics answers %d: %s", status, body)
	}
	if problems, err := promlint.New(strings.NewReader(body)).Lint(); err != nil || len(problems) > 0 {
		p.t.Errorf("lint: %v %v", problems, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	return families
}

// value gives the value of a number, summed over all with these labels; of a histogram its count.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (sum float64) {
	for _, m := range families["distributor_bridge_"+name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && have[labels[i]] == labels[i+1]
		}
		if fits {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// series gives all series, by name and labels.
func series(families map[string]*dto.MetricFamily) map[string]bool {
	all := map[string]bool{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			all[fmt.Sprint(name, m.GetLabel())] = true
		}
	}
	return all
}

// wave is a load of n customers and their orders, with everything in it that can be counted. It returns when that has settled.
func (w *hintWorld) wave(name string, n int) {
	w.t.Helper()
	for _, fault := range []sandbox.Fault{
		{Operation: "create_investor", Kind: sandbox.Status, Status: http.StatusServiceUnavailable, Count: 2},
		{Operation: "create_managed_wallet", Kind: sandbox.Cut, Applied: true, Count: 1},
		{Operation: "get_investment", Kind: sandbox.Status, Status: http.StatusTeapot, Count: 1},
	} {
		w.api.Fault(fault)
	}
	if err := w.api.NextTask("create_credit", nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskUnknown, Applied: true}); err != nil {
		w.t.Fatal(err)
	}
	var settled []string
	for i := range n {
		customer := fmt.Sprint(name, "-", i)
		v := verified(customer)
		v.Person.Surname += customer
		w.emit(event("person-"+customer, schemas.TypeCustomerVerified, emitted, v),
			event("order-"+customer, schemas.TypeOrderPaid, emitted, order(customer, "o-"+customer, 10)))
		settled = append(settled, "person-"+customer+" wallet.created", "order-"+customer+" investment.created")
	}
	stranger := order(name+"-stranger", "o-"+name, 10)
	wrong := order(name+"-0", "wrong-"+name, 10)
	wrong.Offering = "no-such-thing"
	w.emit(event("early-"+name, schemas.TypeOrderPaid, emitted, stranger), event("wrong-"+name, schemas.TypeOrderPaid, emitted, wrong))
	w.await(append(settled, "early-"+name+" event.waiting", "wrong-"+name+" event.rejected")...)
	for token, want := range map[string]int{hintToken: http.StatusNoContent, "guessed": http.StatusUnauthorized} {
		if status := w.hint(token, uuid.NewString(), "PAID"); status != want {
			w.t.Errorf("a hint is answered with %d", status)
		}
	}
	time.Sleep(5 * time.Minute)
}

// Every metric is there under load, under its name and with its labels, and says what happened; and five times the customers make
// no series more.
func TestEveryMetric(t *testing.T) {
	t.Parallel()
	hinted(t, func(t *testing.T, w *hintWorld) {
		p := newProber(t)
		w.cfg.Rules.PollInterval, w.cfg.Rules.CreditByHand = time.Second, false
		m := w.start(p.serves, w.listens, func(cfg *bridge.Config) {
			cfg.Documents.AllowedHosts, cfg.Version = []string{"docs.example.com"}, "v1.2.3"
		})
		time.Sleep(time.Minute)
		w.wave("few", 10)
		few := p.scrape()
		got := map[string]string{}
		for name, f := range few {
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			got[strings.TrimPrefix(name, "distributor_bridge_")] = strings.Join(labels, ",")
		}
		if !maps.Equal(got, metrics) {
			t.Errorf("metrics are\n%v, want\n%v", got, metrics)
		}
		for _, want := range []struct {
			name   string
			labels []string
			value  float64
		}{
			{"api_calls_total", []string{"operation", "create_investor", "status", "201"}, 10},
			{"api_calls_total", []string{"operation", "create_investor", "status", "503"}, 2},
			{"api_calls_total", []string{"operation", "create_managed_wallet", "status", "no_answer"}, 1},
			{"api_calls_total", []string{"operation", "get_investment", "status", "4xx"}, 1},
			{"api_calls_total", []string{"operation", "token", "status", "200"}, 1},
			{"api_call_duration_seconds", []string{"operation", "create_investor"}, 12},
			{"api_calls_in_flight", nil, 0},
			{"api_calls_in_flight_limit", nil, 64},
			{"retries_total", []string{"class", "server"}, 2},
			{"retries_total", []string{"class", "no_answer"}, 1},
			{"token_fetches_total", []string{"result", "done"}, 1},
			{"token_fetches_total", []string{"result", "refused"}, 0},
			{"partitions_restoring", nil, 0},
			{"hints_total", []string{"result", "taken"}, 1},
			{"hints_total", []string{"result", "unauthorized"}, 1},
			{"unresolved_events", nil, 1},
			{"held_events", []string{"reason", "task_unknown"}, 1},
			{"dead_letters_total", []string{"reason", "unknown_offering"}, 1},
			{"build_info", []string{"version", "v1.2.3"}, 1},
			{"inbox_lag_records", nil, 0},
			{"inbox_partitions", nil, 2},
			{"ready", nil, 1},
			{"intake_lag_records", nil, 0},
		} {
			if got := value(few, want.name, want.labels...); got != want.value {
				t.Errorf("%s %v is %v, want %v", want.name, want.labels, got, want.value)
			}
		}
		if age := value(few, "token_age_seconds"); age < 300 || age > 3600 {
			t.Errorf("the token is %v s old", age)
		}
		w.wave("many", 50)
		many := p.scrape()
		if n := value(many, "api_calls_total", "operation", "create_investor", "status", "201"); n != 60 {
			t.Errorf("%v investors, want 60", n)
		}
		before, after := series(few), series(many)
		for s := range after {
			if !before[s] {
				t.Errorf("five times the customers make %s", s)
			}
		}
		if len(before) > 1500 {
			t.Errorf("%d series", len(before))
		}
		m.stop()
	})
}

// A bridge whose numbers another one of the same registry has already does not run, and leaves that one its numbers.
func TestRegistryOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		w.cfg.Registry = prometheus.NewRegistry()
		first := w.start(p.serves)
		time.Sleep(time.Minute)
		second := w.start()
		<-second.done
		if second.err == nil || !strings.Contains(second.err.Error(), "register the numbers") {
			t.Errorf("the second ended with %v", second.err)
		}
		if n := value(p.scrape(), "ready"); n != 1 {
			t.Errorf("ready is %v of the first, want 1", n)
		}
		first.stop()
	})
}

// ungatherable is a collector with a bug.
type ungatherable struct{}

var brokenDesc = prometheus.NewDesc("broken", "Is.", nil, nil)

func (ungatherable) Describe(ch chan<- *prometheus.Desc) { ch <- brokenDesc }
func (ungatherable) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(brokenDesc, errors.New("it cannot be counted"))
}

// A number that cannot be gathered is told as what it is, not as a client's trouble, and costs no other number.
func TestUngatherable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, p := newPipes(t, sandbox.Config{}), newProber(t)
		w.cfg.Registry = prometheus.NewRegistry()
		w.cfg.Registry.MustRegister(ungatherable{})
		m := w.start(p.serves)
		time.Sleep(time.Minute)
		if n := value(p.scrape(), "ready"); n != 1 {
			t.Errorf("ready is %v, want 1", n)
		}
		m.stop()
		if log := w.log.String(); !strings.Contains(log, "ops: /metrics lacks numbers") || strings.Contains(log, "trouble with a client") {
			t.Errorf("the log is %s", log)
		}
	})
}
