package schemas

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzPatterns holds each matcher to its regular expression, and what is plain in an envelope to CloudEvents' SDK.
func FuzzPatterns(f *testing.F) {
	regexps := map[*regexp.Regexp]func(string) bool{
		regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`):           isTraceParent,
		regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`): isMomentText,
		regexp.MustCompile(`^[ -~]*$`): isPrintable,
	}
	for pattern, match := range matchers {
		regexps[regexp.MustCompile(pattern)] = match
	}
	address := "0x" + strings.Repeat("0aF9", 10)
	for _, s := range []string{
		"", " ", "a", "42", "A.b_c:d-e", strings.Repeat("x", 128), strings.Repeat("x", 129), "a b", "a\n", "\n", "é", " é ", "\u0085", "a\u0085",
		"\u00a0", "a\xff", "\xff", "\x7f", "a\x00", "@", "[", "`", "{", "/", ":", "~", "//", "//a", "/a", "/a/b", "a/", "a//b", "/./..", ".", "-a", "a:b", "urn:a:b", "%41", "?", "#",
		address, address[:41], address + "0", "0X" + address[2:], "0x" + strings.Repeat("g", 40), address[:41] + "@", address[:41] + "`",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"2026-01-15T10:30:00Z", "2026-01-15T10:30:00.123456789+01:00", "2026-01-15T10:30:00.1234567890Z", "2026-01-15T10:30:00.Z",
		"2026-01-15T10:30:00,1Z", "2026-01-15t10:30:00Z", "2026-01-15T10:30:00z", "2026-01-15T10:30:00", "2026-01-15T10:30:00-01:00", "2026-01-15T10:30:00.5",
		"2026-01-15T10:30:00+0100", "2026-01-15T10:30:00Z\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for pattern, match := range regexps {
			if match(s) != pattern.MatchString(s) {
				t.Errorf("%q: %v by code, not by %s", s, match(s), pattern)
			}
		}
		for _, e := range []Event{
			{ID: s, Source: "/s", Type: "t", DataContentType: mediaJSON}, {ID: "i", Source: s, Type: "t", DataContentType: mediaJSON},
			{ID: "i", Source: "/s", Type: s, DataContentType: mediaJSON}, {ID: "i", Source: "/s", Type: "t", DataContentType: s},
			{ID: "i", Source: "/s", Type: "t", Subject: s, DataContentType: mediaJSON},
		} {
			var env envelope
			if env.checkSpec(e); isPlain(e) && len(env.violations) > 0 {
				t.Errorf("%q is taken for plain: %v", s, env.violations)
			}
		}
		if moment, err := parseMoment(s); err == nil && moment.Location() != time.UTC {
			t.Errorf("%q is not UTC", s)
		}
	})
}

// A pattern that a schema words otherwise would be matched by the regular expression: as right, and slow.
func TestMatchersAreOfTheSchemas(t *testing.T) {
	t.Parallel()
	common, err := files.ReadFile("common" + schemaSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for pattern := range matchers {
		quoted, err := json.Marshal(pattern)
		if err != nil || !bytes.Contains(common, quoted) {
			t.Errorf("no schema has the pattern %s", pattern)
		}
	}
}
