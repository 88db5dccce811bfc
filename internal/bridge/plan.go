package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"distributor-bridge/handlers"
	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Plan is what an event would make the bridge do, if nothing were known of its customer.
type Plan struct {
	Event   schemas.Event
	Subject string
	Steps   []PlanStep     // in their order, follow-ups last
	Results []string       // types of what would be published at once
	Verdict *outcome.Error // why it would not be done; nil: it would be
}

// PlanStep is a call of the API, or something that is waited for.
type PlanStep struct {
	Follow string // the follow-up that it is part of; empty: the event itself

	// Of a call. IDs that only the API can give stand as {investor}, {wallet} and so on.

	Step      string // name of a call with an effect; with event and generation it makes the key
	Operation string // create_investor
	Method    string
	Path      string
	Key       string          // idempotency key; empty of a GET
	Body      json.RawMessage // personal data; nil if there is none, or if it is a document
	Document  string          // of an upload: media type and size

	// Of waiting.

	Reason outcome.Reason
	On     string // the object that is waited for
}

// MakePlan finds out what an event, in structured mode, would make the bridge do: by its real handler, against a stand-in of
// the API in this process. Nothing is sent anywhere and no document is fetched. An event that breaks the contract is a
// *schemas.InvalidError, one of an unknown type schemas.ErrUnknownType.
func MakePlan(ctx context.Context, c Config, event []byte) (Plan, error) {
	contract, err := schemas.New(c.TypesPrefix)
	if err != nil {
		return Plan{}, err
	}
	e, err := contract.Decode(event, []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}})
	if err == nil {
		err = contract.Validate(e)
	}
	if err != nil {
		return Plan{}, err
	}
	p := &planner{
		plan: Plan{Event: e, Subject: contract.Subject(e)}, rules: c.Rules, prefix: c.API.Prefix, objects: map[string]attempt.Object{},
	}
	defer p.close()
	if err := p.connect(c); err != nil {
		return Plan{}, err
	}
	err = p.make(ctx)
	return p.plan, err
}

// planner makes a plan. It is the journal of the attempts, too: one that remembers objects, and nothing else.
type planner struct {
	plan     Plan
	rules    Rules
	handlers *handlers.Handlers
	api      *standIn
	ends     []func()
	prefix   string // of the API's paths
	objects  map[string]attempt.Object
}

// connect makes handlers that talk to the stand-in. close ends them, also after an error.
func (p *planner) connect(c Config) error {
	p.api = newStandIn(c.Rules.CreditAt)
	p.ends = append(p.ends, p.api.close)
	cfg := c.apiConfig()
	// Of what the configuration says of the API only the paths' prefix counts: no secret is needed, and none is read.
	cfg.BaseURL, cfg.AllowPlainHTTP, cfg.Dial = "http://127.0.0.1"+standInPath, true, p.api.dial
	cfg.ClientID, cfg.ClientSecret, cfg.ClientSecretFile, cfg.Scopes = "plan", "plan", "", nil
	cfg.Observe = p.api.observe
	client, err := distributor.New(cfg)
	if err != nil {
		return err
	}
	p.ends = append(p.ends, client.Close)
	fetcher, err := documents.New(documents.Config{MaxBytes: int64(c.Documents.MaxBytes)}) // no link is allowed: see do
	if err != nil {
		return err
	}
	p.ends = append(p.ends, fetcher.Close)
	p.handlers, err = handlers.New(handlers.Config{
		API: client, Documents: fetcher, Offerings: c.offerings(),
		FinalStatuses: c.Rules.FinalStatuses, CreditAt: c.Rules.CreditAt, CreditByHand: c.Rules.CreditByHand,
	})
	return err
}

func (p *planner) close() {
	for _, end := range slices.Backward(p.ends) {
		end()
	}
}

// make does the event, then the follow-ups that it asks for.
func (p *planner) make(ctx context.Context) error {
	e := p.plan.Event
	event := attempt.Event{
		Source: e.Source, ID: e.ID, Type: e.Name, Customer: e.CustomerID, Subject: p.plan.Subject, Time: e.Time, Data: e.Data,
	}
	run, err := p.do(ctx, attempt.Work{Event: event}, p.handlers.Handle)
	if run == nil || p.plan.Verdict != nil {
		return err
	}
	for _, r := range run.Results() {
		p.plan.Results = append(p.plan.Results, r.Type)
	}
	for _, f := range run.Follows() {
		event.Subject, event.Data = attempt.Subject(f.Key), nil
		if _, err := p.do(ctx, attempt.Work{Event: event, Follow: f.Name}, p.handlers.FollowUp); err != nil {
			return err
		}
	}
	return nil
}

// mostAttempts is more than any event waits and has documents.
const mostAttempts = 50

var errEndless = errors.New("the plan comes to no end: please report this event's type")

// do attempts work until it is done, or given up. What it waits for is noted, and there at the next attempt.
func (p *planner) do(ctx context.Context, w attempt.Work, handle func(context.Context, *attempt.Run) error) (*attempt.Run, error) {
	for range mostAttempts {
		run := attempt.New(attempt.Config{KeyRetention: p.rules.KeyRetention, Margin: p.rules.Margin, Quiet: p.rules.Quiet}, p, w)
		v := outcome.Of(handle(ctx, run))
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		w = run.Work()
		for _, e := range run.Changed() {
			p.objects[e.Key] = e.Object
		}
		p.take(w)
		switch {
		case v == nil:
			return run, nil
		case v.Verdict == outcome.Waiting:
			p.plan.Steps = append(p.plan.Steps, PlanStep{Follow: w.Follow, Reason: v.Reason, On: v.On})
			if !p.provide(v) {
				return run, nil // it is looked at again and again: that is all that can be said
			}
		case v.Reason == outcome.DocumentRefusedLink && v.Step != "":
			p.upload(&w, v.Step)
		default:
			p.plan.Verdict = v
			return run, nil
		}
	}
	return nil, errEndless
}

// take takes what the stand-in was asked for, and names the steps: an answered one by its key.
func (p *planner) take(w attempt.Work) {
	names := map[string]string{}
	for step := range w.Answers {
		names[attempt.Key(w.Event, step, 0).String()] = step
	}
	for _, call := range p.api.taken() {
		call.Follow, call.Step = w.Follow, names[call.Key]
		p.plan.Steps = append(p.plan.Steps, call)
	}
}

// upload stands for that of a document which the event refers to by a link.
func (p *planner) upload(w *attempt.Work, step string) {
	if w.Answers == nil {
		w.Answers = map[string]json.RawMessage{}
	}
	w.Answers[step] = json.RawMessage(`{"id":"` + placeholder("document") + `"}`)
	p.plan.Steps = append(p.plan.Steps, PlanStep{
		Follow: w.Follow, Step: step, Operation: "upload_document", Method: "POST", Path: p.prefix + "/documents/",
		Key: attempt.Key(w.Event, step, 0).String(), Document: "fetched from its link when it is sent",
	})
}

// provide puts into the objects what is waited for; false if nothing but time brings it.
func (p *planner) provide(v *outcome.Error) bool {
	customer := attempt.Customer{InvestorID: placeholder("investor")}
	if known := p.objects[attempt.KeyCustomer].Customer; known != nil {
		customer = *known
	}
	var data struct {
		Company json.RawMessage `json:"company"`
		Wallet  json.RawMessage `json:"wallet"` // an address, or of customer.verified a wish
	}
	_ = json.Unmarshal(p.plan.Event.Data, &data) // it satisfies its schema
	switch v.Reason {
	case outcome.InvestorMissing:
		customer.Company = data.Company != nil
	case outcome.KYCPending:
		customer.KYC = attempt.KYCSuccess
	case outcome.WalletMissing:
		w := attempt.Wallet{ID: placeholder("wallet")}
		w.Managed = json.Unmarshal(data.Wallet, &w.Address) != nil || w.Address == ""
		customer.AddWallet(w)
	case outcome.InvestmentMissing:
		p.objects[v.On] = attempt.Object{Order: &attempt.Order{
			InvestmentID: placeholder("investment"), Status: p.api.creditAt,
		}}
		return true
	default:
		return false
	}
	p.objects[attempt.KeyCustomer] = attempt.Object{Customer: &customer}
	return true
}

// Object gives what the plan has come to so far.
func (p *planner) Object(key string) attempt.Object { return p.objects[key] }

// Processing says that nothing is under way.
func (p *planner) Processing(string) bool { return false }

// Intend writes nothing down.
func (p *planner) Intend(context.Context, attempt.Work, []attempt.Entry) error { return nil }

// Ready lets every call go: to the stand-in.
func (p *planner) Ready(ctx context.Context) (context.Context, error) { return ctx, nil }

// Harmless gives a value of a plan's body that is not personal: an ID of the API's that stands for one to come, and those
// that the configuration names. Else it gives nothing.
func (c *Config) Harmless(value string) string {
	if strings.HasPrefix(value, "{") && slices.Contains(kinds, strings.Trim(value, "{}")) {
		return value
	}
	for name, o := range c.Offerings {
		switch value {
		case o.Campaign:
			return fmt.Sprintf("%s, the campaign of %s", value, name)
		case o.Product:
			return fmt.Sprintf("%s, the product of %s", value, name)
		}
	}
	return ""
}
