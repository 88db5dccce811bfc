// Package dash holds the dashboard and the alerts of deploy/ to the metrics of a bridge. The dashboard is described here, a panel
// in a few lines (rows.go and its neighbours), and written as deploy/grafana/dashboards/distributor-bridge.json by
// `go test ./dash -run TestDashboardIsWritten -update`: its JSON is mostly what each panel repeats, and is not meant to be reviewed.
package dash

// The form of Grafana's dashboards, as far as it is used: schema version 42, of Grafana 12 and 13. What is left out has
// Grafana's default.

type object = map[string]any

// schemaVersion is Grafana's. Newer Grafanas take older versions.
const schemaVersion = 42

// panel is a panel without its place: rows give it one.
type panel struct {
	title, about string // about is shown at the panel's "i"
	runbook      string // the alert whose runbook entry tells more
	wide, high   int    // in 24ths of the width; in Grafana's units of 30 pixels

	kind     string // of Grafana's panels
	queries  []query
	options  object
	custom   object // of fieldConfig.defaults
	unit     string // of Grafana's units
	decimals *int
	least    *float64
	steps    []step // thresholds, from the second on: the first is green, or none
	base     string
	mapping  object
	paint    map[string]string // colours by legend
	onRight  string            // the legend of a series with an axis of its own
	nothing  string            // what is said if there is no data
	changes  []object          // transformations
}

// query is an expression with the legend of its series. In it $in stands for the variables' matchers.
type query struct {
	expr, legend string
	instant      bool
	format       string
}

// step is the colour from a value on.
type step struct {
	from   float64
	colour string
}

func q(expr, legend string) query { return query{expr: expr, legend: legend} }

// graph is lines over time, in a third of the width.
func graph(title, about, unit string, queries ...query) panel {
	return panel{
		title: title, about: about, unit: unit, kind: "timeseries", wide: 8, high: 8, queries: queries, least: new(float64),
		custom: object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false,
			"stacking": object{"mode": "none", "group": "A"}, "thresholdsStyle": object{"mode": "off"},
		},
		options: object{
			"legend":  object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}

// stacked puts the lines upon one another: their sum says something.
func (p panel) stacked() panel {
	p.custom["stacking"] = object{"mode": "normal", "group": "A"}
	p.custom["fillOpacity"] = 40
	return p
}

// bars shows counts of intervals.
func (p panel) bars() panel {
	p = p.stacked()
	p.custom["drawStyle"], p.custom["fillOpacity"] = "bars", 80
	return p
}

// limit draws a line where an alert's threshold is.
func (p panel) limit(value float64) panel {
	p.steps, p.base = []step{{value, "red"}}, "transparent"
	p.custom["thresholdsStyle"] = object{"mode": "dashed"}
	return p
}

// number is one number with a colour.
func number(title, about, unit, expr string, steps ...step) panel {
	return panel{
		title: title, about: about, unit: unit, kind: "stat", wide: 3, high: 4, steps: steps, base: "green",
		queries: []query{{expr: expr, legend: title}},
		options: object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"colorMode":     "background", "graphMode": "none", "textMode": "value", "justifyMode": "center", "orientation": "auto",
		},
	}
}

// states shows what was when, a bar a series; words are the values' words and colours, from 0 on.
func states(title, about string, words [][2]string, queries ...query) panel {
	return panel{
		title: title, about: about, kind: "state-timeline", wide: 8, high: 8, queries: queries, mapping: valueMap(words),
		base:   "text",
		custom: object{"lineWidth": 0, "fillOpacity": 70},
		options: object{
			"mergeValues": true, "showValue": "never", "rowHeight": 0.8, "alignValue": "left",
			"legend":  object{"showLegend": true, "displayMode": "list", "placement": "bottom"},
			"tooltip": object{"mode": "multi", "sort": "none"},
		},
	}
}

func valueMap(words [][2]string) object {
	options := object{}
	for i, w := range words {
		options[string(rune('0'+i))] = object{"text": w[0], "color": w[1], "index": i}
	}
	return object{"type": "value", "options": options}
}

// heat shows how a histogram's observations spread, over time.
func heat(title, about, expr string) panel {
	return panel{
		title: title, about: about, unit: "s", kind: "heatmap", wide: 8, high: 8,
		queries: []query{{expr: expr, legend: "{{le}}", format: "heatmap"}},
		options: object{
			"calculate": false, "cellGap": 1, "filterValues": object{"le": 1e-9}, "legend": object{"show": true},
			"color": object{
				"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "scale": "exponential", "fill": "dark-orange",
			},
			"yAxis":   object{"unit": "s", "axisPlacement": "left"},
			"tooltip": object{"mode": "single", "yHistogram": false}, "rowsFrame": object{"layout": "auto"},
		},
	}
}

// table shows the labels of series, with the names that columns give.
func table(title, about, expr string, columns map[string]string) panel {
	return panel{
		title: title, about: about, kind: "table", wide: 8, high: 8,
		queries: []query{{expr: expr, instant: true, format: "table"}},
		options: object{"showHeader": true, "cellHeight": "sm"},
		changes: []object{{"id": "organize", "options": object{
			"excludeByName": object{"Time": true, "Value": true, "__name__": true}, "renameByName": columns,
		}}},
	}
}

// The rest are small words for what panels have in common.

func (p panel) width(w int) panel                   { p.wide = w; return p }
func (p panel) see(alert string) panel              { p.runbook = alert; return p }
func (p panel) coloured(by map[string]string) panel { p.paint = by; return p }
func (p panel) words(w ...[2]string) panel          { p.mapping = valueMap(w); return p }
func (p panel) right(legend string) panel           { p.onRight = legend; return p }
func (p panel) otherwise(text string) panel         { p.nothing = text; return p }
func (p panel) whole() panel                        { p.decimals = new(int); return p }

// redBelow turns the colours around: few is bad.
func (p panel) redBelow(least float64) panel {
	p.base, p.steps = "red", []step{{least, "green"}}
	return p
}

// logarithmic is for values that are hundreds of times others.
func (p panel) logarithmic() panel {
	p.least, p.custom["scaleDistribution"] = nil, object{"type": "log", "log": 10}
	return p
}

// ceiling shows the second query in red: what the first cannot pass.
func (p panel) ceiling() panel {
	p.paint = map[string]string{p.queries[1].legend: "red"}
	return p
}
