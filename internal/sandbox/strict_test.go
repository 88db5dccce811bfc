package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"distributor-bridge/internal/sandbox"
)

var prefixes = []string{"/v2", "/distributor/v2"}

// replaced is an object as JSON, in which a text that must be there is another one.
func replaced(t *testing.T, v any, old, text string) string {
	t.Helper()
	body := string(encode(t, v))
	if strings.Count(body, old) != 1 {
		t.Fatalf("%q is not there once", old)
	}
	return strings.Replace(body, old, text, 1)
}

func TestAPropertyTwiceIsRefused(t *testing.T) {
	t.Parallel()
	for _, prefix := range prefixes {
		a := start(t, sandbox.Config{})
		a.prefix = prefix
		natural, firm := a.investor(), a.company()
		order := a.order(natural, 3)
		for name, r := range map[string]refusal{
			"at the top":       {path: "/investors/", body: replaced(t, person(), `"is_beneficiary":true`, `"is_beneficiary":true,"is_beneficiary":false`), says: "is_beneficiary"},
			"the same value":   {path: "/investors/", body: replaced(t, person(), `"is_beneficiary":true`, `"is_beneficiary":true,"is_beneficiary":true`), says: "is_beneficiary"},
			"in a part":        {path: "/investors/", body: replaced(t, person(), `"surname":"Mustermann"`, `"surname":"Mustermann","surname":"M"`), says: "surname"},
			"a part":           {path: "/investors/", body: replaced(t, person(), `"is_beneficiary":true`, `"is_beneficiary":true,"communication":{}`), says: "communication"},
			"spelt in escapes": {path: "/investors/", body: replaced(t, person(), `"zip":"51147"`, `"zip":"51147","\u007aip":"1"`), says: "zip"},
			"in a list":        {path: "/investors/" + firm + "/benefiting-persons/", body: replaced(t, []fields{benefitingPerson()}, `"zip":"51147"`, `"zip":"51147","zip":"1"`), says: "zip"},
			"deep in a list":   {path: "/investments/", body: replaced(t, order, `"category":"CONTRACT"`, `"category":"CONTRACT","category":"TERMS"`), says: "category"},
			"units":            {path: "/investments/", body: replaced(t, order, `"units":3`, `"units":3,"units":4`), says: "units"},
		} {
			t.Run(prefix+" "+name, func(t *testing.T) { r.check(t, a) })
		}
		if r := a.patch("/investors/"+natural+"/", a.key(), `{"is_beneficiary":true,"is_beneficiary":true}`); r.status != 400 {
			t.Errorf("PATCH: got %d %s", r.status, r.body)
		}
		// One name in several objects is no property twice.
		a.must(a.post("/investments/", a.key(), with(order, "signed_documents", []fields{
			{"document_id": a.document(), "category": "CONTRACT", "subject": "Subscription"},
			{"document_id": a.document(), "category": "TERMS", "subject": "Terms"},
		})))
	}
}

func TestABirthDateInTheFutureIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const never = `"birth_date":["The date is in the future."]`
		tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly) // at midnight: 10 hours from its first zone
		today := time.Now().UTC().Format(time.DateOnly)
		for _, prefix := range prefixes {
			a := local(t, sandbox.Config{})
			a.prefix = prefix
			natural, firm := a.investor(), a.company()
			refusal{path: "/investors/", body: with(person(), "natural_person.birth_date", tomorrow), says: never}.check(t, a)
			refusal{path: "/investors/", body: with(person(), "natural_person.birth_date", "2999-01-01"), says: never}.check(t, a)
			refusal{path: "/investors/" + firm + "/benefiting-persons/", body: []fields{with(benefitingPerson(), "birth_date", tomorrow)}, says: never}.check(t, a)
			change := fields{"natural_person": with(person()["natural_person"].(fields), "birth_date", tomorrow)}
			if r := a.patch("/investors/"+natural+"/", a.key(), change); r.status != 400 || !strings.Contains(string(r.body), never) {
				t.Errorf("PATCH: got %d %s", r.status, r.body)
			}
			a.must(a.post("/investors/", a.key(), with(person(), "natural_person.birth_date", today)))
		}
	})
}

// TestWhoMayNotAskLearnsNothing asks for IDs that are none: the token comes first, then the scope, then the ID.
func TestWhoMayNotAskLearnsNothing(t *testing.T) {
	t.Parallel()
	a := start(t, sandbox.Config{})
	good := a.token
	a.login("documents:write")
	narrow := a.token
	calls := map[string]string{ // a path with a malformed ID, and the method for it
		"/investors/1/": "GET",
		"/investors/x/": "PATCH",
		"/investors/" + nobody + "0/identifications/":  "POST",
		"/investors/1/benefiting-persons/":             "POST",
		"/investors/1/wallets/eth-managed/":            "POST",
		"/investors/1/wallets/eth-generic/":            "POST",
		"/investments/%20/":                            "GET",
		"/investments/1/credits/":                      "POST",
		"/investments/" + nobody + "/credits/unknown/": "GET",
		"/redemptions/{id}/":                           "GET",
		"/transfers/1/":                                "GET",
	}
	bodies := map[string]any{
		"PATCH": fields{"is_beneficiary": true}, "identifications": identification(),
		"benefiting-persons": []fields{benefitingPerson()}, "eth-generic": fields{"address": address},
	}
	for path, method := range calls {
		var body []byte
		for of, b := range bodies {
			if of == method || strings.Contains(path, of) {
				body = encode(t, b)
			}
		}
		for _, prefix := range prefixes {
			for _, test := range []struct {
				token string
				want  int
			}{{"", 401}, {"wrong", 401}, {narrow, 403}, {good, 404}} {
				a.token = test.token
				r := a.send(method, a.base+prefix+path, a.key(), "application/json", body)
				if r.status != test.want || r.field("detail") == "" {
					t.Errorf("%s %s%s: got %d %s, want %d", method, prefix, path, r.status, r.body, test.want)
				}
				if told := r.header.Get("WWW-Authenticate") != ""; told != (test.want == http.StatusUnauthorized) {
					t.Errorf("%s %s%s: %d says how to authenticate: %t", method, prefix, path, r.status, told)
				}
			}
		}
	}
	if n := len(a.server.Ledger()); n != 0 {
		t.Errorf("%d effects", n)
	}
}
