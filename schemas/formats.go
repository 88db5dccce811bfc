package schemas

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/mail"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/crypto/sha3"
)

// errFormat is the answer of every format: what is wrong in detail would have to quote the value.
var errFormat = errors.New("not of this format")

// formats are the formats that the schemas use beside uuid, or hold stricter than the library does.
var formats = map[string]func(string) bool{
	"base64":       isBase64,
	"date":         isDate,
	"date-time":    isMoment,
	"document-url": isDocumentURL,
	"email":        isEmail,
	"eth-address":  isAddress,
	"iban":         isIBAN,
}

func register(c *jsonschema.Compiler) {
	for name, is := range formats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
			if s, ok := v.(string); ok && !is(s) {
				return errFormat
			}
			return nil
		}})
	}
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func isMoment(s string) bool {
	_, err := parseMoment(s)
	return err == nil
}

// parseMoment is strict where time.Parse is not, which takes a comma before a fraction, an hour of one digit, and drops
// what is finer than a nanosecond.
func parseMoment(s string) (time.Time, error) {
	if !isMomentText(s) {
		return time.Time{}, errFormat
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

func isBase64(s string) bool {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return false
	}
	_, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil
}

func isEmail(s string) bool {
	address, err := mail.ParseAddress(s)
	if err != nil || address.Address != s || address.Name != "" {
		return false
	}
	domain := s[strings.LastIndexByte(s, '@')+1:]
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return strings.Contains(domain, ".") && !strings.ContainsAny(domain, "[]_ ")
}

// isDocumentURL takes https with a host, and file with an absolute and clean path. Credentials do not belong in a link.
func isDocumentURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != ""
	case "file":
		return u.Host == "" && u.RawQuery == "" && path.IsAbs(u.Path) && path.Clean(u.Path) == u.Path && u.Path != "/"
	}
	return false
}

// isAddress takes 0x and 40 hex digits: all lower or all upper case, or in the mixed case that EIP-55 prescribes, where
// a letter is upper case if the nibble at its place in the Keccak-256 of the lower-case digits is 8 or more.
func isAddress(s string) bool {
	if !isHexAddress(s) {
		return false
	}
	digits := s[2:]
	lower := strings.ToLower(digits)
	if digits == lower || digits == strings.ToUpper(digits) {
		return true
	}
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write([]byte(lower))
	sum := hex.EncodeToString(keccak.Sum(nil))
	for i := range digits {
		letter := lower[i] >= 'a'
		if letter && (sum[i] >= '8') != (digits[i] < 'a') {
			return false
		}
	}
	return true
}

// ibanLengths are the lengths of the countries in which customers of a European distributor bank (ISO 13616 registry).
// An IBAN of another country is held to its check digits alone.
var ibanLengths = map[string]int{
	"AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
	"FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20,
	"LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
	"VA": 22,
}

// isIBAN checks the check digits (ISO 7064, mod 97-10) and, where it is known, the country's length.
func isIBAN(s string) bool {
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	if want, known := ibanLengths[s[:2]]; known && len(s) != want {
		return false
	}
	// 00, 01 and 99 leave the same remainder as 97, 98 and 02, but are never given out.
	if check := s[2:4]; check < "02" || check > "98" {
		return false
	}
	remainder := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		switch {
		case c >= '0' && c <= '9':
			remainder = (remainder*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z':
			remainder = (remainder*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return remainder == 1
}
