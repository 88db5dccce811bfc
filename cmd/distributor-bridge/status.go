package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type statusCommand struct {
	reading
	Customer string `arg:"" help:"Customer ID; or order/ID, whose customer is looked for."`
	Order    string `arg:"" optional:"" help:"Order ID: of this order only."`
	Since    moment `default:"7d" placeholder:"WHEN" help:"Results from then on: how long ago (2h, 7d), a date, or a time of RFC 3339. Default: 7d."`
}

// Help is what status --help says more.
func (statusCommand) Help() string {
	return `Shows what happened to a customer or an order (what there is at the provider, with its IDs and statuses there), what it
waits for and since when, what comes next, which results were published, and which of its events were given up and still stand so.

Whether the bridge is calling the API at all just now is known to its members alone.

order/ID alone looks for the order with all customers: that reads all of the state topic.

With --json: one object a customer: customer, order, objects (key, and customer, order, position or wallet; none if it is yet
to come into being), held (as held list), results (time, type, subject, id, causation_id, causation_source, data), dead_letters
(as dead list).

` + readingHelp + `

` + foundCodes
}

// Run shows it.
func (c *statusCommand) Run(ctx context.Context, world surroundings) error {
	order, alone := strings.CutPrefix(c.Customer, "order/")
	if alone && c.Order != "" {
		return usageError{errors.New("give a customer and an order, or order/ID alone")}
	}
	var found []replay.Status
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		if alone {
			found, err = d.Order(ctx, order, c.Since.Time)
			return err
		}
		one, err := d.Customer(ctx, c.Customer, strings.TrimPrefix(c.Order, "order/"), c.Since.Time)
		found = []replay.Status{one}
		return err
	})
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(s replay.Status) bool { return !s.Known() })
	if len(found) == 0 {
		return notFoundError{fmt.Errorf(
			"nothing is known of %s: no event about it has been worked on yet, and what is still to be done is not looked at "+
				"(topics list counts it; an order is asked for as order/ID)",
			strings.TrimSpace(c.Customer+" "+c.Order))}
	}
	if c.JSON {
		pages := make([]statusPage, len(found))
		for i := range found {
			pages[i] = statusPageOf(&found[i])
		}
		return lines(world, pages)
	}
	s := screenOf(world)
	for i := range found {
		if i > 0 {
			fmt.Fprintln(world.stdout)
		}
		if err := c.show(s, &found[i]); err != nil {
			return err
		}
	}
	return nil
}

// statusPage is a Status as JSON.
type statusPage struct {
	Kind     string       `json:"kind"`
	Customer string       `json:"customer"`
	Order    string       `json:"order,omitempty"`
	Objects  []objectLine `json:"objects"`
	Held     []heldLine   `json:"held"`
	Results  []resultLine `json:"results"`
	Letters  []letterLine `json:"dead_letters"`
}

type resultLine struct {
	Time        time.Time       `json:"time"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject,omitempty"`
	ID          string          `json:"id"`
	Cause       string          `json:"causation_id,omitempty"`
	CauseSource string          `json:"causation_source,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
}

func statusPageOf(s *replay.Status) statusPage {
	p := statusPage{
		Kind: "status", Customer: s.Customer, Order: s.Order, Objects: []objectLine{}, Held: heldLines(s.Held),
		Results: []resultLine{}, Letters: []letterLine{},
	}
	for _, o := range s.Objects {
		p.Objects = append(p.Objects, objectLineOf(o))
	}
	for _, r := range s.Results {
		p.Results = append(p.Results, resultLine(r))
	}
	for i := range s.Letters {
		p.Letters = append(p.Letters, letterLineOf(&s.Letters[i]))
	}
	return p
}

func (c *statusCommand) show(s screen, st *replay.Status) error {
	title := "Customer " + st.Customer
	if st.Order != "" {
		title = "Order " + st.Order + " of customer " + st.Customer
	}
	fmt.Fprintf(s.out, "%s\n\n%s\n", s.paint(bold, clean(title)), s.paint(bold, "What there is at the provider"))
	if err := s.details("  ", happened(st)); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "What it waits for, and what comes next"))
	if err := s.details("  ", pending(st)); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "Results published since "+stamp(c.Since.Time)))
	if err := resultTable(s, st.Results); err != nil {
		return err
	}
	if len(st.Letters) == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, "Given up, and still open"))
	return s.details("  ", givenUp(st.Letters))
}

// pending tells of each thing held: what, why, since when, and what comes next.
func pending(st *replay.Status) []detail {
	var list []detail
	for i := range st.Held {
		h := &st.Held[i]
		var sentences []string
		if h.Reason != "" {
			sentences = append(sentences, fmt.Sprintf("%s since %s: %s", h.Verdict, stamp(h.Since), replay.Words(h.Reason)))
		} else {
			sentences = append(sentences, strings.ReplaceAll(h.Verdict, "_", " "))
		}
		if h.Verdict == replay.HeldBehind {
			sentences[0] = count(h.Count, "event", "events") + " behind an earlier one that retries or is unknown"
		}
		if h.Tries > 0 {
			sentences = append(sentences, fmt.Sprintf("%s failed since %s", count(h.Tries, "try", "tries"), stamp(h.Failed)))
		}
		if in := intentWords(h); in != "" {
			sentences = append(sentences, "step "+in)
		}
		sentences = append(sentences, next(h))
		if h.ID != "" {
			sentences = append(sentences, "event "+h.ID)
		}
		about := h.Subject
		if w := work(h); w != "" {
			about += ", " + w
		}
		for i, words := range sentences {
			sentences[i] = strings.ToUpper(words[:1]) + words[1:] + "."
		}
		list = append(list, detail{about, strings.Join(sentences, " "), verdictInks[h.Verdict]})
	}
	if len(list) == 0 {
		return []detail{{"nothing", "Nothing is held, and nothing is followed up.", green}}
	}
	return list
}

func givenUp(letters []replay.Letter) []detail {
	var list []detail
	for i := range letters {
		l := &letters[i]
		text := fmt.Sprintf("%s at %s: %s", l.Reason, stamp(l.Failed), replay.Words(l.Reason))
		if where := blame(l); where != "" {
			text += " (" + where + ")"
		}
		list = append(list, detail{cmp.Or(l.Type, "a record"), text + ". Event " + l.Name() + ".", red})
	}
	return list
}

// resultTable writes a row a result.
func resultTable(s screen, results []replay.Result) error {
	if len(results) == 0 {
		_, err := fmt.Fprintln(s.out, "  none")
		return err
	}
	rows := make([][]cell, len(results))
	for i, r := range results {
		rows[i] = plain("  "+stamp(r.Time), r.Type, r.Subject, gist(r.Data), r.Cause)
	}
	return s.table([]column{
		{title: "  TIME", worth: 2}, {title: "RESULT", worth: 2}, {title: "SUBJECT"}, {title: "WHAT"}, {title: "EVENT", worth: 1},
	}, rows)
}

// gist gives what in a result's data says most.
func gist(data json.RawMessage) string {
	var fields struct {
		Status string   `json:"status"`
		KYC    string   `json:"kyc_status"`
		Kind   string   `json:"kind"`
		Reason string   `json:"reason"`
		Step   string   `json:"step"`
		Code   string   `json:"code"`
		Fields []string `json:"fields"`
		Parts  []string `json:"parts"`
		ByHand bool     `json:"by_hand"`
	}
	if json.Unmarshal(data, &fields) != nil { // a field may be of another kind in a newer contract; the rest was read
		fields.ByHand = false
	}
	words := []string{cmp.Or(fields.Reason, fields.KYC, fields.Status, fields.Kind), fields.Step, fields.Code}
	if fields.ByHand {
		words = append(words, "by hand")
	}
	words = append(append(words, fields.Fields...), fields.Parts...)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// happened tells what there is at the provider.
func happened(st *replay.Status) []detail {
	var list []detail
	add := func(name string, words ...string) {
		list = append(list, detail{name, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", "), ""})
	}
	for _, o := range st.Objects {
		if cu := o.Customer; cu != nil {
			add("investor", cmp.Or(cu.InvestorID, "none yet"), map[bool]string{true: "company", false: "person"}[cu.Company],
				flagged("registration not finished", cu.Unfinished))
			add("KYC", cu.KYC, dated("since", cu.KYCSince))
			for _, w := range cu.Wallets {
				add("wallet", w.ID, w.Address, flagged("managed", w.Managed))
			}
			for _, part := range slices.Sorted(maps.Keys(cu.Parts)) {
				add("data: "+strings.ReplaceAll(part, "_", " "), "as of "+stamp(cu.Parts[part]))
			}
		}
		if w := o.Wallet; w != nil {
			add("wallet", w.ID, w.Address)
		}
		if or := o.Order; or != nil {
			add(o.Key, "investment "+cmp.Or(or.InvestmentID, "not created yet"), or.Status, dated("since", or.Since),
				flagged(neverKnown, or.GivenUp))
			switch {
			case or.CreditTask != "":
				add(o.Key+" credit", "task "+or.CreditTask, or.CreditStatus)
			case or.CreditStatus != "":
				add(o.Key+" credit", or.CreditStatus, "by hand")
			case or.InvestmentID != "" && !or.Credit:
				add(o.Key+" credit", "not released yet")
			}
		}
		if p := o.Position; p != nil {
			add(o.Key, "task "+cmp.Or(p.TaskID, "not begun yet"), p.Status, dated("since", p.Since), flagged(neverKnown, p.GivenUp))
		}
	}
	if len(list) == 0 {
		return []detail{{"nothing", "The provider knows nothing of it yet.", yellow}}
	}
	return list
}

// neverKnown is what is said of what was given up as unknown.
const neverKnown = "given up: it is not known whether it happened"

func flagged(word string, is bool) string {
	if is {
		return word
	}
	return ""
}

func dated(word string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return word + " " + stamp(t)
}
