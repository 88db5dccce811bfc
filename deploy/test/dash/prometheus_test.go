package dash

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
)

// server is Prometheus: its storage, engine and rules.
type server struct {
	t       *testing.T
	storage *teststorage.TestStorage
	engine  *promql.Engine
	rules   []*rules.Group
}

func newServer(t *testing.T, s *teststorage.TestStorage) *server {
	t.Helper()
	engine := promqltest.NewTestEngine(t, false, 0, 50_000_000)
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, s), Appendable: s, Queryable: s, Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: promslog.NewNopLogger(),
		Parser: parser.NewParser(parser.Options{}),
	})
	groups, errs := m.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, alertsFile)
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	p := &server{t: t, storage: s, engine: engine}
	for _, g := range groups {
		p.rules = append(p.rules, g)
		for _, r := range g.Rules() {
			if a, ok := r.(*rules.AlertingRule); ok {
				a.SetRestored(true) // else no ALERTS are written
			}
		}
	}
	return p
}

// target are the labels that Prometheus gives the bridge's metrics in the tests.
var target = map[string]string{"namespace": "bridge", "job": "distributor-bridge", "instance": "10.0.0.7:9090"}

// load takes scrapes in, as Prometheus does: with the target's labels, and up.
func (p *server) load(scrapes []scrape) {
	p.t.Helper()
	for _, s := range scrapes {
		app := p.storage.Appender(p.t.Context())
		b := labels.NewBuilder(labels.EmptyLabels())
		add := func(l labels.Labels, value float64) {
			b.Reset(l)
			for name, value := range target {
				b.Set(name, value)
			}
			if _, err := app.Append(0, b.Labels(), s.at.UnixMilli(), value); err != nil {
				p.t.Fatal(err)
			}
		}
		add(labels.FromStrings(model.MetricNameLabel, "up"), 1)
		text, err := textparse.New(s.body, "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
		if err != nil {
			p.t.Fatal(err)
		}
		for {
			entry, err := text.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				p.t.Fatalf("%v in %s", err, bytes.TrimSpace(s.body))
			}
			if entry != textparse.EntrySeries {
				continue
			}
			var l labels.Labels
			_, _, value := text.Series()
			text.Labels(&l)
			add(l, value)
		}
		if err := app.Commit(); err != nil {
			p.t.Fatal(err)
		}
	}
}

// evaluate evaluates the rules once a minute, and tells each alert that fires, each time.
func (p *server) evaluate(from, to time.Time, fires func(alert string, of, annotations labels.Labels)) {
	p.t.Helper()
	for at := from; !at.After(to); at = at.Add(time.Minute) {
		for _, g := range p.rules {
			g.Eval(p.t.Context(), at)
			for _, r := range g.Rules() {
				if err := r.LastError(); err != nil {
					p.t.Fatalf("%s: %v", r.Name(), err)
				}
				a, ok := r.(*rules.AlertingRule)
				if !ok {
					continue
				}
				for _, active := range a.ActiveAlerts() {
					if active.State == rules.StateFiring {
						fires(a.Name(), active.Labels, active.Annotations)
					}
				}
			}
		}
	}
}

// query runs an expression once a minute, and says whether there was ever a number.
func (p *server) query(expr string, from, to time.Time) (some bool, err error) {
	q, err := p.engine.NewRangeQuery(p.t.Context(), p.storage, nil, expr, from, to, time.Minute)
	if err != nil {
		return false, err
	}
	defer q.Close()
	matrix, err := q.Exec(p.t.Context()).Matrix()
	if err != nil {
		return false, err
	}
	for _, series := range matrix {
		for _, point := range series.Floats {
			some = some || !math.IsNaN(point.F)
		}
	}
	return some, nil
}

// has says whether there are series that a selector fits.
func (p *server) has(from, to time.Time, fits ...*labels.Matcher) bool {
	p.t.Helper()
	querier, err := p.storage.Querier(from.UnixMilli(), to.UnixMilli())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = querier.Close() }()
	set := querier.Select(p.t.Context(), false, nil, fits...)
	some := set.Next()
	if err := set.Err(); err != nil {
		p.t.Fatal(err)
	}
	return some
}
