package schemas

import (
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	for format, cases := range map[string]map[string]bool{
		"iban": {
			"DE89370400440532013000": true, "GB29NWBK60161331926819": true, "NO9386011117947": true,
			"MT84MALT011000012345MTLCAST001S": true, "SA0380000000608010167519": true, // length not known here
			"DE98370400440532013000": false, "DE8937040044053201300": false, "de89370400440532013000": false,
			"": false, "DE": false, "GB29NWBK6016133192681é": false,
			"DE00370400440532013000": false, "DE99370400440532013000": false, // never given out
		},
		"eth-address": {
			"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed": true, "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb": true,
			"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": true, "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED": true,
			"0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed": false, "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed": false,
			"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae": false, "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg": false,
			"0x0000000000000000000000000000000000000000": true,
		},
		"email": {
			"a@example.com": true, "first.last+tag@sub.example.co": true, "ü@example.com": true,
			"a@example": false, "a@": false, "@example.com": false, "A <a@example.com>": false, "a@example..com": false,
			"a@-example.com": false, "a b@example.com": false, "a@[127.0.0.1]": false, "a@b@example.com": false,
		},
		"date": {"2024-02-29": true, "2023-02-29": false, "2024-2-9": false, "2024-02-29T00:00:00Z": false, "": false},
		"date-time": {
			"2026-01-31T12:00:00Z": true, "2026-01-31T12:00:00.123456789+01:00": true, "2026-01-31T12:00:00": false,
			"2026-01-31T12:00:00,5Z": false, "2026-01-31T1:00:00Z": false, "2026-01-31T24:00:00Z": false,
			"2026-01-31T12:00:00+25:00": false, "2026-01-31": false,
		},
		"document-url": {
			"https://example.com/a.pdf?x=1": true, "file:///documents/a.pdf": true, "http://example.com/a.pdf": false,
			"https:///a.pdf": false, "https://:443/a.pdf": false, "https://u:p@example.com/": false, "/a.pdf": false,
			"file://host/a.pdf": false, "file:///a/../b.pdf": false, "file:///a/%2e%2e/b.pdf": false, "file:a.pdf": false,
			"file:///": false, "https://example.com/a#b": false, "s3://bucket/a": false, "https://exa mple.com/": false,
		},
		"base64": {"YQ==": true, "YWJj": true, "YQ": false, "YR==": false, "YW\nJj": false, "YW-_": false},
	} {
		is := formats[format]
		for value, want := range cases {
			if got := is(value); got != want {
				t.Errorf("%s: %q is %v, want %v", format, value, got, want)
			}
		}
	}
}

// Whatever one digit of an IBAN is mistaken for, or whichever neighbours are swapped, is found.
func TestIBANFindsTypos(t *testing.T) {
	t.Parallel()
	const right = "DE89370400440532013000"
	for i := 2; i < len(right); i++ {
		for digit := '0'; digit <= '9'; digit++ {
			typo := right[:i] + string(digit) + right[i+1:]
			if typo != right && isIBAN(typo) {
				t.Errorf("%s is taken for right", typo)
			}
		}
		if i+1 < len(right) && right[i] != right[i+1] {
			swapped := right[:i] + right[i+1:i+2] + right[i:i+1] + right[i+2:]
			if isIBAN(swapped) {
				t.Errorf("%s is taken for right", swapped)
			}
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":[1,-2,true,null,"ä"]}`: "",
		`"\ud83d\ude00 \\ud800 \n"`:  "", // a whole pair, and a backslash that is none
		`{"a":1,"a":1}`:              keywordUniqueKeys,
		`{"a":1,"\u0061":1}`:         keywordUniqueKeys,
		`[{"b":{"c":1,"c":2}}]`:      keywordUniqueKeys,
		`"\ud83d"`:                   keywordEncoding,
		`"\ude00\ud83d"`:             keywordEncoding,
		`"\ud83dx"`:                  keywordEncoding,
		"\"\xff\"":                   keywordEncoding,
		`{"a":1}x`:                   keywordJSON,
		`{"a":1,}`:                   keywordJSON,
		`{'a':1}`:                    keywordJSON,
		`[01]`:                       keywordJSON,
		`[NaN]`:                      keywordJSON,
		"\ufeff{}":                   keywordJSON,
		``:                           keywordJSON,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth):          "",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1):      keywordDepth,
		strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000):        keywordDepth,
		strings.Repeat("[", 1_000_000):                                         keywordJSON,
		strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000):        keywordJSON, // json's own limit
		`[1e999999999,-1E-999999999,1.0,` + strings.Repeat("9", 100_000) + `]`: "",
	} {
		tree, keyword := parse([]byte(text))
		if keyword != want {
			t.Errorf("%.60q: got keyword %q, want %q", text, keyword, want)
		}
		if (tree == nil) != (want != "") {
			t.Errorf("%.60q: keyword %q with tree %v", text, keyword, tree != nil)
		}
	}
}

// No literal outside the integers of 64 bits reaches the schema library, which would expand its exponent.
func TestNumber(t *testing.T) {
	t.Parallel()
	for literal, want := range map[string]any{
		"0": int64(0), "-0": int64(0), "9007199254740993": int64(9007199254740993), "-7": int64(-7),
		"1.0": 0.5, "1e0": 0.5, "1e999999999": 0.5, "1E-9": 0.5,
		"9223372036854775808": 1e30, "-9223372036854775809": -1e30,
	} {
		if got := number(literal); got != want {
			t.Errorf("%s: got %v, want %v", literal, got, want)
		}
	}
}
