package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parse gives the value of a scalar of type t from its text. Its error says what is wanted and shows the text, unless
// it may be secret.
func parse(t reflect.Type, text string) (any, error) {
	v := reflect.New(t).Elem()
	switch {
	case t == durationType:
		d, err := Duration(text)
		if err != nil {
			return nil, err
		}
		v.SetInt(int64(d))
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case t.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	default:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, t.Bits())
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%s is too large", text)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	}
	return v.Interface(), nil
}

var days = regexp.MustCompile(`^([0-9]{1,5})d`)

// Duration reads a duration as Go writes it ("500ms", "1h30m"), which may begin with days of 24 hours ("30d", "1d12h").
func Duration(text string) (time.Duration, error) {
	var sum time.Duration
	rest := text
	if m := days.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most five digits
		sum, rest = time.Duration(n)*24*time.Hour, strings.TrimPrefix(text, m[0])
		if rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || (sum > 0 && d < 0) || rest == "0" {
		return 0, fmt.Errorf("%q is not a duration such as 500ms, 10s, 1h30m or 30d", text)
	}
	return sum + d, nil
}

// FormatDuration gives a duration as Duration reads it, in as few words as it takes: "30d", "1h30m", "500ms".
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d <= 0 || d < day {
		return shorten(d)
	}
	text := strconv.FormatInt(int64(d/day), 10) + "d"
	if d %= day; d > 0 {
		text += shorten(d)
	}
	return text
}

// shorten leaves out the zeros with which Go ends a duration: "1h0m0s" is "1h".
func shorten(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
