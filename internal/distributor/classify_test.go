package distributor_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/distributor"
	"distributor-bridge/internal/outcome"
)

// kind is a kind of call that answers are classified by.
type kind string

const (
	collection kind = "POST investors/"
	below      kind = "POST investors/{id}/identifications/"
	patch      kind = "PATCH investors/{id}/"
	get        kind = "GET investments/{id}/"
)

func (k kind) make(t *testing.T, c *distributor.Client) error {
	t.Helper()
	var err error
	switch k {
	case collection:
		_, err = c.CreateInvestor(t.Context(), newKey(), distributor.Investor{})
	case below:
		_, err = c.CreateIdentification(t.Context(), newKey(), someID, distributor.Identification{})
	case patch:
		err = c.PatchInvestor(t.Context(), newKey(), someID, distributor.Investor{})
	case get:
		_, err = c.Investment(t.Context(), someID)
	}
	return err
}

// TestAnswers is the table of design section 5, as far as an answer decides.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const (
		retry   = outcome.Retrying
		reject  = outcome.Rejected
		unknown = outcome.Unresolved
	)
	json404 := `{"detail":"GEHEIM not found."}`
	html := `<html>GEHEIM</html>`
	for _, test := range []struct {
		kinds   []kind
		status  int
		header  string // Retry-After
		body    string
		verdict outcome.Verdict
		reason  outcome.Reason
		class   outcome.Class
		inDoubt bool
	}{
		{[]kind{collection, below, patch}, 500, "", html, retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{collection, below, patch}, 501, "", "", retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{collection, below, patch}, 502, "", html, retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{collection, below, patch}, 503, "", "", retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{collection, below, patch}, 504, "", "", retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{get}, 500, "", html, retry, outcome.Temporary, outcome.ClassServer, false},
		{[]kind{collection, below, patch}, 503, "soon, GEHEIM", "", retry, outcome.Temporary, outcome.ClassServer, true},
		{[]kind{collection, below, patch}, 503, "7", "", retry, outcome.Temporary, outcome.ClassThrottled, true},
		{[]kind{get}, 503, "7", "", retry, outcome.Temporary, outcome.ClassThrottled, false},
		{[]kind{collection, below, patch, get}, 429, "7", "", retry, outcome.Temporary, outcome.ClassThrottled, false},
		{[]kind{collection, below, patch, get}, 429, "", "", retry, outcome.Temporary, outcome.ClassThrottled, false},
		{[]kind{collection, below, patch, get}, 401, "", "", retry, outcome.Temporary, outcome.ClassUnauthorized, false},
		{[]kind{collection, below, patch, get}, 403, "", json404, retry, outcome.Temporary, outcome.ClassUnauthorized, false},
		{[]kind{collection, below, patch, get}, 405, "", json404, retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 407, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 421, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 301, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 302, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 307, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 308, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection}, 404, "", json404, retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{below, patch, get}, 404, "", json404, reject, outcome.NotRegistered, outcome.ClassClient, false},
		{[]kind{collection, below, patch, get}, 404, "", html, retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch, get}, 404, "", "", retry, outcome.Temporary, outcome.ClassEndpoint, false},
		{[]kind{collection, below, patch}, 408, "", "", retry, outcome.Temporary, outcome.ClassNoAnswer, true},
		{[]kind{collection, below, patch}, 425, "", "", retry, outcome.Temporary, outcome.ClassNoAnswer, true},
		{[]kind{collection, below, patch}, 409, "", json404, retry, outcome.Temporary, outcome.ClassInFlight, true},
		{[]kind{get}, 409, "", json404, reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below, patch}, 422, "", json404, unknown, outcome.KeyReused, outcome.ClassClient, false},
		{[]kind{get}, 422, "", json404, reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below, patch, get}, 400, "", `{"zip":["GEHEIM"]}`, reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below, patch, get}, 400, "", html, reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below, patch, get}, 410, "", "", reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below, patch, get}, 413, "", "", reject, outcome.Refused, outcome.ClassClient, false},
		{[]kind{collection, below}, 200, "", "", unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 204, "", "", unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 200, "", html, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `{}`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `[]`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `null`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `{"id":7}`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `{"id":"GEHEIM"}`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `{"id":"{` + someID + `}"}`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{collection, below}, 201, "", `{"id":"` + someID + `"} GEHEIM`, unknown, outcome.ContractBroken, outcome.ClassContract, false},
		{[]kind{get}, 200, "", html, retry, outcome.Temporary, outcome.ClassContract, false},
		{[]kind{get}, 200, "", `{"id":"` + someID + `"}`, retry, outcome.Temporary, outcome.ClassContract, false},
		{[]kind{get}, 200, "", `{"id":"` + someID + `","status":"GEHEIM text"}`, retry, outcome.Temporary, outcome.ClassContract, false},
		{[]kind{get}, 200, "", `{"id":"` + otherID + `","status":"PAID"}`, retry, outcome.Temporary, outcome.ClassContract, false},
	} {
		for _, k := range test.kinds {
			t.Run(fmt.Sprintf("%d %.20s %.20s %s", test.status, test.header, test.body, k), func(t *testing.T) {
				t.Parallel()
				a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", "/api/external/distributor/v2/GEHEIM/")
					if test.header != "" {
						w.Header().Set("Retry-After", test.header)
					}
					w.WriteHeader(test.status)
					_, _ = io.WriteString(w, test.body)
				})
				var observed []distributor.Call
				c := a.client(func(cfg *distributor.Config) {
					cfg.Observe = func(call distributor.Call) {
						if call.Operation != "token" {
							observed = append(observed, call)
						}
					}
				})
				e := wantVerdict(t, k.make(t, c), test.verdict, test.class, test.inDoubt)
				if e.Reason != test.reason || e.Status != test.status {
					t.Errorf("reason %s, status %d", e.Reason, e.Status)
				}
				if want := map[string]time.Duration{"7": 7 * time.Second}[test.header]; e.After != want {
					t.Errorf("after %v", e.After)
				}
				sent := 1
				if test.status == http.StatusUnauthorized {
					sent = 2
				}
				if len(a.seen()) != sent || len(observed) != sent {
					t.Errorf("sent %d times, observed %d, want %d", len(a.seen()), len(observed), sent)
				}
				for _, call := range observed {
					if call.Status != test.status || call.Class != test.class || call.Key.IsZero() != (k == get) {
						t.Errorf("observed %+v", call)
					}
				}
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	date := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) // the server's clock; ours says something else
	for _, test := range []struct {
		header string
		want   time.Duration
	}{
		{"0", 0},
		{"120", 2 * time.Minute},
		{"86400", time.Hour},
		{"4294967296000", 0},
		{"-1", 0},
		{"1.5", 0},
		{date.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{date.Add(48 * time.Hour).Format(http.TimeFormat), time.Hour},
		{date.Add(-time.Hour).Format(http.TimeFormat), 0},
	} {
		t.Run(test.header, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", test.header)
				w.Header().Set("Date", date.Format(http.TimeFormat))
				w.WriteHeader(http.StatusTooManyRequests)
			})
			e := verdict(t, collection.make(t, a.client()))
			if e.After != test.want {
				t.Errorf("after %v, want %v", e.After, test.want)
			}
		})
	}
}

func TestRefusedFields(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf(`"f%c%c":["x"]`, 'a'+i/26, 'a'+i%26))
	}
	for name, test := range map[string]struct {
		body   string
		fields []string
		code   string
	}{
		"flat, sorted":      {`{"zip":["GEHEIM"],"city":"GEHEIM"}`, []string{"city", "zip"}, ""},
		"nested":            {`{"natural_person":{"zip":["x"],"birth_date":["x"]},"units":["x"]}`, []string{"natural_person.birth_date", "natural_person.zip", "units"}, ""},
		"list of objects":   {`[{},{"forename":["x"]}]`, []string{"1.forename"}, ""},
		"nested list":       {`{"signed_documents":[{"document_id":["x"]}]}`, []string{"signed_documents.0.document_id"}, ""},
		"about the whole":   {`{"detail":"GEHEIM","code":"invalid","non_field_errors":["GEHEIM"]}`, nil, "invalid"},
		"code with text":    {`{"code":"GEHEIM of Max Muster"}`, nil, ""},
		"code is no text":   {`{"code":["x"]}`, nil, ""},
		"full details":      {`{"zip":[{"message":"GEHEIM","code":"invalid"}]}`, []string{"zip"}, ""},
		"a value as a name": {`{"DE89370400440532013000":["x"],"max@example.org":["x"],"Max Muster":["x"],"":["x"]}`, nil, ""},
		"a long name":       {`{"` + strings.Repeat("a", 65) + `":["x"]}`, nil, ""},
		"no JSON":           {`GEHEIM`, nil, ""},
		"a text":            {`"GEHEIM"`, nil, ""},
		"cut off":           {`{"zip":["GEH`, nil, ""},
		"too many":          {`{` + strings.Join(many, ",") + `}`, []string{"faa", "fab", "fac", "fad", "fae", "faf", "fag", "fah", "fai", "faj", "fak", "fal", "fam", "fan", "fao", "fap", "faq", "far", "fas", "fat"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, says(http.StatusBadRequest, test.body))
			e := wantVerdict(t, collection.make(t, a.client()), outcome.Rejected, outcome.ClassClient, false)
			if !slices.Equal(e.Fields, test.fields) || e.Code != test.code {
				t.Errorf("fields %q, code %q; want %q, %q", e.Fields, e.Code, test.fields, test.code)
			}
		})
	}
}

func TestBenefitingPersonsAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `[]`, `[{"person_id":"1"}]`, `[{"person_id":"1"},{}]`, `[{"person_id":"1"},{"person_id":"GEHEIM name"}]`, `null`} {
		a := newAPI(t, says(http.StatusCreated, body))
		_, err := a.client().CreateBenefitingPersons(t.Context(), newKey(), someID, make([]distributor.BenefitingPerson, 2))
		if e := wantVerdict(t, err, outcome.Unresolved, outcome.ClassContract, false); e.Reason != outcome.ContractBroken {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestInvestorAnswerThatBreaksTheContract(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"id":"` + someID + `"}`,
		`{"id":"` + someID + `","kyc_status":"PENDING","wallets":[{"id":"GEHEIM"}]}`,
		`{"id":"` + someID + `","kyc_status":"PENDING","wallets":{}}`,
		`{"id":"` + someID + `","kyc_status":"PENDING","legal_person":"GEHEIM"}`,
	} {
		a := newAPI(t, says(http.StatusOK, body))
		_, err := a.client().Investor(t.Context(), someID)
		wantVerdict(t, err, outcome.Retrying, outcome.ClassContract, false)
	}
}
