package main

import (
	"net/http"
	"regexp"
	"strings"

	"distributor-bridge/internal/sandbox"
)

// call is a request that the API saw.
type call struct {
	sandbox.Call
	step  string // "" of a GET
	path  string // below the prefix, with … for IDs
	shown bool   // a call of that kind has been shown for the event
}

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// lookAtCalls takes what the API has seen since the last look.
func (d *demo) lookAtCalls() {
	for _, c := range d.stage.server.Calls() {
		if c.Seq <= d.calls {
			continue
		}
		d.calls = c.Seq
		if c.Operation == "token" {
			continue
		}
		d.learnObjects()
		ch, name := d.whose(c)
		if ch == nil {
			d.problem("a call of no sample: %s", c.Operation)
			continue
		}
		ch.calls++
		get := "get " + c.Operation
		_, path, _ := strings.Cut(c.Path, "/v2/")
		d.show.call(ch, call{
			Call: c, step: name, path: uuidPattern.ReplaceAllString(path, "…"), shown: c.Method == http.MethodGet && ch.seen[get],
		})
		ch.seen[get] = true
	}
}

// whose finds the event of a call: by its key, or, of a GET, by who made the object that it reads.
func (d *demo) whose(c sandbox.Call) (*chapter, string) {
	if c.Key != "" {
		return d.steps[c.Key].chapter, d.steps[c.Key].name
	}
	ids := uuidPattern.FindAllString(c.Path, -1)
	if len(ids) == 0 {
		return nil, ""
	}
	return d.owners[ids[len(ids)-1]], ""
}

// learnObjects notes whose event made which object.
func (d *demo) learnObjects() {
	effects := d.stage.server.Ledger()
	for _, e := range effects[d.effects:] {
		if s, ok := d.steps[e.Key]; ok && d.owners[e.ObjectID] == nil {
			d.owners[e.ObjectID] = s.chapter
		}
	}
	d.effects = len(effects)
}
