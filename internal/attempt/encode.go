package attempt

import "distributor-bridge/internal/outcome"

// Object appends the fields of o to the object that is open.
func (e *Encoder) Object(o *Object) {
	if o.Customer != nil {
		e.Name("customer")
		e.customer(o.Customer)
	}
	if o.Order != nil {
		e.Name("order")
		e.order(o.Order)
	}
	if o.Position != nil {
		e.Name("position")
		e.position(o.Position)
	}
	if o.Wallet != nil {
		e.Name("wallet")
		e.wallet(o.Wallet)
	}
}

func (e *Encoder) customer(c *Customer) {
	e.Open('{')
	e.text("investor", c.InvestorID)
	e.flag("company", c.Company)
	e.flag("persons", c.Persons)
	e.text("kyc", c.KYC)
	e.moment("kyc_since", c.KYCSince)
	List(e, "wallets", c.Wallets, e.wallet)
	e.number("more", c.More)
	table(e, "parts", c.Parts, e.Time)
	e.text("registered", c.Registered)
	e.flag("unfinished", c.Unfinished)
	e.Close('}')
}

func (e *Encoder) wallet(w *Wallet) {
	e.Open('{')
	e.Name("id")
	e.Text(w.ID)
	e.text("address", w.Address)
	e.flag("managed", w.Managed)
	e.Close('}')
}

func (e *Encoder) order(o *Order) {
	e.Open('{')
	e.Name("digest")
	e.Text(o.Digest)
	e.Name("event")
	e.Text(o.Event)
	e.text("investment", o.InvestmentID)
	e.text("wallet", o.WalletID)
	e.text("status", o.Status)
	e.moment("since", o.Since)
	e.flag("credit", o.Credit)
	e.text("credit_task", o.CreditTask)
	e.text("credit_status", o.CreditStatus)
	e.flag("given_up", o.GivenUp)
	e.Close('}')
}

func (e *Encoder) position(p *Position) {
	e.Open('{')
	e.Name("digest")
	e.Text(p.Digest)
	e.Name("event")
	e.Text(p.Event)
	e.text("task", p.TaskID)
	e.text("status", p.Status)
	e.moment("since", p.Since)
	e.flag("given_up", p.GivenUp)
	e.Close('}')
}

// Work appends w.
func (e *Encoder) Work(w *Work) {
	e.Open('{')
	e.Name("event")
	e.event(&w.Event)
	e.Name("offset")
	e.Int(w.Offset)
	e.text("follow", w.Follow)
	e.number("round", w.Round)
	e.number("held", int(w.Held))
	e.text("reason", string(w.Reason))
	e.text("on", w.On)
	e.moment("since", w.Since)
	e.moment("due", w.Due)
	e.number("tries", w.Tries)
	e.number("panics", w.Panics)
	e.moment("failed", w.Failed)
	e.number("failing", int(w.Failing))
	table(e, "answers", w.Answers, e.Raw)
	List(e, "sent", w.Sent, e.Sent)
	table(e, "generation", w.Generation, func(n int) { e.Int(int64(n)) })
	if w.Intent != nil {
		e.Name("intent")
		e.intent(w.Intent)
	}
	List(e, "told", w.Told, func(r *outcome.Reason) { e.Text(string(*r)) })
	if w.Outcome != nil {
		e.Name("outcome")
		e.Outcome(w.Outcome)
	}
	e.Close('}')
}

// Sent appends s.
func (e *Encoder) Sent(s *Sent) {
	e.Open('{')
	e.Name("step")
	e.Text(s.Step)
	table(e, "refs", s.Refs, e.Text)
	e.Name("digest")
	e.Text(s.Digest)
	e.Close('}')
}

func (e *Encoder) event(ev *Event) {
	e.Open('{')
	e.Name("source")
	e.Text(ev.Source)
	e.Name("id")
	e.Text(ev.ID)
	e.Name("type")
	e.Text(ev.Type)
	e.Name("time")
	e.Time(ev.Time)
	e.text("correlation", ev.Correlation)
	e.text("trace", ev.Trace)
	e.Close('}')
}

func (e *Encoder) intent(in *Intent) {
	e.Open('{')
	e.Name("step")
	e.Text(in.Step)
	e.number("generation", in.Generation)
	e.Name("first_sent")
	e.Time(in.FirstSent)
	e.Name("last_try")
	e.Time(in.LastTry)
	e.flag("ambiguous", in.Ambiguous)
	table(e, "refs", in.Refs, e.Text)
	e.Name("digest")
	e.Text(in.Digest)
	e.Close('}')
}

// Outcome appends o.
func (e *Encoder) Outcome(o *Outcome) {
	e.Open('{')
	e.Name("verdict")
	e.Int(int64(o.Verdict))
	e.Name("time")
	e.Time(o.Time)
	List(e, "results", o.Results, e.result)
	if o.Dead != nil {
		e.Name("dead")
		e.dead(o.Dead)
	}
	e.Close('}')
}

func (e *Encoder) result(r *Result) {
	e.Open('{')
	e.Name("type")
	e.Text(r.Type)
	e.Name("subject")
	e.Text(r.Subject)
	e.Name("data")
	e.Raw(r.Data)
	e.Close('}')
}

func (e *Encoder) dead(d *Dead) {
	e.Open('{')
	e.Name("reason")
	e.Text(string(d.Reason))
	e.text("class", string(d.Class))
	e.text("step", d.Step)
	e.number("status", d.Status)
	e.text("code", d.Code)
	List(e, "fields", d.Fields, func(s *string) { e.Text(*s) })
	e.Name("tries")
	e.Int(int64(d.Tries))
	e.Name("failed")
	e.Time(d.Failed)
	e.Close('}')
}
