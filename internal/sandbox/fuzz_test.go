package sandbox_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"distributor-bridge/internal/sandbox"
)

// FuzzBodies sends anything to every call with a JSON body: it is taken or refused, the answer is JSON, and what is
// refused has no effect. A panic fails it.
func FuzzBodies(f *testing.F) {
	for _, seed := range []any{
		person(), company(nobody, nobody), identification(), []fields{benefitingPerson()}, fields{"address": address},
		fields{"receiving_enabled": true}, fields{}, []int{}, nil, 300, "text",
		fields{"campaign_id": nobody, "investor_id": nobody, "units": 1, "signed_at": "2026-01-02", "signed_documents": []int{}},
		fields{"product": nobody, "source_wallet": nobody, "target_address": address, "amount": "1"},
	} {
		text, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		for call := range 9 {
			f.Add(uint8(call), text)
		}
	}
	f.Add(uint8(0), []byte(`{"natural_person": {"forename": {"a": [`))
	f.Fuzz(func(t *testing.T, call uint8, body []byte) {
		a := local(t, sandbox.Config{})
		investor := a.investor()
		paths := []string{
			"/investors/", "/investors/" + investor + "/", "/investors/" + investor + "/identifications/",
			"/investors/" + investor + "/benefiting-persons/", "/investors/" + investor + "/wallets/eth-managed/",
			"/investors/" + investor + "/wallets/eth-generic/", "/investments/", "/redemptions/", "/transfers/",
		}
		path := paths[int(call)%len(paths)]
		method := http.MethodPost
		if path == paths[1] {
			method = http.MethodPatch
		}
		before := len(a.server.Ledger())
		r := a.send(method, a.base+a.prefix+path, a.key(), "application/json", body)
		ok := r.status == http.StatusOK || r.status == http.StatusCreated
		if !ok && !slices.Contains([]int{400, 415}, r.status) || !json.Valid(r.body) {
			t.Errorf("%s %s: got %d %s", method, path, r.status, r.body)
		}
		if effects := len(a.server.Ledger()) - before; effects != count(ok) {
			t.Errorf("%s %s: got %d with %d effects", method, path, r.status, effects)
		}
	})
}

// FuzzPaths asks for anything: there is an answer, and no effect without a key.
func FuzzPaths(f *testing.F) {
	for call := range documented {
		method, path, _ := strings.Cut(call, " ")
		f.Add(method, strings.ReplaceAll(path, "{}", nobody))
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		s := create(t, sandbox.Config{})
		r, err := http.NewRequestWithContext(t.Context(), method, "http://sandbox", strings.NewReader("{}"))
		if err != nil {
			return // no method at all
		}
		r.URL.Path = "/api/external/v2" + path
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code < 300 || w.Code >= 500 {
			t.Errorf("%s %q: got %d", method, path, w.Code)
		}
		if len(s.Ledger()) != 0 {
			t.Errorf("%s %q had an effect", method, path)
		}
	})
}
