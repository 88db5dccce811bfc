package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"distributor-bridge/schemas"
)

func newKit(t *testing.T, suffix string) *kit {
	t.Helper()
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return &kit{contract: contract, suffix: suffix, began: time.Now()}
}

// The samples satisfy their schemas, but for the one that is there to fail.
func TestSamplesAreValid(t *testing.T) {
	t.Parallel()
	k := newKit(t, "-x")
	samples, err := k.samples()
	if err != nil {
		t.Fatal(err)
	}
	types, broken := map[string]bool{}, 0
	for _, s := range samples {
		types[s.event.Name] = true
		if told := fmt.Sprintf("%-21s %-9s %s", s.event.Name, defaultRoutes()[s.event.Name], s.title); fit(told, columns) != told {
			t.Errorf("emit would cut %q", told)
		}
		if !strings.HasSuffix(s.event.CustomerID, "-x") || !strings.Contains(s.event.ID, "-x") {
			t.Errorf("%s of %s does not carry the suffix", s.event.ID, s.event.CustomerID)
		}
		err := k.contract.Validate(s.event)
		if !strings.HasPrefix(s.dead, "invalid ") {
			if err != nil {
				t.Errorf("%s: %v", s.event.ID, err)
			}
			continue
		}
		broken++
		var invalid *schemas.InvalidError
		if !errors.As(err, &invalid) || "invalid "+invalid.Violations[0].String() != s.dead {
			t.Errorf("%s: %v, want %s", s.event.ID, err, s.dead)
		}
	}
	if broken != 1 {
		t.Errorf("%d samples are invalid, want 1", broken)
	}
	for _, typ := range schemas.EventTypes() {
		if typ != schemas.TypeCustomerLinked && !types[typ] { // a link needs an investor that exists already
			t.Errorf("there is no sample of %s", typ)
		}
	}
}

func TestStreamIsValid(t *testing.T) {
	t.Parallel()
	k := newKit(t, "")
	ids := map[string]bool{}
	for n := range 5 * crowd * len(life) {
		e, err := k.next(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.contract.Validate(e); err != nil {
			t.Fatalf("event %d, %s: %v", n, e.Type, err)
		}
		if ids[e.ID] {
			t.Fatalf("event %d has the ID of an earlier one, %s", n, e.ID)
		}
		ids[e.ID] = true
	}
}

// Runs are of different people: else the API would be told the same twice, and /sandbox/doubles would accuse the bridge.
func TestRunsAreOfDifferentPeople(t *testing.T) {
	t.Parallel()
	seen := map[string]string{} // what of a customer must be of no other, and whose it is
	once := func(what string, v any, whose string) {
		t.Helper()
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if other, is := seen[what+string(raw)]; is && other != whose {
			t.Errorf("%s and %s have the same %s", whose, other, what)
		}
		seen[what+string(raw)] = whose
	}
	for _, suffix := range []string{"", "-093012", "-093013", "-x"} {
		k := newKit(t, suffix)
		events := sampleEvents(t, suffix)
		for n := range 3 * crowd * len(life) {
			e, err := k.next(n)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		for _, e := range events {
			var d schemas.CustomerVerified
			if e.Name != schemas.TypeCustomerVerified || k.contract.Validate(e) != nil { // an invalid one never gets to the API
				continue
			}
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			once("bank account", d.BankAccount, e.CustomerID)
			once("tax", d.Tax, e.CustomerID)
			once("protocol", d.Identification.LegitimationProtocol, e.CustomerID)
			if d.Company != nil {
				once("proof", d.Company.IdentityProof, e.CustomerID)
			}
		}
	}
}

// personalValues are all values of the samples that must be seen nowhere: whatever text is in the personal parts of the
// data, and in documents.
func personalValues(t *testing.T, events []schemas.Event) []string {
	t.Helper()
	var values []string
	public := map[string]bool{ // words out of a few
		"salutation": true, "citizenship": true, "country": true, "currency": true, "document_type": true,
		"identity_provider": true, "content_type": true, "bank": true, "kind": true,
	}
	var collect func(name string, v any)
	collect = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				collect(name, v)
			}
		case []any:
			for _, v := range v {
				collect(name, v)
			}
		case string:
			if !public[name] {
				values = append(values, v)
			}
		}
	}
	for _, e := range events {
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			"person", "company", "bank_account", "tax", "contact", "identification", "benefiting_persons", "signed_documents",
			"wallet", "address", "target_address",
		} {
			collect(part, data[part])
		}
	}
	if len(values) < 50 {
		t.Fatalf("only %d personal values: the collection misses some", len(values))
	}
	return values
}

// shows says whether text holds a value as a word of its own. A postcode's digits may well be part of a UUID or a time.
func shows(text, value string) bool {
	word := regexp.MustCompile(`(^|[^0-9A-Za-z.])` + regexp.QuoteMeta(value) + `($|[^0-9A-Za-z])`)
	return word.MatchString(text)
}
