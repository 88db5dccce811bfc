package schemas_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"distributor-bridge/schemas"
)

const marked = "Marked-Value"

// Whatever is wrong with an event, and wherever, no error tells a value: each leaf in turn is replaced by a marked text, a
// marked number, a marked object; each object in turn gets a property of a marked name.
func TestErrorsTellNoValue(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	refused := 0
	for _, file := range glob(t, "examples/*/valid*.json") {
		var tree any
		if err := json.Unmarshal(read(t, file), &tree); err != nil {
			t.Fatal(err)
		}
		spoil(tree, func() {
			value, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			schema := strings.Split(file, "/")[1]
			err = judge(contract, schema, value)
			if err == nil {
				return
			}
			refused++
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				if strings.Contains(text, marked) || strings.Contains(text, "4711") {
					t.Errorf("%s: the error tells a value: %s", file, text)
				}
			}
		})
	}
	if refused < 1000 {
		t.Errorf("only %d events were refused", refused)
	}
}

// spoil changes one thing in tree at a time, calls check, and changes it back.
func spoil(tree any, check func()) {
	switch tree := tree.(type) {
	case map[string]any:
		tree[marked] = marked
		check()
		delete(tree, marked)
		for _, key := range slices.Sorted(maps.Keys(tree)) {
			was := tree[key]
			for _, value := range []any{marked, "0x" + marked, 4711.5, 4711e30, map[string]any{marked: marked}, []any{marked}} {
				tree[key] = value
				check()
			}
			tree[key] = was
			spoil(was, check)
		}
	case []any:
		for i := range tree {
			was := tree[i]
			tree[i] = marked
			check()
			tree[i] = was
			spoil(was, check)
		}
	}
}

// Personal data does not print, whatever the verb.
func TestTypesPrintNoPersonalData(t *testing.T) {
	t.Parallel()
	document := schemas.Document{Name: marked, Content: marked, URL: marked}
	person := schemas.Person{Forename: marked, Surname: marked, Street: marked}
	data := schemas.CustomerVerified{
		CustomerID: "customer-42", Person: &person,
		Company:           &schemas.Company{CompanyName: marked, Representative: person, IdentityProof: document},
		BankAccount:       schemas.BankAccount{IBAN: marked, AccountHolder: marked},
		Tax:               schemas.Tax{TaxIdentificationNumber: marked},
		Contact:           schemas.Contact{Email: marked},
		Identification:    schemas.Identification{DocumentID: marked, LegitimationProtocol: &document},
		BenefitingPersons: []schemas.BenefitingPerson{{Surname: marked}},
	}
	order := schemas.OrderPaid{SignedDocuments: []schemas.SignedDocument{{Document: document}}}
	e := schemas.Event{ID: "e-1", Source: "/s", Type: "t", Data: []byte(marked), Subject: marked}
	for _, value := range []any{data, &data, order, &order, e, &e, []schemas.Event{e}, person, &person, document} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, marked) || strings.Contains(text, fmt.Sprintf("%x", marked)) {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
	}
	if text := fmt.Sprint(data); !strings.Contains(text, "customer-42") || !strings.Contains(text, "[person]") {
		t.Errorf("got %s", text)
	}
}
