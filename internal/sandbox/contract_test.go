package sandbox_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"distributor-bridge/internal/sandbox"
)

// documented are the calls of the API, as the guides and the documentation have them, and the scopes that they need.
var documented = map[string]string{
	"POST /oauth/token":                       "",
	"POST /documents/":                        "documents:write",
	"POST /investors/":                        "investors:write",
	"GET /investors/{}/":                      "investors:read",
	"PATCH /investors/{}/":                    "investors:write",
	"POST /investors/{}/identifications/":     "investors:write",
	"POST /investors/{}/benefiting-persons/":  "investors:write",
	"POST /investors/{}/wallets/eth-managed/": "investors:write",
	"POST /investors/{}/wallets/eth-generic/": "investors:write",
	"POST /investments/":                      "investments:write",
	"GET /investments/{}/":                    "investments:read",
	"POST /investments/{}/credits/":           "investments:write",
	"GET /investments/{}/credits/{}/":         "investments:read", // ours: where else is a credit's task read?
	"POST /redemptions/":                      "investments:write",
	"GET /redemptions/{}/":                    "investments:read",
	"POST /transfers/":                        "investments:write",
	"GET /transfers/{}/":                      "investments:read",
}

func describe(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sandbox.Description())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func anonymous(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

func TestDescriptionIsValidAndComplete(t *testing.T) {
	doc := describe(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			scope := ""
			for _, requirement := range *op.Security {
				scope = strings.Join(requirement["client"], " ")
			}
			described[method+" "+anonymous(path)] = scope
			keyed := op.Parameters.GetByInAndName("header", "X-Idempotency-Key") != nil
			if want := method != http.MethodGet && op.OperationID != "token"; keyed != want {
				t.Errorf("%s %s: key is described: %t", method, path, keyed)
			}
		}
	}
	for call, scope := range documented {
		if got, ok := described[call]; !ok || got != scope {
			t.Errorf("%s: described %t, scope %q, want %q", call, ok, got, scope)
		}
	}
	for call := range described {
		if _, ok := documented[call]; !ok {
			t.Errorf("%s is described, but not documented", call)
		}
	}
}

// recorder holds every answer to the description while it passes it on.
type recorder struct {
	t    *testing.T
	doc  *openapi3.T
	next http.RoundTripper
	seen map[string]bool
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body := response{}
	if body.body, err = readAll(resp); err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(req.URL.Path, sandbox.Base)
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/v2"), "/distributor/v2")
	for template, item := range r.doc.Paths.Map() {
		op := item.GetOperation(req.Method)
		if op == nil || !fits(template, path) {
			continue
		}
		r.seen[op.OperationID] = true
		answer := op.Responses.Status(resp.StatusCode)
		if answer == nil {
			answer = op.Responses.Default()
		}
		schema := answer.Value.Content.Get("application/json").Schema.Value
		if err := schema.VisitJSON(body.json(), openapi3.VisitAsResponse()); err != nil {
			r.t.Errorf("%s %s: the answer does not fit: %v", req.Method, template, err)
		}
	}
	return resp, nil
}

func fits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, "{") && g != "" })
}

// TestAnswersFitTheDescription makes every call, successes and refusals.
func TestAnswersFitTheDescription(t *testing.T) {
	for _, prefix := range []string{"/v2", "/distributor/v2"} {
		t.Run(prefix, func(t *testing.T) {
			a := start(t, sandbox.Config{})
			r := &recorder{t: t, doc: describe(t), next: a.http.Transport, seen: map[string]bool{}}
			a.http.Transport = r
			a.prefix = prefix
			a.login(allScopes)

			firm := a.company()
			a.post("/investors/"+firm+"/benefiting-persons/", a.key(), []fields{benefitingPerson()})
			a.patch("/investors/"+firm+"/", a.key(), fields{"communication": fields{"email": "new@example.com"}})
			a.get("/investors/" + firm + "/")
			investor := a.investor()
			own := fields{"address": "0x00000000000000000000000000000000000000aA"}
			a.must(a.post("/investors/"+investor+"/wallets/eth-generic/", a.key(), own))
			wallet := a.wallet(investor)
			n := a.investment(investor, 10)
			credit := a.must(a.post("/investments/"+n+"/credits/", a.key(), nil))
			a.get("/investments/" + n + "/credits/" + credit + "/")
			a.get("/investments/" + n + "/")
			task := a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 3)))
			a.get("/redemptions/" + task + "/")
			task = a.must(a.post("/transfers/", a.key(), a.transfer(wallet, own["address"].(string), 3)))
			a.get("/transfers/" + task + "/")
			a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 300))
			a.post("/investors/", a.key(), fields{})
			a.post("/investors/", a.key(), []int{1})

			if len(r.seen) != len(documented) {
				t.Errorf("called %d operations of %d", len(r.seen), len(documented))
			}
		})
	}
}

// TestPrefixesAreOneAPI says that what was made under one prefix is there under the other.
func TestPrefixesAreOneAPI(t *testing.T) {
	a := start(t, sandbox.Config{})
	id := a.must(a.post("/investors/", "one", person()))
	a.prefix = "/distributor/v2"
	if got := a.get("/investors/" + id + "/").field("id"); got != id {
		t.Errorf("got investor %q, want %q", got, id)
	}
	if got := a.must(a.post("/investors/", "one", person())); got != id {
		t.Errorf("the key was not known under the other prefix")
	}
}

func TestAnInvestorIsWhatWasPosted(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	wallet := a.wallet(investor)
	a.patch("/investors/"+investor+"/", a.key(), fields{"communication": fields{"email": "new@example.com"}})

	var got struct {
		KYCStatus     string `json:"kyc_status"`
		NaturalPerson struct {
			Surname string `json:"surname"`
		} `json:"natural_person"`
		Communication fields `json:"communication"`
		Wallets       []struct {
			ID, Address, Kind string
		} `json:"wallets"`
	}
	if err := json.Unmarshal(a.get("/investors/"+investor+"/").body, &got); err != nil {
		t.Fatal(err)
	}
	if got.KYCStatus != "SUCCESS" || got.NaturalPerson.Surname != "Mustermann" {
		t.Errorf("got %+v", got)
	}
	if got.Communication["email"] != "new@example.com" || got.Communication["email_confirmed"] != nil {
		t.Errorf("a patched part is replaced as a whole, got %v", got.Communication)
	}
	if len(got.Wallets) != 1 || got.Wallets[0].ID != wallet || got.Wallets[0].Kind != "eth-managed" ||
		len(got.Wallets[0].Address) != 42 {
		t.Errorf("wallets: %+v", got.Wallets)
	}
}

func TestBareAnswersShowOnlyWhatTheGuidesShow(t *testing.T) {
	a := start(t, sandbox.Config{BareAnswers: true})
	investor := a.investor()
	for _, r := range []response{
		a.upload(a.key()),
		a.post("/investors/", a.key(), person()),
		a.post("/investors/"+investor+"/wallets/eth-managed/", a.key(), nil),
		a.post("/investments/", a.key(), a.order(investor, 1)),
	} {
		for name := range r.json().(fields) {
			if name != "id" && name != "status" {
				t.Errorf("%q in %s", name, r.body)
			}
		}
		a.must(r)
	}
}
