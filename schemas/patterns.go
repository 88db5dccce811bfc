package schemas

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Patterns that nearly every event meets. Each is matched by code of its own, some ten times faster than the regular
// expression, which a test holds it to.
const (
	idPattern      = `^[A-Za-z0-9._:-]{1,128}$`
	textPattern    = `^\P{Cc}*[^\p{Cc}\s]\P{Cc}*$`
	addressPattern = `^0x[0-9a-fA-F]{40}$`
)

var matchers = map[string]func(string) bool{idPattern: isID, textPattern: isText, addressPattern: isHexAddress}

// matcher is a pattern of the schemas, matched by code of its own.
type matcher struct {
	*regexp.Regexp
	match func(string) bool
}

func (m matcher) MatchString(s string) bool { return m.match(s) }

// compilePattern is the schema library's engine of regular expressions.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	if match, ok := matchers[pattern]; ok {
		return matcher{compiled, match}, nil
	}
	return compiled, nil
}

func isID(s string) bool {
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func isText(s string) bool {
	return !strings.ContainsFunc(s, unicode.IsControl) && strings.Trim(s, " ") != ""
}

func isHexAddress(s string) bool {
	if len(s) != 42 || s[:2] != "0x" {
		return false
	}
	for _, c := range []byte(s[2:]) {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// isTraceParent takes what W3C's Trace Context writes: 00-TRACE-SPAN-FLAGS in lower-case hex digits.
func isTraceParent(s string) bool {
	if len(s) != 55 {
		return false
	}
	for i, c := range []byte(s) {
		switch i {
		case 2, 35, 52:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// isMomentText tells whether s is written as YYYY-MM-DDTHH:MM:SS, then up to nine digits of a fraction, then Z or ±HH:MM.
func isMomentText(s string) bool {
	const whole = "0000-00-00T00:00:00"
	if len(s) <= len(whole) || !like(s[:len(whole)], whole) {
		return false
	}
	zone := s[len(whole):]
	if zone[0] == '.' {
		fraction := 1
		for fraction < len(zone) && isDigit(zone[fraction]) {
			fraction++
		}
		if fraction == 1 || fraction > 10 {
			return false
		}
		zone = zone[fraction:]
	}
	return zone == "Z" || like(zone, "+00:00") || like(zone, "-00:00")
}

// like tells whether s is the form, with any digit for each 0 in it.
func like(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i, c := range []byte(s) {
		if c != form[i] && (form[i] != '0' || !isDigit(c)) {
			return false
		}
	}
	return true
}

// isPlainPath takes source attributes such as /orders and kyc/v1.2, which are URI references beyond doubt.
func isPlainPath(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case isLetter(c), isDigit(c), c == '/' && (i == 0 || s[i-1] != '/'):
		case i > 0 && (c == '.' || c == '_' || c == '~' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}

// isPrintable tells whether s is of ASCII characters that can be printed.
func isPrintable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
