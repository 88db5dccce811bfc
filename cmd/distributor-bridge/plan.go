package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/replay"
	"distributor-bridge/schemas"
)

type planCommand struct {
	configured
	File    string `arg:"" help:"Event: a CloudEvent in structured mode, JSON; - is standard input."`
	Payload bool   `help:"Show the calls' bodies whole: personal data."`
	JSON    bool   `name:"json" help:"JSON for programs."`
}

// Help is what plan --help says more.
func (planCommand) Help() string {
	return `Shows which calls of the API an event would make, in their order, with their idempotency keys; what it would wait for before
them; and what would be followed up. First it is held to the contract: what is wrong is told as JSON Pointer and keyword.

The event's real handler runs against a stand-in of the API in this process, with the configuration's offerings and rules,
as if nothing were known of the customer. Nothing is sent anywhere, neither brokers nor the API are needed, and documents
are not fetched: whether a link is allowed is not looked at. {investor}, {wallet} and so on stand for IDs that the API gives.

Of the bodies only names and types are shown, unless --payload is given: it shows personal data.

With --json: one object of event_id, source, type, customer, subject, valid, violations (pointer, keyword), steps (step,
operation, method, path, key, document, shape (path, type, value), body with --payload; or reason, on; follow of a
follow-up), results, verdict, reason, fields.

Exit codes: 0 it would be done; 1 failed; 2 wrong use; 4 it breaks the contract, or would be rejected.`
}

// unfitError is that an event would not be done as it is.
type unfitError struct{ error }

// mostEvent is more than any event may be.
const mostEvent = 64 << 20

func (c *planCommand) read(world surroundings) ([]byte, error) {
	in := world.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, usageError{err}
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, mostEvent+1))
	if err == nil && len(text) > mostEvent {
		err = errors.New("larger than any event may be")
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("read %s: %w", c.File, err)}
	}
	return text, nil
}

// Run shows the plan.
func (c *planCommand) Run(ctx context.Context, world surroundings) error {
	cfg, err := c.loadDesk(world)
	if err != nil {
		return err
	}
	text, err := c.read(world)
	if err != nil {
		return err
	}
	plan, err := bridge.MakePlan(ctx, cfg, text)
	page := planPageOf(&plan, &cfg, c.Payload)
	var invalid *schemas.InvalidError
	switch {
	case errors.As(err, &invalid):
		page.Valid = false
		for _, v := range invalid.Violations {
			page.Violations = append(page.Violations, violationLine{v.Pointer, v.Keyword})
		}
	case errors.Is(err, schemas.ErrUnknownType):
		page.Valid, page.Violations = false, []violationLine{{"/type", "unknown"}}
	case err != nil:
		return fmt.Errorf("plan: %w", err)
	}
	if c.JSON {
		err = lines(world, []planPage{page})
	} else {
		err = page.show(screenOf(world))
	}
	switch {
	case err != nil:
		return err
	case !page.Valid:
		return unfitError{errors.New("the event breaks the contract: nothing would be done")}
	case page.Verdict != "":
		return unfitError{fmt.Errorf("the event would not be done: %s (%s)", replay.Words(plan.Verdict.Reason), page.Reason)}
	}
	return nil
}

// planPage is a plan as JSON.
type planPage struct {
	Kind       string          `json:"kind"`
	EventID    string          `json:"event_id,omitempty"`
	Source     string          `json:"source,omitempty"`
	Type       string          `json:"type,omitempty"`
	Customer   string          `json:"customer,omitempty"`
	Subject    string          `json:"subject,omitempty"`
	Valid      bool            `json:"valid"`
	Violations []violationLine `json:"violations,omitempty"`
	Steps      []planLine      `json:"steps"`
	Results    []string        `json:"results"`
	Verdict    string          `json:"verdict,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Fields     []string        `json:"fields,omitempty"`
}

type violationLine struct {
	Pointer string `json:"pointer"`
	Keyword string `json:"keyword"`
}

type planLine struct {
	Follow    string          `json:"follow,omitempty"`
	Step      string          `json:"step,omitempty"`
	Operation string          `json:"operation,omitempty"`
	Method    string          `json:"method,omitempty"`
	Path      string          `json:"path,omitempty"`
	Key       string          `json:"key,omitempty"`
	Document  string          `json:"document,omitempty"`
	Shape     []shapeLine     `json:"shape,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	On        string          `json:"on,omitempty"`
}

type shapeLine struct {
	Path  string `json:"path"`
	Type  string `json:"type"`
	Value string `json:"value,omitempty"` // of IDs that are not personal
}

func planPageOf(plan *bridge.Plan, cfg *bridge.Config, payload bool) planPage {
	e := plan.Event
	page := planPage{
		Kind: "plan", EventID: e.ID, Source: e.Source, Type: e.Name, Customer: e.CustomerID, Subject: plan.Subject, Valid: true,
		Steps: []planLine{}, Results: append([]string{}, plan.Results...),
	}
	for _, s := range plan.Steps {
		line := planLine{
			Follow: s.Follow, Step: s.Step, Operation: s.Operation, Method: s.Method, Path: s.Path, Key: s.Key, Document: s.Document,
			Reason: string(s.Reason), On: s.On,
		}
		// All names of a body are the API's own.
		fields, _ := replay.Shape(s.Body, func(string) bool { return true }, cfg.Harmless)
		for _, f := range fields {
			line.Shape = append(line.Shape, shapeLine(f))
		}
		if payload {
			line.Body = s.Body
		}
		page.Steps = append(page.Steps, line)
	}
	if v := plan.Verdict; v != nil {
		page.Verdict, page.Reason, page.Fields = v.Verdict.String(), string(v.Reason), v.Fields
	}
	return page
}

// show shows it to people.
func (p *planPage) show(s screen) error {
	if !p.Valid {
		fmt.Fprintln(s.out, s.paint(red, "The event breaks the contract"))
		rows := make([][]cell, len(p.Violations))
		for i, v := range p.Violations {
			if v.Pointer == "" {
				v.Pointer = "(the event)"
			}
			rows[i] = plain("  "+v.Pointer, v.Keyword)
		}
		return s.table([]column{{title: "  WHERE", worth: 1}, {title: "RULE", worth: 1}}, rows)
	}
	fmt.Fprintf(s.out, "%s\n", s.paint(bold, clean(p.Type+" "+p.EventID)))
	if err := s.details("", []detail{
		{"source", p.Source, ""}, {"customer", p.Customer, ""}, {"subject", p.Subject, ""}, {"contract", "kept", green},
	}); err != nil {
		return err
	}
	follow := ""
	for i, step := range p.Steps {
		if step.Follow != follow {
			follow = step.Follow
			name, _, _ := strings.Cut(follow, "/")
			fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "Follow-up: "+name))
		}
		if err := step.show(s, i+1); err != nil {
			return err
		}
	}
	end := strings.Join(p.Results, ", ")
	if p.Verdict != "" {
		end = "event." + p.Verdict
	}
	if end == "" {
		end = "none of its own"
	}
	_, err := fmt.Fprintf(s.out, "\nResults of the event itself: %s\n", end)
	return err
}

func (l *planLine) show(s screen, number int) error {
	if l.Reason != "" {
		text := "is looked at again until it ends"
		if l.On != "" {
			text = "waits for " + l.On + ", unless it is there already"
		}
		_, err := fmt.Fprintf(s.out, "\n%2d  %s\n", number, s.paint(yellow, clean(text+" ("+l.Reason+")")))
		return err
	}
	fmt.Fprintf(s.out, "\n%2d  %s %s\n", number, s.paint(bold, l.Method), clean(l.Path))
	list := []detail{{"operation", l.Operation, ""}, {"step", l.Step, ""}, {"key", l.Key, ""}, {"document", l.Document, ""}}
	if l.Body == nil {
		for _, f := range l.Shape {
			value := f.Type
			if f.Value != "" {
				value = f.Value
			}
			list = append(list, detail{f.Path, value, dim})
		}
	}
	if err := s.details("    ", list); err != nil {
		return err
	}
	if l.Body != nil {
		fmt.Fprintf(s.out, "    %s\n", strings.ReplaceAll(indented(l.Body), "\n", "\n    "))
	}
	return nil
}
