package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type heldCommand struct {
	List    heldListCommand    `cmd:"" help:"List or count what is held: events that wait, retry, are unknown or behind another."`
	Show    heldShowCommand    `cmd:"" help:"Show what is held of an event or of a subject: why, since when, what comes next."`
	Resolve heldResolveCommand `cmd:"" help:"Say whether a call happened that nobody knows of."`
	Discard heldDiscardCommand `cmd:"" help:"Give up what is held: it goes to the dead letters."`
}

type heldListCommand struct {
	reading
	filters
	Verdict   []string `placeholder:"VERDICT" help:"Only what is waiting, retrying, unknown, behind, at_work or ended."`
	Event     []string `placeholder:"ID" sep:"none" help:"Of these events only."`
	FollowUps bool     `help:"Also follow-ups that only wait for a status at the provider to change."`
	By        []string `placeholder:"NAME" help:"Count them, by one or more of verdict, reason, type, step, customer, subject, on, follow."`
	Limit     int      `default:"100" help:"How many to show, those held longest; 0: all. JSON shows all."`
}

// Help is what held list --help says more.
func (heldListCommand) Help() string {
	return `Reads the state topic, what is held longest first.

  waiting   for something else to be there: goes on by itself when it is
  retrying  a call failed, and is made again with the same key
  unknown   only a person can say what happened; never repeated by itself
  behind    an earlier event of its subject retries or is unknown; one line
            a subject, with how many they are: their IDs are not known
  at_work   being worked on as the topic was read
  ended     ended, and about to be published

Whether the bridge is calling the API at all just now is known to its members alone. When something is looked at again is
what was written down last; a member may have made looks since that brought nothing new.

With --json each line is an object of "kind":
  held   customer, subject, verdict, count, offset, event_id, source, type,
         emitted_at, follow, reason, on, since, due, tries, first_failed_at,
         given_up, decided, answered, intent (step, generation, first_sent,
         last_try, in_doubt)
  group  by, count, oldest, newest

` + readingHelp + `

Exit codes: 0 shown, be there something or not; 1 failed or interrupted; 2 wrong use.`
}

// query gives what the flags ask for.
func (c *heldListCommand) query() replay.HeldQuery {
	f := c.filter()
	f.Verdicts, f.IDs = c.Verdict, c.Event
	return replay.HeldQuery{Filter: f, FollowUps: c.FollowUps}
}

// Run lists or counts.
func (c *heldListCommand) Run(ctx context.Context, world surroundings) error {
	if _, err := replay.GroupHeld(nil, c.By); len(c.By) > 0 && err != nil {
		return usageError{fmt.Errorf("--by: %w", err)}
	}
	for _, v := range c.Verdict {
		if !slices.Contains(replay.HeldVerdicts(), v) {
			return usageError{fmt.Errorf("--verdict: no %q; there are %s", v, strings.Join(replay.HeldVerdicts(), ", "))}
		}
	}
	var held []replay.Held
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		held, err = d.Held(ctx, c.query())
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case c.JSON && len(c.By) == 0:
		return lines(world, heldLines(held))
	case len(held) == 0 && !c.JSON:
		_, err := fmt.Fprintln(world.stdout, "nothing is held")
		return err
	case len(c.By) > 0:
		list, err := replay.GroupHeld(held, c.By)
		if err != nil {
			return err
		}
		return groups(world, c.JSON, c.By, list)
	}
	return c.table(world, held)
}

func (c *heldListCommand) table(world surroundings, held []replay.Held) error {
	shown := held
	if c.Limit > 0 && len(held) > c.Limit {
		shown = held[:c.Limit]
	}
	if err := heldTable(screenOf(world), shown); err != nil {
		return err
	}
	if more := len(held) - len(shown); more > 0 {
		fmt.Fprintf(world.stdout, "\n%s newer ones are not shown: --limit 0 shows them, --by verdict,reason counts them\n", quantity(more))
	}
	total := 0
	for _, h := range held {
		total += h.Count
	}
	_, err := fmt.Fprintf(world.stdout, "\n%s held; distributor-bridge held show EVENT tells all of one\n", quantity(total))
	return err
}

var verdictInks = map[string]ink{replay.HeldUnknown: red, replay.HeldRetrying: yellow, replay.HeldBehind: dim}

// heldTable writes a row a thing held.
func heldTable(s screen, held []replay.Held) error {
	rows := make([][]cell, len(held))
	for i := range held {
		h := &held[i]
		verdict := h.Verdict
		if h.Verdict == replay.HeldBehind {
			verdict += " " + quantity(h.Count)
		}
		rows[i] = append(append(plain(minute(h.Since)), cell{verdict, verdictInks[h.Verdict]}), plain(
			string(h.Reason), h.Customer, h.Subject, work(h), soon(h), h.ID)...)
	}
	return s.table([]column{
		{title: "SINCE", worth: 2}, {title: "VERDICT", worth: 2}, {title: "REASON", worth: 1}, {title: "CUSTOMER", worth: 1},
		{title: "SUBJECT", worth: 1}, {title: "WORK"}, {title: "NEXT"}, {title: "EVENT", worth: 2},
	}, rows)
}

// work says what is held: the event by its type, or a follow-up by its name.
func work(h *replay.Held) string {
	if h.Follow == "" {
		return h.Type
	}
	name, _, _ := strings.Cut(h.Follow, "/") // the rest is the subject again
	return "follow-up " + name
}

// soon says in short what makes it go on.
func soon(h *replay.Held) string {
	switch {
	case h.Verdict == replay.HeldUnknown:
		return "a person"
	case h.Reason == "paused":
		return "resume"
	case h.On != "":
		return h.On
	}
	return minute(h.Due)
}

// heldLine is something held as JSON.
type heldLine struct {
	Kind        string      `json:"kind"`
	Customer    string      `json:"customer"`
	Subject     string      `json:"subject"`
	Verdict     string      `json:"verdict"`
	Count       int         `json:"count"`
	Offset      int64       `json:"offset"`
	EventID     string      `json:"event_id,omitempty"`
	Source      string      `json:"source,omitempty"`
	Type        string      `json:"type,omitempty"`
	EmittedAt   time.Time   `json:"emitted_at,omitzero"`
	Follow      string      `json:"follow,omitempty"`
	Reason      string      `json:"reason,omitempty"`
	On          string      `json:"on,omitempty"`
	Since       time.Time   `json:"since,omitzero"`
	Due         time.Time   `json:"due,omitzero"`
	Tries       int         `json:"tries,omitempty"`
	FirstFailed time.Time   `json:"first_failed_at,omitzero"`
	GivenUp     bool        `json:"given_up,omitempty"`
	Decided     string      `json:"decided,omitempty"`
	Answered    []string    `json:"answered,omitempty"`
	Intent      *intentLine `json:"intent,omitempty"`
}

type intentLine struct {
	Step       string    `json:"step"`
	Generation int       `json:"generation"`
	FirstSent  time.Time `json:"first_sent"`
	LastTry    time.Time `json:"last_try"`
	InDoubt    bool      `json:"in_doubt"`
}

func heldLines(held []replay.Held) []heldLine {
	list := make([]heldLine, len(held))
	for i, h := range held {
		list[i] = heldLine{
			Kind: "held", Customer: h.Customer, Subject: h.Subject, Verdict: h.Verdict, Count: h.Count, Offset: h.Offset,
			EventID: h.ID, Source: h.Source, Type: h.Type, EmittedAt: h.Emitted, Follow: h.Follow, Reason: string(h.Reason), On: h.On,
			Since: h.Since, Due: h.Due, Tries: h.Tries, FirstFailed: h.Failed, Answered: h.Answered,
			GivenUp: h.GivenUp, Decided: h.Decided,
		}
		if in := h.Intent; in != nil {
			list[i].Intent = &intentLine{in.Step, in.Generation, in.FirstSent, in.LastTry, in.Ambiguous}
		}
	}
	return list
}

type heldShowCommand struct {
	reading
	ID       string `arg:"" optional:"" help:"ID of the event; or give --customer, and --subject."`
	Source   string `placeholder:"SOURCE" help:"Source of the event, where several have one of that ID."`
	Customer string `placeholder:"ID" help:"What is held of this customer."`
	Subject  string `placeholder:"SUBJECT" help:"About this only, within the customer."`
}

// Help is what held show --help says more.
func (heldShowCommand) Help() string {
	return `Shows what is held of an event, its follow-ups among it; or all that is held of a customer or a subject. JSON is that of held
list. A step that is in doubt may have had its effect: a try ended without an answer.

` + readingHelp + `

` + foundCodes
}

// Run shows it.
func (c *heldShowCommand) Run(ctx context.Context, world surroundings) error {
	if c.ID == "" && c.Customer == "" {
		return usageError{errors.New("whose? Give the ID of an event, or --customer")}
	}
	f := replay.Filter{Source: c.Source}
	for _, given := range []struct {
		value string
		to    *[]string
	}{{c.ID, &f.IDs}, {c.Customer, &f.Customers}, {c.Subject, &f.Subjects}} {
		if given.value != "" {
			*given.to = []string{given.value}
		}
	}
	var held []replay.Held
	err := c.desk(ctx, world, func(d *replay.Desk) (err error) {
		held, err = d.Held(ctx, replay.HeldQuery{Filter: f, FollowUps: true})
		return err
	})
	switch {
	case err != nil:
		return err
	case len(held) == 0:
		return notFoundError{errors.New("nothing of it is held: status and dead show tell what became of it")}
	case c.JSON:
		return lines(world, heldLines(held))
	}
	s := screenOf(world)
	for i := range held {
		if i > 0 {
			fmt.Fprintln(world.stdout)
		}
		if err := heldPage(s, &held[i]); err != nil {
			return err
		}
	}
	return nil
}

// heldPage shows all of one.
func heldPage(s screen, h *replay.Held) error {
	title := cmp.Or(work(h), "events") + " " + h.ID
	if h.Verdict == replay.HeldBehind {
		title = count(h.Count, "event", "events") + " behind"
	}
	fmt.Fprintf(s.out, "%s\n", s.paint(bold, clean(title)))
	why := ""
	if h.Reason != "" {
		why = fmt.Sprintf("%s: %s", h.Reason, replay.Words(h.Reason))
	}
	tries := ""
	if h.Tries > 0 {
		tries = fmt.Sprintf("%d failed, the first at %s", h.Tries, stamp(h.Failed))
	}
	return s.details("  ", []detail{
		{"verdict", h.Verdict, verdictInks[h.Verdict]}, {"why", why, ""}, {"since", stamp(h.Since), ""},
		{"waits for", h.On, ""}, {"next", next(h), ""}, {"tries", tries, ""}, {"step", intentWords(h), ""},
		{"decided", h.Decided, ""}, {"answered", strings.Join(h.Answered, ", "), ""},
		{"customer", h.Customer, ""}, {"subject", h.Subject, ""}, {"source", h.Source, ""}, {"type", h.Type, ""},
		{"emitted", stamp(h.Emitted), ""}, {"inbox offset", strconv.FormatInt(h.Offset, 10), ""},
	})
}

// next says what comes next.
func next(h *replay.Held) string {
	due := stamp(h.Due)
	switch {
	case h.Verdict == replay.HeldBehind:
		return "goes on in its turn, when what is before it has ended"
	case h.Verdict == replay.HeldEnded:
		return "is published"
	case h.Verdict == replay.HeldAtWork:
		return "goes on; after a crash of its member, the next one repeats the call with the same key"
	case h.Verdict == replay.HeldUnknown:
		return unknownNext(h, due)
	case h.Reason == "paused":
		return "goes on, in order, when an operator says so: distributor-bridge resume " + h.Type + " --why TEXT --config FILE"
	case h.Verdict == replay.HeldRetrying:
		return "tried again at " + due
	case h.Follow == "" && h.On != "" && due != "":
		return "goes on when " + h.On + " changes; given up at " + due
	case h.On != "":
		return "goes on when " + h.On + " changes"
	case due != "":
		return "looked at again at " + due
	}
	return "goes on when something changes"
}

// unknownNext says what comes next of what is unknown: a task is looked at meanwhile, all else stands still.
func unknownNext(h *replay.Held, due string) string {
	task := h.Follow != "" && h.Reason == "task_unknown"
	switch {
	case task && h.GivenUp:
		return "given up; the provider is still asked about the task, next at " + due
	case task:
		return "the provider is asked about the task again, or it is given up, at " + due + "; else a person says what happened"
	case h.GivenUp:
		return "given up: a dead letter tells of it"
	case due != "":
		return "nothing by itself: a person looks in the provider's front end and says what happened; given up at " + due
	}
	return "nothing by itself: a person looks in the provider's front end and says what happened"
}

// intentWords tells of the step under way.
func intentWords(h *replay.Held) string {
	in := h.Intent
	if in == nil {
		return ""
	}
	doubt := "under way"
	if in.Ambiguous {
		doubt = "in doubt: it may have had its effect"
	}
	return fmt.Sprintf("%s (generation %d), first sent %s, last tried %s, %s", in.Step, in.Generation, stamp(in.FirstSent),
		stamp(in.LastTry), doubt)
}
