package distributor

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Members and values that an answer may have: the documented ones, and what only looks like them.
var (
	members = []string{
		"id", "ID", "_id", "i-d", "Id", "status", "Status", "kyc_status", "kycStatus", "KYC_STATUS", "kyc-status", "legal_person",
		"legalPerson", "legal-person", "wallets", "WALLETS", "address", "kind", "person_id", "personId", "other",
	}
	values = []string{
		`"1f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21"`, `"2f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21"`, `"PENDING"`, `"SUCCESS"`, `"\ud800"`, "\"\xff\"",
		`null`, `7`, `1e400`, `true`, `{}`, `[]`, `{"id":"x"}`, `[{"id":"1f0c3a52-97d2-4b0e-8a55-6b1d4e0c7f21","kind":"K"},null]`, `[{"person_id":"p"}]`,
	}
)

// An answer is read as version 1 of encoding/json reads it, whatever is in it: names in another case, twice, almost the same, null.
func TestAnswersAreReadLikeJSON(t *testing.T) {
	t.Parallel()
	for _, empty := range []func() any{
		func() any { return &Created{} }, func() any { return &InvestmentStatus{} }, func() any { return &Task{} },
		func() any { return &investorAnswer{} }, func() any { return &Wallet{} }, func() any { return &[]PersonID{} },
	} {
		t.Run(strings.TrimPrefix(reflect.TypeOf(empty()).String(), "*distributor."), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				var body strings.Builder
				for i := range rapid.IntRange(0, 5).Draw(t, "members") {
					body.WriteString([]string{"{", ","}[min(i, 1)])
					body.WriteString(`"` + rapid.SampledFrom(members).Draw(t, "member") + `":` + rapid.SampledFrom(values).Draw(t, "value"))
				}
				answer := rapid.SampledFrom([]string{"", " ", "[", "7"}).Draw(t, "before") + body.String() +
					rapid.SampledFrom([]string{"}", "} ", "}]", "}{}", ""}).Draw(t, "after")
				want, got := empty(), empty()
				err := json.Unmarshal([]byte(answer), want)
				if err2 := unmarshal([]byte(answer), got); (err == nil) != (err2 == nil) {
					t.Fatalf("%q: %v, encoding/json says %v", answer, err2, err)
				}
				if err == nil && !reflect.DeepEqual(got, want) {
					t.Errorf("%q is read as %+v, encoding/json reads %+v", answer, got, want)
				}
			})
		})
	}
}
