package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

type checkCommand struct {
	configured
	Offline bool          `help:"Open no connection, and do without files that are not here: for pipelines. Says what is left out."`
	Timeout time.Duration `default:"20s" placeholder:"TIME" help:"How long all of it may take. Default: 20s."`
	JSON    bool          `name:"json" help:"JSON for programs, a line each."`
}

// Help is what check --help says more.
func (checkCommand) Help() string {
	return `Looks whether all that run needs is there and fits, side by side, and says of each thing in a line how it is, what is wrong
and how to mend it: the configuration; its files, secrets and certificates; the way to each broker (TLS, login); topics with their
settings; permissions; session timeout; the API's token, scopes and prefix.

It can be used at any time beside a running deployment: it joins no group, writes and commits nothing, takes no transactional ID and
calls nothing at the API that has an effect. It fetches a token. What brokers permit they are asked; they are not tried.

With --json: kind finding (level: good, warning, wrong or left_out; area, about, text, mend), then kind summary (good, warnings, wrong,
left_out, took_ms).

Exit codes: 0 nothing is wrong, be there warnings or not; 1 something is wrong; 2 wrong use.`
}

// Run looks, and tells.
func (c *checkCommand) Run(ctx context.Context, world surroundings) error {
	if c.Timeout <= 0 {
		return usageError{errors.New("--timeout: want more than nothing, such as 20s")}
	}
	cfg := bridge.Default()
	origins, problems := config.Read(&cfg, c.Config, world.environ, envPrefix)
	var noFile *fs.PathError
	if errors.As(problems, &noFile) {
		return usageError{problems}
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var found []bridge.Finding
	bridge.Check(limited, cfg, bridge.CheckOptions{
		Problems: problems, Offline: c.Offline, File: c.Config, Origins: origins,
	}, func(f bridge.Finding) { found = append(found, f) })
	if ctx.Err() != nil {
		return errors.New("interrupted: not all was looked at, and nothing was changed")
	}
	sum := summary{Kind: "summary", Took: time.Since(began).Milliseconds()}
	for _, f := range found {
		sum.count(f.Level)
	}
	show := c.show
	if c.JSON {
		show = c.lines
	}
	if err := show(world, found, sum); err != nil {
		return err
	}
	if sum.Wrong > 0 {
		return errTold
	}
	return nil
}

// errTold is a failure that the command has told of in full.
var errTold = errors.New("something is wrong")

// summary is the last line, and as JSON.
type summary struct {
	Kind     string `json:"kind"`
	Good     int    `json:"good"`
	Warnings int    `json:"warnings"`
	Wrong    int    `json:"wrong"`
	LeftOut  int    `json:"left_out"`
	Took     int64  `json:"took_ms"`
}

func (s *summary) count(l bridge.Level) {
	switch l {
	case bridge.Good:
		s.Good++
	case bridge.Warning:
		s.Warnings++
	case bridge.Wrong:
		s.Wrong++
	case bridge.LeftOut:
		s.LeftOut++
	}
}

func (s *summary) String() string {
	parts := []string{count(s.Good, "thing is good", "things are good")}
	if s.Wrong > 0 {
		parts = append([]string{count(s.Wrong, "thing is wrong", "things are wrong")}, parts...)
	}
	if s.Warnings > 0 {
		parts = append(parts, count(s.Warnings, "warning", "warnings"))
	}
	if s.LeftOut > 0 {
		parts = append(parts, count(s.LeftOut, "not looked at", "not looked at"))
	}
	return fmt.Sprintf("%s (%.1f s)", strings.Join(parts, ", "), float64(s.Took)/1000)
}

// findingLine is a finding as JSON.
type findingLine struct {
	Kind  string       `json:"kind"`
	Level bridge.Level `json:"level"`
	Area  string       `json:"area"`
	About string       `json:"about"`
	Text  string       `json:"text"`
	Mend  string       `json:"mend,omitempty"`
}

func (c *checkCommand) lines(world surroundings, found []bridge.Finding, sum summary) error {
	values := make([]any, 0, len(found)+1)
	for _, f := range found {
		values = append(values, findingLine{"finding", f.Level, f.Area, f.About, f.Text, f.Mend})
	}
	return lines(world, append(values, sum))
}

// marks are what a line begins with.
var marks = map[bridge.Level]struct {
	sign string
	ink  ink
}{
	bridge.Good: {"✓", green}, bridge.Warning: {"!", yellow}, bridge.Wrong: {"✗", red}, bridge.LeftOut: {"-", dim},
}

// show writes a line for each finding, the things below each other; on a narrow terminal it goes on in the next line.
func (c *checkCommand) show(world surroundings, found []bridge.Finding, sum summary) error {
	s := screenOf(world)
	width := 0
	for _, f := range found {
		width = max(width, utf8.RuneCountInString(f.About))
	}
	width = min(width, max(20, s.width/3), 48)
	var b strings.Builder
	for _, f := range found {
		mark := marks[f.Level]
		about, text := clean(f.About), f.Text
		if f.Mend != "" {
			text += " → " + f.Mend
		}
		b.WriteString(s.paint(mark.ink, mark.sign) + " " + s.paint(bold, about))
		room := width - utf8.RuneCountInString(about)
		if room < 0 && s.width < piped { // too long a name: the text begins below it
			b.WriteString("\n" + strings.Repeat(" ", 2+width))
			room = 0
		}
		b.WriteString(strings.Repeat(" ", max(0, room)) + between)
		indent := "\n" + strings.Repeat(" ", 2+width+len(between))
		b.WriteString(strings.Join(wrap(clean(text), s.width-len(indent)+1), indent) + "\n")
	}
	verdict := marks[bridge.Good]
	if sum.Wrong > 0 {
		verdict = marks[bridge.Wrong]
	}
	_, err := fmt.Fprintf(world.stdout, "%s\n%s\n", b.String(), s.paint(verdict.ink, sum.String()))
	return err
}
