package sandbox

import (
	"errors"
	"net/mail"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// formats are the string formats that the description names.
var formats = map[string]openapi3.StringFormatValidator{
	"uuid":           format(isUUID),
	"date":           format(isDate),
	"birth-date":     format(isBirthDate),
	"moment":         format(isMoment),
	"moment-or-date": format(func(s string) bool { return isMoment(s) || isDate(s) }),
	"country":        format(isCountry),
	"email":          format(isEmail),
	"text":           format(isText),
}

var errFormat = errors.New("wrong format")

func format(ok func(string) bool) openapi3.StringFormatValidator {
	return openapi3.NewCallbackValidator(func(s string) error {
		if !ok(s) {
			return errFormat
		}
		return nil
	})
}

func newID() string { return uuid.NewString() }

// isUUID takes the usual form of a UUID, 36 characters, and no other.
func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// isBirthDate takes no day that is still to come, anywhere: the first zone to begin it is 14 hours ahead of UTC.
func isBirthDate(s string) bool {
	today := time.Now().UTC().Add(14 * time.Hour).Format(time.DateOnly)
	return isDate(s) && s <= today // ISO dates compare as they read
}

// isMoment takes what Django takes for a date and time: seconds and offset may be missing, the T may be a space.
func isMoment(s string) bool {
	for _, day := range []string{"2006-01-02T", "2006-01-02 "} {
		for _, clock := range []string{"15:04", "15:04:05"} {
			for _, zone := range []string{"", "Z07:00", "Z0700"} {
				if _, err := time.Parse(day+clock+zone, s); err == nil {
					return true
				}
			}
		}
	}
	return false
}

func isEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254
}

// isText refuses what Django calls blank.
func isText(s string) bool { return strings.TrimSpace(s) != "" }

func isCountry(s string) bool {
	return len(s) == 3 && !strings.Contains(s, " ") && strings.Contains(countries, s+" ")
}

// countries are the codes of ISO 3166-1 alpha-3.
const countries = "ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR " +
	"BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI " +
	"CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO " +
	"GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ " +
	"ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF " +
	"MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL NER NFK NGA NIC " +
	"NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN " +
	"SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKM " +
	"TKL TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE "
