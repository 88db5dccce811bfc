package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type deadReplayCommand struct {
	reading
	filters
	letterFilters
	approved
	Edit      string        `placeholder:"EXPR" help:"Mend each event's data with this jq expression: '.person.salutation = \"MS\"'."`
	Canary    int           `placeholder:"N" help:"Put back the first N, wait for them, and go on only if enough succeed."`
	Succeed   float64       `default:"0.9" placeholder:"SHARE" help:"How many of the canary have to succeed, 0 to 1."`
	Rate      float64       `default:"50" placeholder:"N" help:"How many to put back a second; 0: as fast as possible."`
	StopAfter float64       `default:"0.5" placeholder:"SHARE" help:"Stop if more than this share of the last 20 outcomes are failures; 1: never."`
	Wait      bool          `default:"true" negatable:"" help:"Wait for what becomes of them. Without, there is no canary and no stop."`
	Patience  time.Duration `default:"1m" help:"How long to wait while no outcome comes."`
}

// approved is embedded in commands that change much at once: only with --yes.
type approved struct {
	Yes bool   `help:"Do it. Without, nothing is written."`
	Why string `placeholder:"TEXT" help:"Why, for whoever reads audit; needed with --yes. It stays in the inbox, so no personal data."`
	By  string `placeholder:"NAME" help:"Who says so. Default: the name of the user."`
}

func (a approved) who(world surroundings) (replay.Who, error) {
	if strings.TrimSpace(a.Why) == "" {
		return replay.Who{}, usageError{errors.New("with --yes it needs to be said why: give --why")}
	}
	return ordered{Why: a.Why, By: a.By}.who(world)
}

// Help is what dead replay --help says more.
func (deadReplayCommand) Help() string {
	return `Chooses open letters as dead list does, and says what the replay of each would do. With --yes those that run, or are
superseded, are put into the inbox again, to be done in order with all else.

  runs        it is attempted; the step tells from where: those before it
              are remembered, and not done again
  superseded  something newer has overtaken it: it is done without a call
  refused     it would be given up again at once: why, and if the mended
              data would change a step that has succeeded, which one
  invalid     the data breaks its schema, the expression fails on it, or it
              would be of another customer or order: that is for upstream to
              emit as a new event
  unknown     nobody knows whether its call happened. Put back only if it is
              chosen by --reason unresolved or by --event: the call is then
              repeated with the same key while the provider knows that, else
              it is held as unknown again, and held resolve says what happened
  no_payload  the letter does not hold the event's data
  forgotten   what was done of it is no more remembered: upstream has to
              emit a new event
  pending     its replay stands in the inbox already

What it says is how things stand now, by this command's configuration. It does not ask the provider, so what runs may be
refused again. The bridge judges anew when it does the replay.

--edit sees an event's data and gives it anew; event ID and customer stay, and so does what it is about. Nothing is written
that breaks the schema. The letters of a customer are put back in the order in which their events first came.

It can be interrupted at any time. The same again goes on with the rest; a letter that is put back twice is done once. The
canary then is the first of what is left. A success is done, superseded, or a follow-up that is followed again; what is held
is no success yet. What is done while nobody waits for it is told by dead list and audit.

With --json each line is an object of "kind":
  replay   event_id, source, type, customer, subject, letter, round, forecast,
           step, reason, on, fields, note, answered, mended, closed, put,
           outcome, outcome_reason, offset
  summary  id, by, why, letters, put, forecasts, outcomes

Exit codes: 0 shown, or put back, whatever came of it; 1 failed, stopped by its own rules or interrupted: what was written is
told; 2 wrong use; 3 no letter fits, or none can be put back.`
}

// Run shows what would happen, or makes it happen.
func (c *deadReplayCommand) Run(ctx context.Context, world surroundings) error {
	edit, who, err := c.check(world)
	if err != nil {
		return err
	}
	q := replay.Query{Filter: c.letters(c.filter()), All: c.JSON || len(c.Event) > 0}
	return c.writing(ctx, world, func(d *replay.Desk) error {
		b, err := d.Prepare(ctx, q, edit)
		if err != nil {
			return interrupted(ctx, err, "not all was read, and nothing was changed")
		}
		puts := 0
		for i := range b.Items {
			if b.Items[i].Put {
				puts++
			}
		}
		shown := replaying{world: world, json: c.JSON, batch: b, who: who, puts: puts}
		switch {
		case len(b.Items) == 0:
			return fmt.Errorf("%w: no open dead letter fits", replay.ErrNothing)
		case !c.Yes:
			return shown.forecast()
		case puts == 0 && !shown.awaits():
			return errors.Join(shown.forecast(), fmt.Errorf("%w: none of them can be put back", replay.ErrNothing))
		}
		tell, end := progress(world, "putting")
		defer end()
		how := replay.How{
			Who: who, Canary: c.Canary, Succeed: c.Succeed, Rate: c.Rate, StopAfter: c.StopAfter, Wait: c.Wait, Patience: c.Patience,
			Tell: func(_, ended, total int) { tell("back", int64(min(ended, total)), int64(total)) },
		}
		if !c.Wait {
			how.Tell = func(put, _, total int) { tell("back", int64(put), int64(total)) }
		}
		id, err := d.Replay(ctx, b, how)
		end()
		err = interrupted(ctx, err, "the same again goes on with the rest")
		return errors.Join(shown.report(id), err)
	})
}

// check judges the flags, before anything is asked of Kafka.
func (c *deadReplayCommand) check(world surroundings) (edit *replay.Edit, who replay.Who, err error) {
	if c.Edit != "" {
		if edit, err = replay.ParseEdit(c.Edit); err != nil {
			return nil, who, usageError{fmt.Errorf("--edit: %w", err)}
		}
	}
	for name, share := range map[string]float64{"--succeed": c.Succeed, "--stop-after": c.StopAfter} {
		if share < 0 || share > 1 {
			return nil, who, usageError{fmt.Errorf("%s: a share is 0 to 1", name)}
		}
	}
	switch {
	case c.Rate < 0 || c.Canary < 0 || c.Patience <= 0:
		return nil, who, usageError{errors.New("--rate, --canary and --patience must not be negative")}
	case c.Canary > 0 && !c.Wait:
		return nil, who, usageError{errors.New("--canary waits for outcomes: it does not go with --no-wait")}
	case !c.Yes:
		return edit, who, nil
	}
	who, err = c.who(world)
	if err == nil && !c.choose() && len(c.Event) == 0 && len(c.Field) == 0 {
		err = errAll
	}
	return edit, who, err
}

// replaying shows a replay.
type replaying struct {
	world surroundings
	json  bool
	batch *replay.Batch
	who   replay.Who
	puts  int
}

// awaits says whether anything that was put back before is still to be done.
func (r *replaying) awaits() bool {
	for i := range r.batch.Items {
		if r.batch.Items[i].Forecast == replay.Pending {
			return true
		}
	}
	return false
}

const mostShown = 100

// forecast shows what would happen.
func (r *replaying) forecast() error {
	if r.json {
		return r.lines("", r.batch.Items)
	}
	rows := make([][]cell, 0, min(len(r.batch.Items), mostShown))
	counts := map[string]int{}
	for i := range r.batch.Items {
		it := &r.batch.Items[i]
		counts[string(it.Forecast)]++
		if len(rows) < mostShown {
			rows = append(rows, []cell{
				{string(it.Forecast), forecastInks[it.Forecast]}, {text: forecastWords(it)},
				{text: it.Letter.Type}, {text: it.Letter.Customer}, {text: it.Letter.Subject}, {text: it.Letter.Name()},
			})
		}
	}
	if err := screenOf(r.world).table([]column{
		{title: "FORECAST", worth: 2}, {title: "WHY"}, {title: "TYPE", worth: 1}, {title: "CUSTOMER", worth: 1}, {title: "SUBJECT"},
		{title: "EVENT", worth: 2},
	}, rows); err != nil {
		return err
	}
	out := r.world.stdout
	if more := len(r.batch.Items) - len(rows); more > 0 {
		fmt.Fprintf(out, "\n%s more are not shown: --json shows all\n", quantity(more))
	}
	var words []string
	for _, f := range replay.Forecasts() {
		if n := counts[string(f)]; n > 0 {
			words = append(words, fmt.Sprintf("%s %s", quantity(n), f))
		}
	}
	_, err := fmt.Fprintf(out, "\n%s; nothing was written: --yes puts back %s\n", strings.Join(words, ", "), quantity(r.puts))
	return err
}

var forecastInks = map[replay.Forecast]ink{
	replay.Runs: green, replay.Overtaken: dim, replay.IsClosed: dim, replay.Pending: dim, replay.Unknown: yellow,
	replay.Refused: red, replay.Invalid: red, replay.NoPayload: red, replay.Forgotten: red,
}

// forecastWords says why in short, or from where it runs.
func forecastWords(it *replay.Item) string {
	step := map[bool]string{true: "from " + it.Step, false: ""}[it.Forecast == replay.Runs && it.Step != ""]
	if it.On != "" {
		step = "waits for " + it.On
	}
	if it.Reason == outcomeStepChanged {
		step = "would change " + it.Step
	}
	return cmp.Or(step, strings.TrimSpace(string(it.Reason)+" "+strings.Join(it.Fields, ", ")), string(it.Letter.Closed), it.Note)
}

// outcomeStepChanged is the reason of an edit that would change a step which has succeeded.
const outcomeStepChanged = "step_changed"

// report shows what became of it: how many, and those that did not succeed.
func (r *replaying) report(id string) error {
	if r.json {
		return r.lines(id, r.batch.Items)
	}
	counts := map[replay.Outcome]int{}
	var rows [][]cell
	for i := range r.batch.Items {
		it := &r.batch.Items[i]
		if !it.Put && it.Forecast != replay.Pending {
			continue
		}
		counts[it.Outcome]++
		if inks := outcomeInks[it.Outcome]; inks != "" && len(rows) < mostShown {
			rows = append(rows, []cell{
				{string(it.Outcome), inks}, {text: cmp.Or(string(it.Again), it.Note)},
				{text: it.Letter.Type}, {text: it.Letter.Customer}, {text: it.Letter.Subject}, {text: it.Letter.Name()},
			})
		}
	}
	out := r.world.stdout
	if len(rows) > 0 {
		if err := screenOf(r.world).table([]column{
			{title: "OUTCOME", worth: 2}, {title: "WHY", worth: 2}, {title: "TYPE"}, {title: "CUSTOMER"}, {title: "SUBJECT"},
			{title: "EVENT", worth: 2},
		}, rows); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	var words []string
	for _, o := range replay.Outcomes() {
		if n := counts[o]; n > 0 && o != replay.NotPut {
			words = append(words, fmt.Sprintf("%s %s", quantity(n), strings.ReplaceAll(string(o), "_", " ")))
		}
	}
	if len(words) == 0 {
		words = []string{"nothing was put back"}
	}
	fmt.Fprintf(out, "replay %s: %s", id, strings.Join(words, ", "))
	if left := counts[replay.NotPut]; left > 0 {
		fmt.Fprintf(out, "; %s left: the same again goes on with them", quantity(left))
	}
	if refused := len(r.batch.Items) - r.puts; refused > 0 && !r.awaits() {
		fmt.Fprintf(out, "; %s not to be put back: see the same without --yes", quantity(refused))
	}
	_, err := fmt.Fprintln(out)
	return err
}

// outcomeInks are those of what is told one by one: all but what went well, or is still to come.
var outcomeInks = map[replay.Outcome]ink{
	replay.EndedAgain: red, replay.TooLarge: red, replay.Doubtful: red, replay.EndedHeld: yellow, replay.EndedIdle: dim,
}

// replayLine is an item as JSON.
type replayLine struct {
	Kind          string   `json:"kind"`
	EventID       string   `json:"event_id,omitempty"`
	Source        string   `json:"source,omitempty"`
	Type          string   `json:"type,omitempty"`
	Customer      string   `json:"customer,omitempty"`
	Subject       string   `json:"subject,omitempty"`
	Letter        place    `json:"letter"`
	Round         int      `json:"round"`
	Forecast      string   `json:"forecast"`
	Step          string   `json:"step,omitempty"`
	Reason        string   `json:"reason,omitempty"`
	On            string   `json:"on,omitempty"`
	Fields        []string `json:"fields,omitempty"`
	Note          string   `json:"note,omitempty"`
	Answered      []string `json:"answered,omitempty"`
	Mended        bool     `json:"mended,omitempty"`
	Closed        string   `json:"closed,omitempty"`
	Put           bool     `json:"put"`
	Outcome       string   `json:"outcome,omitempty"`
	OutcomeReason string   `json:"outcome_reason,omitempty"`
	Offset        *int64   `json:"offset,omitempty"`
}

// replaySummary is the last line of JSON.
type replaySummary struct {
	Kind      string         `json:"kind"`
	ID        string         `json:"id,omitempty"` // none of a dry run
	By        string         `json:"by,omitempty"`
	Why       string         `json:"why,omitempty"`
	Letters   int            `json:"letters"`
	Put       int            `json:"put"`
	Forecasts map[string]int `json:"forecasts"`
	Outcomes  map[string]int `json:"outcomes"`
}

func (r *replaying) lines(id string, items []replay.Item) error {
	sum := replaySummary{
		Kind: "summary", ID: id, By: r.who.By, Why: r.who.Why, Letters: len(items), Forecasts: map[string]int{}, Outcomes: map[string]int{},
	}
	list := make([]replayLine, len(items))
	for i := range items {
		it := &items[i]
		l := &it.Letter
		list[i] = replayLine{
			Kind: "replay", EventID: l.ID, Source: l.Source, Type: l.Type, Customer: l.Customer, Subject: l.Subject,
			Letter: placeOf(l.Place), Round: it.Round, Forecast: string(it.Forecast), Step: it.Step, Reason: string(it.Reason),
			On: it.On, Fields: it.Fields, Note: it.Note, Answered: it.Answered, Mended: it.Mended, Closed: string(l.Closed),
			Put: it.Put, Outcome: string(it.Outcome), OutcomeReason: string(it.Again),
		}
		if it.Offset >= 0 {
			list[i].Offset = &it.Offset
		}
		sum.Forecasts[string(it.Forecast)]++
		if it.Outcome != replay.NotPut {
			sum.Outcomes[string(it.Outcome)]++
			sum.Put++
		}
	}
	return errors.Join(lines(r.world, list), lines(r.world, []replaySummary{sum}))
}
