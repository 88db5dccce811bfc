package dash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/teststorage"

	"distributor-bridge/internal/sandbox"
)

// told is what a bridge's metrics told in some hours, and when its trouble began.
type told struct {
	scrapes             []scrape
	start, trouble, end time.Time
}

// live lets a bridge live through half an hour without trouble, then through all kinds of it.
func live(t *testing.T) (all told) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		all.start = time.Now()
		w.live(40*time.Minute, 20*time.Second, func(n int) {
			w.customer(n)
			w.order(n, n, nil)
			w.hint(token)
		})
		all.trouble = time.Now()
		registered := w.events

		// Events that cannot go on: before their customer, of something that is not for sale, with an unknown end.
		w.order(9000, 9000, nil)
		w.order(1, 9001, map[string]any{"offering": "nobody-sells-this"})
		if err := w.api.NextTask("create_redemption", nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskUnknown}); err != nil {
			t.Fatal(err)
		}
		w.emit("position.redeemed/valid-any-wallet", "redeemed-1", "customer-2", map[string]any{"units": 5})
		w.live(10*time.Minute, 30*time.Second, func(int) { w.hint("an old token") })

		// The API takes few calls.
		slow := w.api.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Rate, PerSecond: 2, Burst: 4})
		w.live(5*time.Minute, 5*time.Second, func(n int) { w.customer(n) })
		w.api.Unfault(slow)
		w.live(5*time.Minute, time.Minute, nil)

		// It is down.
		down := w.api.Fault(sandbox.Fault{Operation: sandbox.Resources, Kind: sandbox.Outage})
		w.live(25*time.Minute, 20*time.Second, func(n int) { w.customer(n) })
		w.api.Unfault(down)
		w.live(10*time.Minute, time.Minute, nil)

		// A campaign is closed: orders are refused until their type pauses.
		w.api.Fault(sandbox.Fault{Operation: "create_investment", Kind: sandbox.Status, Status: 400})
		for i := range 80 {
			w.order(1+i%registered, 9100+i, nil)
		}
		w.live(10*time.Minute, time.Minute, nil)
		all.scrapes, all.end = w.scrapes, time.Now()
	})
	return all
}

// What a bridge tells of itself, through trouble, is what the dashboard and the alerts ask for: each of their selectors finds
// series, each of their panels shows something, and the alerts that fire are those of the trouble.
func TestDashboardAndAlertsUnderLoad(t *testing.T) {
	all := live(t)
	p := newServer(t, teststorage.New(t))
	p.load(all.scrapes)

	fired := map[string]bool{}
	note := func(alert string, _, _ labels.Labels) { fired[alert] = true }
	if p.evaluate(all.start.Add(2*time.Minute), all.trouble.Add(-time.Minute), note); len(fired) > 0 {
		t.Errorf("alerts of a bridge that is well: %v", fired)
	}
	p.evaluate(all.trouble, all.end, note)
	want := []string{
		"DistributorBridgeApiDown", "DistributorBridgeApiErrors", "DistributorBridgeDeadLetters", "DistributorBridgeHintsRefused",
		"DistributorBridgeTypePaused", "DistributorBridgeUnresolved",
	}
	if got := slices.Sorted(maps.Keys(fired)); !slices.Equal(got, want) {
		t.Errorf("alerts in trouble: %v, want %v", got, want)
	}

	for where, expr := range expressions(t) {
		t.Run(where, func(t *testing.T) { p.shows(t, where, expr, all.start, all.end) })
	}
}

// expressions gives all that is asked of Prometheus, by where it stands. Grafana's variables have their values.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	variables := strings.NewReplacer(
		"$__rate_interval", "1m", "$__range", "1h", "$namespace", ".*", "$job", "distributor-bridge", "$instance", ".+",
	)
	all := map[string]string{}
	d := readDashboard(t)
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			all[fmt.Sprintf("panel/%d %s/%s", panel.ID, panel.Title, q.RefID)] = variables.Replace(q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		all["annotation"] = variables.Replace(a.Expr)
	}
	for _, v := range d.Templating.List {
		if selector, _, ok := strings.Cut(strings.TrimPrefix(v.Definition, "label_values("), "}, "); ok {
			all["variable/"+v.Name] = variables.Replace(selector + "}")
		}
	}
	for _, r := range readAlerts(t) {
		all["alert/"+r.Alert] = r.Expr
	}
	return all
}

// shows runs an expression. It must find what it selects, whatever it compares it with; a panel's must show something.
func (p *server) shows(t *testing.T, where, expr string, from, to time.Time) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, choice := range choices(s.LabelMatchers) {
			if !p.has(from, to, choice...) {
				t.Errorf("no series fits %v", choice)
			}
		}
		return nil
	})
	some, err := p.query(expr, from, to)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
	}
	if !some && !strings.HasPrefix(where, "alert/") && !strings.Contains(expr, "gomemlimit") {
		t.Errorf("shows nothing: %s", expr)
	}
}

// choices gives a selector once for each value that its matchers name: each has to exist.
func choices(matchers []*labels.Matcher) [][]*labels.Matcher {
	all := [][]*labels.Matcher{nil}
	for _, m := range matchers {
		each := []*labels.Matcher{m}
		if values := m.SetMatches(); m.Type == labels.MatchRegexp && len(values) > 0 {
			each = nil
			for _, v := range values {
				each = append(each, labels.MustNewMatcher(labels.MatchEqual, m.Name, v))
			}
		}
		var next [][]*labels.Matcher
		for _, so := range all {
			for _, m := range each {
				next = append(next, append(slices.Clone(so), m))
			}
		}
		all = next
	}
	return all
}
