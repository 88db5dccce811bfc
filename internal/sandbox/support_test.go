package sandbox_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"distributor-bridge/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const allScopes = "investors:read investors:write investments:read investments:write documents:write"

type fields = map[string]any

// api is a client of one sandbox, in net/http only.
type api struct {
	t      *testing.T
	server *sandbox.Server
	http   *http.Client
	base   string // up to and including /api/external
	prefix string // /v2 or /distributor/v2
	token  string
	keys   *atomic.Int64
}

// response is an answer, its body read.
type response struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (r response) json() (v any) {
	_ = json.Unmarshal(r.body, &v)
	return v
}

func (r response) field(name string) string {
	object, _ := r.json().(fields)
	s, _ := object[name].(string)
	return s
}

// start serves a sandbox and gives a client with these scopes, or all.
func start(t *testing.T, c sandbox.Config, scopes ...string) *api {
	t.Helper()
	s := create(t, c)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	transport := &http.Transport{DisableKeepAlives: true} // so Go does not repeat a call that was cut by itself
	return clientOf(t, s, server.URL, transport, scopes...)
}

// local is start without a network, for synctest.
func local(t *testing.T, c sandbox.Config) *api {
	t.Helper()
	s := create(t, c)
	return clientOf(t, s, "http://sandbox", inProcess{s.Handler()})
}

func create(t *testing.T, c sandbox.Config) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func clientOf(t *testing.T, s *sandbox.Server, origin string, transport http.RoundTripper, scopes ...string) *api {
	t.Helper()
	a := &api{
		t: t, server: s, base: origin + sandbox.Base, prefix: "/v2", keys: new(atomic.Int64),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	a.login(cmp.Or(strings.Join(scopes, " "), allScopes))
	return a
}

// inProcess hands requests to a handler, in a goroutine that ends with the handler.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1) // nil: the connection was cut
	go func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is panicked
				panic(p)
			}
			close(answered)
		}()
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, r)
		answered <- w.Result()
	}()
	select {
	case resp := <-answered:
		if resp == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// login gets a token with these scopes.
func (a *api) login(scopes string) {
	a.t.Helper()
	id, secret := a.server.Credentials()
	r := a.form(url.Values{
		"grant_type": {"client_credentials"}, "scope": {scopes}, "client_id": {id}, "client_secret": {secret},
	})
	if r.status != 200 {
		a.t.Fatalf("token: %d %s", r.status, r.body)
	}
	a.token = r.field("access_token")
}

func (a *api) form(values url.Values) response {
	return a.send(http.MethodPost, a.base+"/oauth/token", "", "application/x-www-form-urlencoded", []byte(values.Encode()))
}

// timeout makes the client give up.
func (a *api) timeout(d time.Duration) *api {
	b := *a
	b.http = &http.Client{Transport: a.http.Transport, CheckRedirect: a.http.CheckRedirect, Timeout: d}
	return &b
}

func (a *api) key() string { return fmt.Sprintf("key-%d", a.keys.Add(1)) }

func (a *api) send(method, target, key, media string, body []byte) response {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.token != "" && !strings.HasSuffix(target, "/oauth/token") {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if key != "" {
		req.Header.Set("X-Idempotency-Key", key)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return response{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return response{status: resp.StatusCode, header: resp.Header, body: b, err: err}
}

// post sends JSON under a key; a nil body sends none.
func (a *api) post(path, key string, body any) response {
	a.t.Helper()
	if body == nil {
		return a.send(http.MethodPost, a.base+a.prefix+path, key, "", nil)
	}
	return a.send(http.MethodPost, a.base+a.prefix+path, key, "application/json", encode(a.t, body))
}

func (a *api) patch(path, key string, body any) response {
	a.t.Helper()
	return a.send(http.MethodPatch, a.base+a.prefix+path, key, "application/json", encode(a.t, body))
}

func (a *api) get(path string) response {
	a.t.Helper()
	return a.send(http.MethodGet, a.base+a.prefix+path, "", "", nil)
}

// readAll reads an answer and puts back what it read.
func readAll(resp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return b, err
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	if raw, ok := v.(string); ok {
		return []byte(raw)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must gives the id of what a call created.
func (a *api) must(r response) string {
	a.t.Helper()
	if r.err != nil || r.status != http.StatusCreated {
		a.t.Fatalf("got %d %s (%v), want 201", r.status, r.body, r.err)
	}
	id := r.field("id")
	if id == "" {
		a.t.Fatalf("no id in %s", r.body)
	}
	return id
}

// file makes a multipart body that is the same for the same key.
func file(t *testing.T, key, field, name, content string) (media string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("boundary-" + key); err != nil {
		t.Fatal(err)
	}
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename=%q`, field, name))
	h.Set("Content-Type", "application/pdf")
	part, err := w.CreatePart(h)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

func (a *api) upload(key string) response {
	a.t.Helper()
	media, body := file(a.t, key, "file", "proof.pdf", "%PDF-1.7 of "+key)
	return a.send(http.MethodPost, a.base+a.prefix+"/documents/", key, media, body)
}

func (a *api) document() string { a.t.Helper(); return a.must(a.upload(a.key())) }

func person() fields {
	return fields{
		"natural_person": fields{
			"salutation": "MS", "forename": "Erika", "surname": "Mustermann", "birth_date": "1964-08-12",
			"birth_place": "Berlin", "citizenship": "DEU", "street": "Heidestraße 17", "city": "Köln", "zip": "51147",
			"country": "DEU", "phone": "+49 221 1234567", "is_pep": false,
		},
		"bank_account": fields{
			"account_holder": "Erika Mustermann", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX",
			"bank": "Commerzbank", "country": "DEU", "currency": "EUR",
		},
		"tax_information": fields{
			"tax_identification_number": "12345678901", "non_assessment_certificate": false, "is_subject_to_german_tax": true,
		},
		"communication":  fields{"email": "erika@example.com", "email_confirmed": true},
		"is_beneficiary": true,
	}
}

func company(identity, structure string) fields {
	c := person()
	c["legal_person"] = fields{
		"company_name": "Beispiel GmbH", "street": "Hauptstraße 1", "zip": "60311", "city": "Frankfurt", "country": "DEU",
		"phone": "+49 69 123456", "commercial_register": "Frankfurt am Main", "commercial_register_number": "HRB 12345",
		"company_identity_proof_id": identity, "company_structure_proof_id": structure, "is_subject_to_us_tax": false,
	}
	return c
}

func identification() fields {
	return fields{
		"document_type": "IDCARD", "document_id": "L01X00T47", "document_issuer": "Stadt Köln",
		"document_valid_from": "2009-08-01", "document_valid_to": "2019-07-31", "identity_provider": "POSTIDENT",
		"legitimation_process_id": "case-1", "verified_at": "2019-01-15T10:00:00Z",
	}
}

func benefitingPerson() fields {
	return fields{
		"salutation": "MR", "forename": "Max", "surname": "Mustermann", "street": "Heidestraße 17", "zip": "51147",
		"city": "Köln", "country": "DEU", "birth_date": "1960-01-01", "birth_place": "Bonn", "citizenship": "DEU",
		"is_pep": false,
	}
}

// with gives a copy of an object in which the value at path is v; a nil v removes it.
func with(o fields, path string, v any) fields {
	o = maps.Clone(o)
	name, rest, nested := strings.Cut(path, ".")
	switch {
	case nested:
		o[name] = with(o[name].(fields), rest, v)
	case v == nil:
		delete(o, name)
	default:
		o[name] = v
	}
	return o
}

func (a *api) investor() string {
	a.t.Helper()
	id := a.must(a.post("/investors/", a.key(), person()))
	a.must(a.post("/investors/"+id+"/identifications/", a.key(), identification()))
	return id
}

func (a *api) company() string {
	a.t.Helper()
	id := a.must(a.post("/investors/", a.key(), company(a.document(), a.document())))
	a.must(a.post("/investors/"+id+"/identifications/", a.key(), identification()))
	return id
}

func (a *api) wallet(investor string) string {
	a.t.Helper()
	return a.must(a.post("/investors/"+investor+"/wallets/eth-managed/", a.key(), nil))
}

func (a *api) order(investor string, units int) fields {
	a.t.Helper()
	return fields{
		"campaign_id": a.server.Campaigns()[0].CampaignID, "investor_id": investor, "units": units,
		"signed_at": "2026-01-02T03:04:05Z",
		"signed_documents": []fields{
			{"document_id": a.document(), "category": "CONTRACT", "subject": "Subscription"},
		},
	}
}

func (a *api) investment(investor string, units int) string {
	a.t.Helper()
	return a.must(a.post("/investments/", a.key(), a.order(investor, units)))
}

// holder is an investor whose managed wallet holds units.
func (a *api) holder(units int) (investor, wallet string) {
	a.t.Helper()
	investor = a.investor()
	wallet = a.wallet(investor)
	a.must(a.post("/investments/"+a.investment(investor, units)+"/credits/", a.key(), nil))
	return investor, wallet
}

func (a *api) redemption(investor, wallet string, units int) fields {
	return fields{
		"investor_id": investor, "product_id": a.server.Campaigns()[0].ProductID, "wallet_id": wallet, "units": units,
	}
}

func (a *api) transfer(wallet, target string, units int) fields {
	return fields{
		"product": a.server.Campaigns()[0].ProductID, "source_wallet": wallet, "target_address": target, "amount": units,
	}
}

func (a *api) status(path string) string { a.t.Helper(); return a.get(path).field("status") }

// effects counts the ledger's effects of an operation.
func (a *api) effects(operation string) (n int) {
	for _, e := range a.server.Ledger() {
		if e.Operation == operation {
			n++
		}
	}
	return n
}
