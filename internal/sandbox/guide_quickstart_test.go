package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"distributor-bridge/internal/sandbox"
)

// guide is a client as the two public guides have it: net/http, nothing remembered, every answer taken at its word.
type guide struct {
	t     *testing.T
	base  string // with prefix
	token string
	key   int
}

// authorize is the guides' first call.
func authorize(t *testing.T, base, prefix, scope, clientID, clientSecret string) *guide {
	t.Helper()
	resp, err := http.PostForm(base+"/oauth/token", url.Values{
		"grant_type":    {"client_credentials"},
		"scope":         {scope},
		"client_id":     {clientID},
		"client_secret": {clientSecret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("token: %d, %v", resp.StatusCode, err)
	}
	return &guide{t: t, base: base + prefix, token: token.AccessToken}
}

// call makes a request, wants 200 or 201, and decodes the answer.
func (g *guide) call(method, path, media string, body io.Reader, answer any) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.base+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	if method != http.MethodGet {
		g.key++
		req.Header.Set("X-Idempotency-Key", "guide-"+strings.Repeat("i", g.key))
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		g.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		g.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

type identified struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

func (g *guide) post(path, body string) identified {
	g.t.Helper()
	var answer identified
	if body == "" {
		g.call(http.MethodPost, path, "", nil, &answer)
	} else {
		g.call(http.MethodPost, path, "application/json", strings.NewReader(body), &answer)
	}
	if answer.ID == "" {
		g.t.Fatalf("POST %s: no id", path)
	}
	return answer
}

func (g *guide) upload(name, content string) string {
	g.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		g.t.Fatal(err)
	}
	_, _ = io.WriteString(part, content)
	if err := w.Close(); err != nil {
		g.t.Fatal(err)
	}
	var answer identified
	g.call(http.MethodPost, "/documents/", w.FormDataContentType(), &b, &answer)
	return answer.ID
}

func serve(t *testing.T) (*sandbox.Server, string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s, server.URL + sandbox.Base
}

// TestQuickstartGuide is the Quickstart guide [G1], call for call: a company is registered and gets a wallet.
func TestQuickstartGuide(t *testing.T) {
	s, base := serve(t)
	id, secret := s.Credentials()
	g := authorize(t, base, "/distributor/v2", "investors:write investors:read documents:write", id, secret)

	identityProof := g.upload("commercial-register.pdf", "register")
	structureProof := g.upload("structure.pdf", "structure")
	investor := g.post("/investors/", `{
		"natural_person": {
			"salutation": "MR", "forename": "Max", "surname": "Mustermann", "birth_date": "1980-02-29",
			"birth_place": "Frankfurt", "citizenship": "DEU", "street": "Musterstraße 1", "city": "Frankfurt",
			"zip": "60311", "country": "DEU", "phone": "+4915112345678", "is_pep": false, "is_subject_to_us_tax": false
		},
		"legal_person": {
			"company_name": "Muster GmbH", "street": "Musterstraße 2", "zip": "60311", "city": "Frankfurt",
			"country": "DEU", "phone": "+496912345678", "commercial_register": "Amtsgericht Frankfurt",
			"commercial_register_number": "HRB 98765", "company_identity_proof_id": "`+identityProof+`",
			"company_structure_proof_id": "`+structureProof+`", "is_subject_to_us_tax": false
		},
		"bank_account": {
			"account_holder": "Muster GmbH", "iban": "DE02120300000000202051", "bic": "BYLADEM1001", "bank": "DKB",
			"country": "DEU", "currency": "EUR"
		},
		"tax_information": {
			"tax_identification_number": "12345678911", "non_assessment_certificate": false,
			"is_subject_to_german_tax": true
		},
		"communication": {"email": "max@example.com", "email_confirmed": true},
		"is_beneficiary": true
	}`)

	protocol := g.upload("postident.pdf", "protocol")
	g.post("/investors/"+investor.ID+"/identifications/", `{
		"document_type": "IDCARD", "document_id": "T22000129", "document_issuer": "Stadt Frankfurt",
		"document_valid_from": "2021-01-01", "document_valid_to": "2031-01-01", "identity_provider": "POSTIDENT",
		"legitimation_process_id": "4711", "legitimation_protocol_id": "`+protocol+`",
		"verified_at": "2026-01-01T12:00:00Z"
	}`)

	var persons []struct {
		PersonID string `json:"person_id"`
	}
	g.call(http.MethodPost, "/investors/"+investor.ID+"/benefiting-persons/", "application/json", strings.NewReader(`[{
		"salutation": "MS", "forename": "Erika", "surname": "Mustermann", "street": "Musterstraße 3", "zip": "60311",
		"city": "Frankfurt", "country": "DEU", "birth_date": "1982-03-04", "birth_place": "Hanau",
		"citizenship": "DEU", "is_pep": false
	}]`), &persons)
	if len(persons) != 1 || persons[0].PersonID == "" {
		t.Fatalf("benefiting persons: %+v", persons)
	}

	g.post("/investors/"+investor.ID+"/wallets/eth-managed/", `{"receiving_enabled": true}`)

	var state struct {
		KYCStatus string `json:"kyc_status"`
	}
	g.call(http.MethodGet, "/investors/"+investor.ID+"/", "", nil, &state)
	if state.KYCStatus != "SUCCESS" {
		t.Fatalf("KYC is %q", state.KYCStatus)
	}
}
