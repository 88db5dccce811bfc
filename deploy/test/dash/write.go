package dash

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// runbook is where the runbook is published: a placeholder, the same as in the alerts, for the deployment to replace.
const runbook = "https://runbooks.example.com/distributor-bridge"

// matchers are what $in stands for: the dashboard's variables.
const matchers = `namespace=~"$namespace",job=~"$job",instance=~"$instance"`

// expression gives a query as Grafana gets it.
func (q query) expression() string { return strings.ReplaceAll(q.expr, "$in", matchers) }

// write gives the dashboard as Grafana reads it.
func write(rows []row) ([]byte, error) {
	var panels []object
	id, y := 0, 0
	place := func(o object, x, w, h int) {
		id++
		o["id"], o["gridPos"] = id, object{"x": x, "y": y, "w": w, "h": h}
		panels = append(panels, o)
	}
	for _, r := range rows {
		place(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, 24, 1)
		y++
		x := 0
		for i, p := range r.panels {
			place(p.json(), x, p.wide, p.high)
			if x += p.wide; x >= 24 || i == len(r.panels)-1 {
				x, y = 0, y+p.high
			}
		}
	}
	whole, err := encode(object{
		"uid": "distributor-bridge", "title": "Distributor Bridge", "schemaVersion": schemaVersion,
		"description": "Events on their way to the Distributor API. From top to bottom: is it healthy, what becomes of events, what " +
			"waits, and then what it may be due to.",
		"tags": []string{"distributor-bridge", "kafka"}, "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "",
		"time": object{"from": "now-3h", "to": "now"},
		"links": []object{{
			"title": "Runbook", "type": "link", "icon": "doc", "url": runbook, "targetBlank": true, "asDropdown": false,
			"includeVars": false, "keepTime": false, "tags": []string{},
			"tooltip": "Symptom, cause and action of each alert",
		}},
		"templating":  object{"list": variables()},
		"annotations": object{"list": []object{starts()}},
		"panels":      nil,
	}, "  ")
	if err != nil {
		return nil, err
	}
	each := make([]string, len(panels)) // a line each, so that a difference shows which have changed
	for i, p := range panels {
		line, err := encode(p, "")
		if err != nil {
			return nil, err
		}
		each[i] = "    " + strings.TrimSpace(line)
	}
	const none = `"panels": null`
	return []byte(strings.Replace(whole, none, "\"panels\": [\n"+strings.Join(each, ",\n")+"\n  ]", 1)), nil
}

func encode(o object, indent string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(o)
	return b.String(), err
}

var source = object{"type": "prometheus", "uid": "${datasource}"}

// variables choose the datasource, then the deployment, then the member.
func variables() []object {
	all := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}}
	chosen := ""
	for _, v := range [][2]string{{"namespace", "Namespace"}, {"job", "Job"}, {"instance", "Member"}} {
		values := "label_values(distributor_bridge_build_info{" + chosen + "}, " + v[0] + ")"
		variable := object{
			"name": v[0], "label": v[1], "type": "query", "datasource": source,
			"query": object{"query": values, "refId": "variable", "qryType": 1}, "definition": values,
			"refresh": 2, "sort": 1, "multi": true, "includeAll": true,
			"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
		}
		if v[0] == "namespace" {
			variable["allValue"] = ".*" // outside Kubernetes there is no such label; all jobs are those of bridges
		}
		all = append(all, variable)
		chosen = strings.TrimPrefix(chosen+","+v[0]+`=~"$`+v[0]+`"`, ",")
	}
	return all
}

// startsOf finds when members started.
const startsOf = `process_start_time_seconds{$in} * 1000`

// starts marks them in all panels: a deployment, or a crash.
func starts() object {
	return object{
		"name": "Member starts", "datasource": source, "enable": true, "iconColor": "blue", "expr": query{expr: startsOf}.expression(),
		"step": "60s", "titleFormat": "{{instance}} started", "useValueForTime": "on",
	}
}

func (p panel) json() object {
	defaults := object{"unit": p.unit, "custom": p.custom, "mappings": []object{}}
	if p.custom == nil {
		delete(defaults, "custom")
	}
	if p.unit == "" {
		delete(defaults, "unit")
	}
	if p.mapping != nil {
		defaults["mappings"] = []object{p.mapping}
	}
	if p.least != nil {
		defaults["min"] = *p.least
	}
	if p.nothing != "" {
		defaults["noValue"] = p.nothing
	}
	if p.decimals != nil {
		defaults["decimals"] = *p.decimals
	}
	if p.base != "" {
		steps := []object{{"color": p.base, "value": nil}}
		for _, s := range p.steps {
			steps = append(steps, object{"color": s.colour, "value": s.from})
		}
		defaults["thresholds"] = object{"mode": "absolute", "steps": steps}
	}
	o := object{
		"type": p.kind, "title": p.title, "description": p.about, "datasource": source, "options": p.options,
		"fieldConfig": object{"defaults": defaults, "overrides": p.overrides()}, "targets": p.targets(),
	}
	if p.runbook != "" {
		o["links"] = []object{{"title": "Runbook: " + p.runbook, "url": runbook + "#" + anchor(p.runbook), "targetBlank": true}}
	}
	if p.changes != nil {
		o["transformations"] = p.changes
	}
	return o
}

func (p panel) targets() (targets []object) {
	for i, q := range p.queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expression()}
		if q.legend != "" {
			t["legendFormat"] = q.legend
		}
		if q.format != "" {
			t["format"] = q.format
		}
		t["instant"], t["range"] = q.instant, !q.instant
		targets = append(targets, t)
	}
	return targets
}

// overrides give series their colours and axes.
func (p panel) overrides() []object {
	all := []object{}
	if p.onRight != "" {
		all = append(all, object{
			"matcher":    object{"id": "byName", "options": p.onRight},
			"properties": []object{{"id": "custom.axisPlacement", "value": "right"}},
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.paint)) {
		all = append(all, object{
			"matcher":    object{"id": "byName", "options": name},
			"properties": []object{{"id": "color", "value": object{"mode": "fixed", "fixedColor": p.paint[name]}}},
		})
	}
	return all
}

// anchor gives the place of an alert's entry in the runbook: its heading is the alert's name.
func anchor(alert string) string { return strings.ToLower(alert) }
