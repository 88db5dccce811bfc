package consumer

import (
	"time"

	"distributor-bridge/internal/attempt"
	"distributor-bridge/internal/outcome"
)

// Report is what became of an event or a follow-up in one go: one log line, and the metrics. It holds no personal data.
type Report struct {
	Stage      string          // "intake", "event", "follow-up" or "command"
	Event      attempt.Event   // identity, type, customer and subject
	Follow     string          // the follow-up's name
	Offset     int64           // in the inbox; in the source topic for intake
	Verdict    outcome.Verdict // how it ended
	Superseded bool            // a replay that something newer has overtaken: done, without doing anything
	Repeated   bool            // it was known already: nothing was done
	Behind     bool            // it is held behind another of its subject
	Error      *outcome.Error  // nil if done
	Results    []attempt.Result
	Tries      int
	Took       time.Duration
	TraceID    string // of the trace that the event belongs to; empty: none
	SpanID     string // of this go in it; empty if it is not sampled, or nothing was attempted
}

// Stages of a Report.
const (
	StageIntake = "intake"
	StageEvent  = "event"
	StageFollow = "follow-up"
	// StageCommand is that of operators' commands. One that did nothing, since it is not current, has an Error that says so.
	StageCommand = "command"
)
