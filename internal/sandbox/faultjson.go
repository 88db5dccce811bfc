package sandbox

import (
	"bytes"
	"encoding/json"
	"time"
)

// span is a duration as JSON: "1.5s".
type span time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *span) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = span(v)
	return err
}

// MarshalText writes it as time.Duration does.
func (d span) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// faultJSON is a Fault on the wire: as the struct, but for durations, which are text.
type faultJSON struct {
	Operation  string         `json:"operation,omitempty"`
	Kind       Kind           `json:"kind"`
	Status     int            `json:"status,omitempty"`
	RetryAfter span           `json:"retry_after,omitempty"`
	Delay      span           `json:"delay,omitempty"`
	PerSecond  float64        `json:"per_second,omitempty"`
	Burst      int            `json:"burst,omitempty"`
	Applied    bool           `json:"applied,omitempty"`
	Nth        int            `json:"nth,omitempty"`
	Count      int            `json:"count,omitempty"`
	Share      float64        `json:"share,omitempty"`
	Match      map[string]any `json:"match,omitempty"`
}

// UnmarshalJSON reads a fault, as {"operation": "create_credit", "kind": "slow", "delay": "2s", "applied": true};
// unknown fields are errors. It does not validate.
func (f *Fault) UnmarshalJSON(text []byte) error {
	var j faultJSON
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return err
	}
	*f = Fault{
		Operation: j.Operation, Kind: j.Kind, Status: j.Status, RetryAfter: time.Duration(j.RetryAfter),
		Delay: time.Duration(j.Delay), PerSecond: j.PerSecond, Burst: j.Burst, Applied: j.Applied,
		Nth: j.Nth, Count: j.Count, Share: j.Share, Match: j.Match,
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{
		Operation: f.Operation, Kind: f.Kind, Status: f.Status, RetryAfter: span(f.RetryAfter), Delay: span(f.Delay),
		PerSecond: f.PerSecond, Burst: f.Burst, Applied: f.Applied, Nth: f.Nth, Count: f.Count, Share: f.Share,
		Match: f.Match,
	})
}
