package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"distributor-bridge/internal/replay"
)

type heldResolveCommand struct {
	configured
	ordered
	ID           string        `arg:"" help:"ID of the event that is unknown, or of which a follow-up is."`
	Happened     bool          `xor:"said" required:"" help:"The call had its effect."`
	DidNotHappen bool          `xor:"said" required:"" help:"It had none: it is made again, under a new key."`
	ProviderID   string        `placeholder:"ID" help:"What the provider calls that which the call made; needed with --happened, but for a credit, redemption or transfer whose ID is known."`
	Step         string        `placeholder:"STEP" help:"Of a step that may be repeated without harm, as event.unresolved names it: it is made again by another key."`
	Source       string        `placeholder:"SOURCE" help:"Source of the event, where several have one of that ID."`
	Customer     string        `placeholder:"ID" help:"Customer of the event."`
	Subject      string        `placeholder:"SUBJECT" help:"What is unknown, within the customer, where several are: order/ID."`
	Wait         time.Duration `default:"15s" help:"How long to wait for its effect; 0: not at all."`
	JSON         bool          `name:"json" help:"As a line of JSON."`
}

// Help is what held resolve --help says more.
func (heldResolveCommand) Help() string {
	return `What is unknown is never repeated by itself: look in the provider's front end, then say what happened.

--happened needs the provider's ID of what was made: the event goes on as if the call had answered with it. --did-not-happen
has the call made again under a new key; it is refused until rules.quiet after the last try, since that may still land. Of a
credit, redemption or transfer whose end the provider does not tell, either says how it ended.

It names event, step and generation: once they have changed it does nothing, so that giving it twice is harmless. It is a
record of the inbox, and is done when the bridge does it.

With --json the object is of "kind" effect: command, event_id, source, customer, subject, follow, step, inbox, effect (goes_on,
ended, no_effect, or written: nothing is known yet), verdict, reason

Exit codes: 0 written; 1 failed or interrupted; 2 wrong use; 3 nothing of it is unknown, or it is too early: nothing was written.`
}

// Run writes the command.
func (c *heldResolveCommand) Run(ctx context.Context, world surroundings) error {
	who, err := c.who(world)
	if err != nil {
		return err
	}
	decision := replay.Decision{Happened: c.Happened, ProviderID: c.ProviderID, Step: c.Step}
	if c.ProviderID != "" && !c.Happened {
		return usageError{errors.New("--provider-id is of what happened: it goes with --happened only")}
	}
	f := replay.Filter{IDs: []string{c.ID}, Source: c.Source}
	if c.Customer != "" {
		f.Customers = []string{c.Customer}
	}
	if c.Subject != "" {
		f.Subjects = []string{c.Subject}
	}
	return c.writing(ctx, world, func(d *replay.Desk) error {
		h, err := d.Unknown(ctx, f, decision)
		if errors.Is(err, replay.ErrSeveral) || errors.Is(err, replay.ErrNoProviderID) {
			return usageError{err}
		}
		if err != nil {
			return interrupted(ctx, err, "nothing was written")
		}
		done, err := d.Resolve(ctx, h, decision, who)
		if err != nil {
			return err
		}
		return await(ctx, world, d, []replay.Effect{done}, c.Wait, c.JSON)
	})
}

type heldDiscardCommand struct {
	reading
	filters
	approved
	ID        string        `arg:"" optional:"" help:"ID of the event; or choose by the flags."`
	Source    string        `placeholder:"SOURCE" help:"Of events of this source only."`
	Verdict   []string      `placeholder:"VERDICT" help:"Only what is waiting, retrying or unknown."`
	FollowUps bool          `help:"Also follow-ups that only wait for a status at the provider to change."`
	Wait      time.Duration `default:"15s" help:"How long to wait for its effect; 0: not at all."`
}

// Help is what held discard --help says more.
func (heldDiscardCommand) Help() string {
	return `Gives up what is held, as if its time were over: it goes to the dead letters as discarded, with event.rejected, and dead
replay can put it back. What is in doubt, since a call may have had its effect, is given up as unresolved: it is told by
event.unresolved, and never as rejected. What waits behind it goes on.

Without --yes it shows what would be given up. Events of a paused type are left out unless the event or --reason paused is
given. Each command names its event; once that is no more held it does nothing.

With --json each line is an object of "kind": held, as held list has it, without --yes; effect, as held resolve has it.

Exit codes: 0 shown, or written; 1 failed or interrupted; 2 wrong use; 3 nothing that fits is held.`
}

// Run shows what would be given up, or gives it up.
func (c *heldDiscardCommand) Run(ctx context.Context, world surroundings) error {
	var who replay.Who
	if c.Yes {
		var err error
		if who, err = c.who(world); err != nil {
			return err
		}
		if !c.choose() && c.ID == "" && c.Source == "" && len(c.Verdict) == 0 {
			return errAll
		}
	}
	f := c.filter()
	f.Verdicts, f.Source = c.Verdict, c.Source
	if c.ID != "" {
		f.IDs = []string{c.ID}
	}
	return c.writing(ctx, world, func(d *replay.Desk) error {
		held, err := d.Discardable(ctx, replay.HeldQuery{Filter: f, FollowUps: c.FollowUps})
		if c.ID == "" && len(c.Reason) == 0 { // paused events wait for resume: they are given up only if that is said
			held = slices.DeleteFunc(held, func(h replay.Held) bool { return h.Reason == "paused" })
		}
		switch {
		case err != nil:
			return interrupted(ctx, err, "nothing was written")
		case len(held) == 0:
			return fmt.Errorf("%w: nothing that fits is held, or it is being worked on", replay.ErrNothing)
		case !c.Yes && c.JSON:
			return lines(world, heldLines(held))
		case !c.Yes:
			if err := heldTable(screenOf(world), held); err != nil {
				return err
			}
			_, err := fmt.Fprintf(world.stdout, "\nnothing was written: --yes gives up %s\n", quantity(len(held)))
			return err
		}
		var effects []replay.Effect
		for _, h := range held {
			done, err := d.Discard(ctx, h, who)
			if err != nil {
				err = interrupted(ctx, err, "the rest is held as before")
				return errors.Join(showEffects(world, effects, c.JSON), err)
			}
			effects = append(effects, done)
		}
		return await(ctx, world, d, effects, c.Wait, c.JSON)
	})
}

// await waits for the effect of commands that stand in the inbox, and tells it.
func await(ctx context.Context, world surroundings, d *replay.Desk, effects []replay.Effect, limit time.Duration, asJSON bool) error {
	var err error
	if limit > 0 {
		err = interrupted(ctx, d.Await(ctx, effects, limit), "the commands stand in the inbox, and are done in their turn")
	}
	return errors.Join(showEffects(world, effects, asJSON), err)
}

// effectLine is a command's effect as JSON.
type effectLine struct {
	Kind     string `json:"kind"`
	Command  string `json:"command"`
	EventID  string `json:"event_id"`
	Source   string `json:"source"`
	Customer string `json:"customer"`
	Subject  string `json:"subject"`
	Follow   string `json:"follow,omitempty"`
	Step     string `json:"step,omitempty"`
	Inbox    place  `json:"inbox"`
	Effect   string `json:"effect"`
	Verdict  string `json:"verdict,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// showEffects tells of each command what it brought about.
func showEffects(world surroundings, effects []replay.Effect, asJSON bool) error {
	if asJSON {
		list := make([]effectLine, len(effects))
		for i, e := range effects {
			list[i] = effectLine{
				Kind: "effect", Command: e.Command, EventID: e.Held.ID, Source: e.Held.Source, Customer: e.Held.Customer,
				Subject: e.Held.Subject, Follow: e.Held.Follow, Inbox: placeOf(e.At),
				Effect: e.Word, Verdict: e.Now, Reason: string(e.Reason),
			}
			if e.Held.Intent != nil {
				list[i].Step = e.Held.Intent.Step
			}
		}
		return lines(world, list)
	}
	for _, e := range effects {
		text := fmt.Sprintf("command %s: %s of %s %s", e.Command, work(&e.Held), e.Held.ID, effectWords(&e))
		if _, err := fmt.Fprintln(world.stdout, clean(text)); err != nil {
			return err
		}
	}
	return nil
}

func effectWords(e *replay.Effect) string {
	switch e.Word {
	case replay.EffectDone:
		return "has ended: status and dead show tell how"
	case replay.EffectIdle:
		return "is as it was: the command was not current any more, and did nothing"
	case replay.EffectOn:
		return strings.TrimSpace("is now " + strings.ReplaceAll(e.Now, "_", " ") + " " + string(e.Reason))
	}
	return "is as it was: the command stands in the inbox, and is done when the bridge comes to it"
}
