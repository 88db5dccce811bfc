package distributor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"distributor-bridge/internal/outcome"
)

// maxRetryAfter bounds what a Retry-After can ask for: a mistaken one must not stop the bridge for days.
const maxRetryAfter = time.Hour

// maxFields bounds how many refused fields a verdict names.
const maxFields = 20

// classify gives the verdict on an answer that is no success. It is the one place in which a status gets its meaning:
//
//	429, 503 with Retry-After     retry, not before then
//	other 5xx                     retry, in doubt
//	401, 403                      retry, unauthorized: no event is to blame
//	3xx, 405, 407, 421            retry, endpoint: the base address leads elsewhere, or a proxy answered
//	404 where no ID is named      retry, endpoint
//	404 on an object, JSON        rejected, not registered
//	404 on an object, no JSON     retry, endpoint: not the API's words [A], so maybe the prefix is wrong
//	408, 425                      retry, in doubt: they ask for a repeat
//	409 for a call with a key     retry, in doubt: the key is in flight [A]
//	422 for a call with a key     unknown: the key was used with another body [A]
//	other 4xx                     rejected, with the names of the fields that were refused
func classify(op operation, status int, header http.Header, body []byte) *outcome.Error {
	e := verdict(op, status, header, body)
	e.Status = status
	return e
}

func verdict(op operation, status int, header http.Header, body []byte) *outcome.Error {
	after, told := retryAfter(header, time.Now())
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && told:
		// A 429 comes before the work; a 503 may come from a proxy, after it.
		e := outcome.Retry(outcome.ClassThrottled, status == http.StatusServiceUnavailable, nil)
		e.After = after
		return e
	case status >= 500, status < 200:
		return outcome.Retry(outcome.ClassServer, true, nil)
	case status < 400:
		return outcome.Retry(outcome.ClassEndpoint, false, nil)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return outcome.Retry(outcome.ClassUnauthorized, false, nil)
	case http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusMisdirectedRequest:
		return outcome.Retry(outcome.ClassEndpoint, false, nil)
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return outcome.Retry(outcome.ClassNoAnswer, true, nil)
	case http.StatusNotFound:
		if !op.object() || !isObject(body) {
			return outcome.Retry(outcome.ClassEndpoint, false, nil)
		}
		return refused(outcome.NotRegistered, body)
	case http.StatusConflict:
		if op.effect() {
			return outcome.Retry(outcome.ClassInFlight, true, nil)
		}
	case http.StatusUnprocessableEntity:
		if op.effect() {
			e := outcome.Unknown(outcome.KeyReused, nil)
			e.Class = outcome.ClassClient
			return e
		}
	}
	return refused(outcome.Refused, body)
}

// broken gives the verdict on a success that does not say what the API promises. After a call with an effect only a
// person can say what happened; a GET is simply asked again.
func broken(op operation, status int, err error) *outcome.Error {
	e := outcome.Unknown(outcome.ContractBroken, err)
	if !op.effect() {
		e = outcome.Retry(outcome.ClassContract, false, err)
	}
	e.Class = outcome.ClassContract
	e.Status = status
	return e
}

// refused gives the rejection for a reason, with what the API says of it in the manner of Django REST framework [A]:
// {"field": ["…"]}, nested where the body was, and maybe a code.
func refused(reason outcome.Reason, body []byte) *outcome.Error {
	e := outcome.Reject(reason)
	e.Class = outcome.ClassClient
	var said any
	if json.Unmarshal(body, &said) != nil {
		return e
	}
	if top, ok := said.(map[string]any); ok {
		code, _ := top["code"].(string)
		e.Code = outcome.Clean(code)
	}
	e.Fields = fields(nil, "", said)
	slices.Sort(e.Fields)
	e.Fields = slices.Compact(e.Fields)
	if len(e.Fields) > maxFields {
		e.Fields = e.Fields[:maxFields]
	}
	return e
}

// fields adds the dotted names of the fields that an error names below at, such as natural_person.zip, or 0.forename in
// a list. Messages are not looked at.
func fields(names []string, at string, said any) []string {
	switch said := said.(type) {
	case map[string]any:
		for name, below := range said {
			if !isField(name, at == "") {
				continue
			}
			path := strings.TrimPrefix(at+"."+name, ".")
			if leaf(below) {
				if path := outcome.Clean(path); path != "" {
					names = append(names, path)
				}
				continue
			}
			names = fields(names, path, below)
		}
	case []any:
		for i, below := range said {
			names = fields(names, strings.TrimPrefix(at+"."+strconv.Itoa(i), "."), below)
		}
	}
	return names
}

// leaf says whether what is said of a field are messages about it, as texts or as {"message", "code"}, rather than
// fields in it.
func leaf(said any) bool {
	switch said := said.(type) {
	case map[string]any:
		_, message := said["message"].(string)
		return message
	case []any:
		return !slices.ContainsFunc(said, func(v any) bool { return !leaf(v) })
	}
	return true
}

// isField says whether a key of an error is the name of a field: lower case letters and underscores, as all of the
// API's are, so that a value that got into the place of a name does not pass. What an error says of itself is none.
func isField(name string, top bool) bool {
	if name == "non_field_errors" {
		return false
	}
	if top && slices.Contains([]string{"detail", "code", "status", "message", "error", "title", "type"}, name) {
		return false
	}
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// isObject says whether b is a JSON object.
func isObject(b []byte) bool {
	return json.Valid(b) && bytes.HasPrefix(bytes.TrimSpace(b), []byte("{"))
}

// retryAfter reads Retry-After, in seconds or as a date, which is taken relative to the answer's own Date, since clocks
// differ.
func retryAfter(h http.Header, now time.Time) (after time.Duration, told bool) {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
