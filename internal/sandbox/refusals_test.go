package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/sandbox"
)

const (
	nobody  = "00000000-0000-4000-8000-000000000000" // a UUID of nothing
	address = "0x52908400098527886E0F7030069857D2E4169EE7"
)

// refusal is a request that must be refused, and what the answer must name.
type refusal struct {
	path string
	body any
	want int    // default 400
	says string // a part of the answer's body
}

func (r refusal) check(t *testing.T, a *api) {
	t.Helper()
	before := len(a.server.Ledger())
	got := a.post(r.path, a.key(), r.body)
	want := r.want
	if want == 0 {
		want = http.StatusBadRequest
	}
	if got.status != want || !strings.Contains(string(got.body), r.says) {
		t.Errorf("got %d %s, want %d with %q", got.status, got.body, want, r.says)
	}
	if after := len(a.server.Ledger()); after != before {
		t.Errorf("a refused call had %d effects", after-before)
	}
}

func TestInvestorsAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	mine := a.document()
	others := a.document()
	a.must(a.post("/investors/", a.key(), company(others, a.document())))

	for name, r := range map[string]refusal{
		"unknown field":           {body: with(person(), "nickname", "Eri"), says: `{"nickname":["Unknown field."]}`},
		"unknown field in a part": {body: with(person(), "natural_person.title", "Dr."), says: `{"natural_person":{"title":["Unknown field."]}}`},
		"missing part":            {body: with(person(), "natural_person", nil), says: `{"natural_person":["This field is required."]}`},
		"missing field":           {body: with(person(), "natural_person.surname", nil), says: `{"natural_person":{"surname":["This field is required."]}}`},
		"mistyped text":           {body: with(person(), "natural_person.zip", 51147), says: `"zip":["Not a valid string."]`},
		"mistyped flag":           {body: with(person(), "natural_person.is_pep", "no"), says: `"is_pep":["Must be a valid boolean."]`},
		"mistyped part":           {body: with(person(), "bank_account", "DE89"), says: `got str`},
		"blank":                   {body: with(person(), "natural_person.city", ""), says: `"city":["This field may not be blank."]`},
		"only spaces":             {body: with(person(), "natural_person.city", "  "), says: `"city":["This field may not be blank."]`},
		"salutation":              {body: with(person(), "natural_person.salutation", "DR"), says: `\"DR\" is not a valid choice.`},
		"alpha-2 country":         {body: with(person(), "natural_person.country", "DE"), says: `"country"`},
		"no country":              {body: with(person(), "natural_person.country", "XXX"), says: `"country"`},
		"no date":                 {body: with(person(), "natural_person.birth_date", "1964-02-30"), says: `"birth_date"`},
		"no IBAN":                 {body: with(person(), "bank_account.iban", "12345"), says: `"iban"`},
		"no BIC":                  {body: with(person(), "bank_account.bic", "COBA"), says: `"bic"`},
		"no e-mail":               {body: with(person(), "communication.email", "erika"), says: `"email"`},
		"US tax, person":          {body: with(person(), "natural_person.is_subject_to_us_tax", true), says: "is_subject_to_us_tax"},
		"US tax, company":         {body: with(company(mine, mine), "legal_person.is_subject_to_us_tax", true), says: "is_subject_to_us_tax"},
		"company without proof":   {body: with(company(mine, mine), "legal_person.company_identity_proof_id", nil), says: "company_identity_proof_id"},
		"proof that is not there": {body: company(nobody, mine), says: "company_identity_proof_id"},
		"proof of another":        {body: company(mine, others), says: "company_structure_proof_id"},
		"certificate mistyped":    {body: with(person(), "tax_information.non_assessment_certificate", 1), says: "non_assessment_certificate"},
		"list":                    {body: []fields{person()}, says: "Expected a dictionary, but got list."},
		"no JSON":                 {body: `{"natural_person": `, says: "JSON parse error"},
		"two values":              {body: `{} {}`, says: "JSON parse error"},
		"no body":                 {body: nil, want: http.StatusUnsupportedMediaType, says: "Unsupported media type"},
	} {
		t.Run(name, func(t *testing.T) {
			r.path = "/investors/"
			r.check(t, a)
		})
	}
}

func TestPartsOfInvestorsAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	natural, firm := a.investor(), a.company()
	others := a.document()
	a.must(a.post("/investors/", a.key(), company(others, a.document())))
	bare := a.must(a.post("/investors/", a.key(), with(person(), "tax_information", nil)))
	a.must(a.post("/investors/"+bare+"/identifications/", a.key(), identification()))
	unidentified := a.must(a.post("/investors/", a.key(), person()))
	a.wallet(natural)
	a.must(a.post("/investors/"+natural+"/wallets/eth-generic/", a.key(), fields{"address": address}))

	for name, r := range map[string]refusal{
		"identification of nobody":         {path: nobody + "/identifications/", body: identification(), want: 404, says: "Not found."},
		"identification without issuer":    {path: natural + "/identifications/", body: with(identification(), "document_issuer", nil), says: "document_issuer"},
		"identification that ends early":   {path: natural + "/identifications/", body: with(identification(), "document_valid_to", "2001-01-01"), says: "document_valid_to"},
		"identification at no time":        {path: natural + "/identifications/", body: with(identification(), "verified_at", "yesterday"), says: "verified_at"},
		"protocol that is not there":       {path: natural + "/identifications/", body: with(identification(), "legitimation_protocol_id", nobody), says: "legitimation_protocol_id"},
		"protocol of another":              {path: natural + "/identifications/", body: with(identification(), "legitimation_protocol_id", others), says: "legitimation_protocol_id"},
		"benefiting persons of a person":   {path: natural + "/benefiting-persons/", body: []fields{benefitingPerson()}, says: "Only companies"},
		"benefiting persons, none":         {path: firm + "/benefiting-persons/", body: []fields{}, says: "may not be empty"},
		"benefiting persons, no list":      {path: firm + "/benefiting-persons/", body: benefitingPerson(), says: "Expected a list"},
		"benefiting persons, second wrong": {path: firm + "/benefiting-persons/", body: []fields{benefitingPerson(), with(benefitingPerson(), "forename", nil)}, says: `[{},{"forename":["This field is required."]}]`},
		"wallet before KYC":                {path: unidentified + "/wallets/eth-managed/", says: "KYC"},
		"wallet of a company, no persons":  {path: firm + "/wallets/eth-managed/", says: "KYC"},
		"wallet without tax information":   {path: bare + "/wallets/eth-managed/", says: "tax_information"},
		"second managed wallet":            {path: natural + "/wallets/eth-managed/", says: "already"},
		"managed wallet with an address":   {path: natural + "/wallets/eth-managed/", body: fields{"address": address}, says: "Unknown field."},
		"address in use":                   {path: natural + "/wallets/eth-generic/", body: fields{"address": strings.ToLower(address)}, says: "in use"},
		"address that is none":             {path: natural + "/wallets/eth-generic/", body: fields{"address": "0x1"}, says: "address"},
		"no address":                       {path: natural + "/wallets/eth-generic/", body: fields{"receiving_enabled": true}, says: "This field is required."},
	} {
		t.Run(name, func(t *testing.T) {
			r.path = "/investors/" + r.path
			r.check(t, a)
		})
	}
}

func TestPatchesAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	natural := a.investor()
	for name, test := range map[string]struct {
		id   string
		body fields
		want int
	}{
		"nothing":               {natural, fields{}, 400},
		"half a part":           {natural, fields{"natural_person": fields{"surname": "Musterfrau"}}, 400},
		"null":                  {natural, fields{"bank_account": (any)(nil)}, 400},
		"US tax":                {natural, fields{"natural_person": with(person()["natural_person"].(fields), "is_subject_to_us_tax", true)}, 400},
		"person into a company": {natural, fields{"legal_person": company(a.document(), a.document())["legal_person"]}, 400},
		"ID":                    {natural, fields{"id": nobody}, 400},
		"nobody":                {nobody, fields{"is_beneficiary": true}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if r := a.patch("/investors/"+test.id+"/", a.key(), test.body); r.status != test.want {
				t.Errorf("got %d %s, want %d", r.status, r.body, test.want)
			}
		})
	}
	if n := a.effects("update_investor"); n != 0 {
		t.Errorf("%d patches took effect", n)
	}
}

func TestInvestmentsAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	_, foreignWallet := a.holder(1)
	others := a.document()
	a.must(a.post("/investors/", a.key(), company(others, a.document())))
	order := a.order(investor, 300)
	document := func(id string) []fields {
		return []fields{{"document_id": id, "category": "CONTRACT", "subject": "Subscription"}}
	}
	for name, body := range map[string]fields{
		"campaign_id":           with(order, "campaign_id", nobody),
		"investor_id":           with(order, "investor_id", nobody),
		"units":                 with(order, "units", 0),
		"greater than or equal": with(order, "units", -1),
		"valid integer":         with(order, "units", "300"),
		"A valid integer":       with(order, "units", 1.5),
		"A valid value":         with(order, "units", json.RawMessage("300.0")),
		"signed_at":             with(order, "signed_at", nil),
		"accepted_at":           with(order, "accepted_at", "soon"),
		"wallet":                with(order, "wallet", foreignWallet),
		"signed_documents":      with(order, "signed_documents", nil),
		"may not be empty":      with(order, "signed_documents", []fields{}),
		"does not exist":        with(order, "signed_documents", document(nobody)),
		"document_id":           with(order, "signed_documents", document(others)),
		"Unknown field":         with(order, "price", 300),
	} {
		t.Run(name, func(t *testing.T) { refusal{path: "/investments/", body: body, says: name}.check(t, a) })
	}
}

func TestCreditsAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	homeless := a.investor()
	investor, wallet := a.holder(1)
	deaf := a.investor()
	a.must(a.post("/investors/"+deaf+"/wallets/eth-managed/", a.key(), fields{"receiving_enabled": false}))

	credits := func(investment string) string { return "/investments/" + investment + "/credits/" }
	delivered := a.investment(investor, 1)
	a.must(a.post(credits(delivered), a.key(), nil))
	unpaid := a.investment(investor, 1)
	if err := a.server.SetStatus(unpaid, sandbox.StatusAccepted); err != nil {
		t.Fatal(err)
	}
	running := a.investment(investor, 1)
	if err := a.server.NextTask("create_credit", nil, 1, sandbox.TaskRule{Verdict: sandbox.TaskProcessing}); err != nil {
		t.Fatal(err)
	}
	a.must(a.post(credits(running), a.key(), nil))

	for name, r := range map[string]refusal{
		"of nothing":            {path: credits(nobody), want: 404, says: "Not found."},
		"before paid":           {path: credits(unpaid), says: "ACCEPTED"},
		"twice, succeeded":      {path: credits(delivered), says: "DELIVERED"},
		"twice, processing":     {path: credits(running), says: "being processed"},
		"without wallet":        {path: credits(a.investment(homeless, 1)), says: "wallet"},
		"to a wallet that is":   {path: credits(a.investment(deaf, 1)), says: "does not receive"},
		"with a body":           {path: credits(a.investment(investor, 1)), body: fields{"wallet": wallet}, says: "no body"},
		"of something not UUID": {path: credits("1"), want: 404},
	} {
		t.Run(name, func(t *testing.T) { r.check(t, a) })
	}
}

func TestMovingUnitsIsRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor, wallet := a.holder(300)
	other, _ := a.holder(1)
	deaf := a.investor()
	a.must(a.post("/investors/"+deaf+"/wallets/eth-generic/", a.key(), fields{"address": address, "receiving_enabled": false}))
	mine := a.get("/investors/" + investor + "/").json().(fields)["wallets"].([]any)[0].(fields)["address"]

	redemption, transfer := a.redemption(investor, wallet, 300), a.transfer(wallet, address, 300)
	outside := strings.Repeat("0", 38)
	for name, r := range map[string]refusal{
		"redemption of too many":        {path: "/redemptions/", body: with(redemption, "units", 301), says: "too few"},
		"redemption of none":            {path: "/redemptions/", body: with(redemption, "units", 0), says: "units"},
		"redemption of what":            {path: "/redemptions/", body: with(redemption, "product_id", nobody), says: "product_id"},
		"redemption of whose":           {path: "/redemptions/", body: with(redemption, "investor_id", nobody), says: "investor_id"},
		"redemption from another":       {path: "/redemptions/", body: with(redemption, "investor_id", other), says: "wallet_id"},
		"redemption from where":         {path: "/redemptions/", body: with(redemption, "wallet_id", nobody), says: "wallet_id"},
		"redemption, unknown field":     {path: "/redemptions/", body: with(redemption, "amount", 1), says: "Unknown field."},
		"transfer of too many":          {path: "/transfers/", body: with(with(transfer, "amount", 301), "target_address", "0x12"+outside), says: "too few"},
		"transfer of none":              {path: "/transfers/", body: with(transfer, "amount", 0), says: "amount"},
		"transfer of half a unit":       {path: "/transfers/", body: with(transfer, "amount", 0.5), says: "amount"},
		"transfer of words":             {path: "/transfers/", body: with(transfer, "amount", "many"), says: "amount"},
		"transfer of what":              {path: "/transfers/", body: with(transfer, "product", nobody), says: "product"},
		"transfer from where":           {path: "/transfers/", body: with(transfer, "source_wallet", nobody), says: "source_wallet"},
		"transfer to nowhere":           {path: "/transfers/", body: with(transfer, "target_address", "0x12"), says: "target_address"},
		"transfer to itself":            {path: "/transfers/", body: with(transfer, "target_address", mine), says: "same"},
		"transfer to who does not take": {path: "/transfers/", body: transfer, says: "does not receive"},
	} {
		t.Run(name, func(t *testing.T) { r.check(t, a) })
	}
}

func TestDocumentsAreRefused(t *testing.T) {
	a := start(t, sandbox.Config{MaxDocument: 4096})
	wrongField, wrongFieldBody := file(t, "k", "document", "a.pdf", "x")
	empty, emptyBody := file(t, "k", "file", "a.pdf", "")
	nameless, namelessBody := file(t, "k", "file", "", "x")
	large, largeBody := file(t, "k", "file", "a.pdf", strings.Repeat("x", 5000))
	good, goodBody := file(t, "k", "file", "a.pdf", "x")
	for name, test := range map[string]struct {
		media string
		body  []byte
		want  int
	}{
		"no multipart":     {"application/json", []byte(`{"file": "x"}`), 415},
		"wrong field":      {wrongField, wrongFieldBody, 400},
		"empty file":       {empty, emptyBody, 400},
		"no file name":     {nameless, namelessBody, 400},
		"too large":        {large, largeBody, 413},
		"no part":          {good, []byte("--boundary-k--\r\n"), 400},
		"cut short":        {good, goodBody[:len(goodBody)-20], 400},
		"another boundary": {good + "x", goodBody, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := a.send(http.MethodPost, a.base+a.prefix+"/documents/", a.key(), test.media, test.body)
			if r.status != test.want {
				t.Errorf("got %d %s, want %d", r.status, r.body, test.want)
			}
		})
	}
	if n := a.effects("create_document"); n != 0 {
		t.Errorf("%d documents were made", n)
	}
}

func TestPathsAndMethods(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	root := strings.TrimSuffix(a.base, sandbox.Base)
	for name, test := range map[string]struct {
		method, path string
		want         int
	}{
		"POST without slash":       {"POST", a.base + "/v2/investors", 404},
		"PATCH without slash":      {"PATCH", a.base + "/v2/investors/" + investor, 404},
		"GET without slash":        {"GET", a.base + "/v2/investors/" + investor, 301},
		"GET nothing, no slash":    {"GET", a.base + "/v2/investor", 404},
		"two slashes":              {"GET", a.base + "/v2/investors/" + investor + "//", 404},
		"token with slash":         {"POST", a.base + "/oauth/token/", 404},
		"token by GET":             {"GET", a.base + "/oauth/token", 405},
		"list that is not offered": {"GET", a.base + "/v2/investors/", 405},
		"PUT":                      {"PUT", a.base + "/v2/investors/" + investor + "/", 405},
		"DELETE":                   {"DELETE", a.base + "/distributor/v2/investors/" + investor + "/", 405},
		"another version":          {"POST", a.base + "/v3/investors/", 404},
		"no UUID":                  {"GET", a.base + "/v2/investors/1/", 404},
		"nobody":                   {"GET", a.base + "/v2/investors/" + nobody + "/", 404},
		"no investment":            {"GET", a.base + "/v2/investments/" + nobody + "/", 404},
		"no redemption":            {"GET", a.base + "/v2/redemptions/" + nobody + "/", 404},
		"root":                     {"GET", root + "/", 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := a.send(test.method, test.path, "key", "application/json", []byte("{}"))
			if r.status != test.want {
				t.Errorf("got %d %s, want %d", r.status, r.body, test.want)
			}
			if test.want == 405 && test.method != "GET" && r.header.Get("Allow") != "GET, PATCH" {
				t.Errorf("Allow is %q", r.header.Get("Allow"))
			}
		})
	}
}

func TestATaskIsReadWhereItBelongs(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor, wallet := a.holder(5)
	task := a.must(a.post("/redemptions/", a.key(), a.redemption(investor, wallet, 1)))
	if s := a.status("/redemptions/" + task + "/"); s != "succeeded" {
		t.Errorf("the redemption is %q", s)
	}
	if r := a.get("/transfers/" + task + "/"); r.status != 404 {
		t.Errorf("a redemption was read as a transfer: %d", r.status)
	}
	n := a.investment(investor, 1)
	credit := a.must(a.post("/investments/"+n+"/credits/", a.key(), nil))
	if s := a.status("/investments/" + n + "/credits/" + credit + "/"); s != "succeeded" {
		t.Errorf("the credit is %q", s)
	}
	if r := a.get("/investments/" + a.investment(investor, 1) + "/credits/" + credit + "/"); r.status != 404 {
		t.Errorf("a credit was read below another investment: %d", r.status)
	}
}

func TestAMissingKeyIsRefused(t *testing.T) {
	a := start(t, sandbox.Config{})
	investor := a.investor()
	for _, r := range []response{
		a.post("/investors/", "", person()),
		a.patch("/investors/"+investor+"/", "", fields{"is_beneficiary": true}),
		a.post("/investors/"+investor+"/wallets/eth-managed/", "", nil),
		a.post("/investors/", strings.Repeat("k", 256), person()),
	} {
		if r.status != http.StatusBadRequest || !strings.Contains(string(r.body), "X-Idempotency-Key") {
			t.Errorf("got %d %s", r.status, r.body)
		}
	}
}

func TestConfigurationNamesAllThatIsWrong(t *testing.T) {
	_, err := sandbox.New(sandbox.Config{
		Scopes:      []string{"everything"},
		Campaigns:   []sandbox.Campaign{{CampaignID: "bonds"}},
		KYC:         sandbox.KYC{Verdict: "MAYBE"},
		StatusDelay: map[string]time.Duration{sandbox.StatusDelivered: 1},
		Tasks:       map[string]sandbox.TaskRule{"create_investor": {}},
		TaskSuccess: "ok",
		Latency:     -1,
	})
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{"everything", "bonds", "MAYBE", "DELIVERED", "create_investor", "ok", "latency"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

// TestControlIsForThisMachine says that the endpoints without a token refuse callers from elsewhere.
func TestControlIsForThisMachine(t *testing.T) {
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{"127.0.0.1:1": 200, "[::1]:1": 200, "192.0.2.1:1": 403, "pipe": 200} {
		r := httptest.NewRequest(http.MethodGet, "/sandbox/ledger", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %s: got %d, want %d", from, w.Code, want)
		}
	}
}
