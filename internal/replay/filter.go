package replay

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// Filter chooses letters, and what is held: by any one of the values of each field that has some. Its zero value takes all.
type Filter struct {
	Reasons   []string
	Types     []string // with or without the prefix
	Customers []string
	Subjects  []string // within a customer: order/1001
	Steps     []string
	Fields    []string // a field's name or JSON Pointer, with or without the keyword
	Verdicts  []string // of what is held: see Held.Verdict
	IDs       []string // of events; see Letter.Name
	Source    string   // of events
	Since     time.Time
	Until     time.Time // before it
}

// Reasons gives all reasons that a letter, or something held, can have.
func Reasons() []string {
	list := []string{
		string(outcome.TooLarge), string(outcome.Undecodable), string(outcome.UnknownType), string(outcome.ForeignCommand),
		string(outcome.NeverResolved), string(outcome.Temporary), string(outcome.Paused), string(outcome.StatusPending),
	}
	for _, set := range [][]schemas.Reason{schemas.WaitingReasons(), schemas.RejectedReasons(), schemas.UnresolvedReasons()} {
		for _, r := range set {
			list = append(list, string(r))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// subject is what a Filter judges.
type subject struct {
	reason, typ, customer, subject, step, verdict, id, source string
	fields                                                    []string
	at                                                        time.Time
}

func (f *Filter) takes(s subject) bool {
	return among(f.Reasons, s.reason) && (among(f.Types, s.typ) || slices.ContainsFunc(f.Types, func(t string) bool {
		return strings.HasSuffix(t, "."+s.typ)
	})) && among(f.Customers, s.customer) && among(f.Subjects, s.subject) && among(f.Steps, s.step) &&
		among(f.Verdicts, s.verdict) && among(f.IDs, s.id) && (f.Source == "" || f.Source == s.source) &&
		f.names(s.fields) && (f.Since.IsZero() || !s.at.Before(f.Since)) && (f.Until.IsZero() || !s.at.IsZero() && s.at.Before(f.Until))
}

// Letter says whether the filter takes a letter; its time is that at which it was given up.
func (f *Filter) Letter(l *Letter) bool {
	return f.takes(subject{
		reason: string(l.Reason), typ: l.Type, customer: l.Customer, subject: l.Subject, step: l.Step,
		id: l.Name(), source: l.Source, fields: l.Fields, at: l.Failed,
	})
}

// Held says whether the filter takes something held; its time is that since which it is held.
func (f *Filter) Held(h *Held) bool {
	step := ""
	if h.Intent != nil {
		step = h.Intent.Step
	}
	return f.takes(subject{
		reason: string(h.Reason), typ: h.Type, customer: h.Customer, subject: h.Subject, step: step,
		verdict: h.Verdict, id: h.ID, source: h.Source, at: h.Since,
	})
}

func (f *Filter) names(fields []string) bool {
	if len(f.Fields) == 0 {
		return true
	}
	return slices.ContainsFunc(fields, func(field string) bool {
		name, _, _ := strings.Cut(field, " ")
		return slices.Contains(f.Fields, field) || slices.Contains(f.Fields, name)
	})
}

func among(wanted []string, value string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}

var errMoment = errors.New("want how long ago, as 90s, 30m, 2h, 7d or 2w, or a time, as 2026-11-21 or 2026-11-21T08:00:00Z")

// ParseMoment reads a moment: how long before now, or a date or time of RFC 3339. A date is its beginning in UTC.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	ago, err := parseAgo(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("%q: %w", text, errMoment)
	}
	return now.Add(-ago).UTC(), nil
}

// parseAgo reads a duration that may be in days or weeks.
func parseAgo(text string) (time.Duration, error) {
	for unit, long := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		count, ok := strings.CutSuffix(text, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 16) // 65,535 weeks do not overflow a duration's hours; more ask for nothing
		if err != nil || time.Duration(n) > maxAgo/long {
			return 0, errMoment
		}
		return time.Duration(n) * long, nil
	}
	return time.ParseDuration(text)
}

const maxAgo = 100 * 365 * 24 * time.Hour
