package schemas

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// What has a form is known, so that a keyword more in a schema does not slow intake down unseen.
func TestForms(t *testing.T) {
	compiled, err := compile()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, name := range eventTypes {
		if compiled[name].form != nil {
			have = append(have, name)
		}
	}
	want := []string{TypeCustomerWalletAdded, TypeOrderCreditReleased, TypePositionRedeemed, TypePositionTransferred}
	if !slices.Equal(have, want) {
		t.Errorf("%q have forms, want %q", have, want)
	}
	for _, example := range examples(t) {
		form := compiled[example.name].form
		if valid := strings.HasPrefix(path.Base(example.file), "valid"); form != nil && form.accepts(example.data) != valid {
			t.Errorf("%s: accepted: %t", example.file, !valid)
		}
	}
}

// Only the schemas whose keywords are all understood have a form.
func TestNoForm(t *testing.T) {
	defs := map[string]json.RawMessage{
		"text": json.RawMessage(`{"type":"string"}`), "long": json.RawMessage(`{"type":"string","minLength":9}`),
		"other": json.RawMessage(`{"$ref":"#/$defs/text"}`),
	}
	const whole = `{"type":"object","required":["a"],"additionalProperties":false,` +
		`"properties":{"a":{"$ref":"common.schema.json#/$defs/text"}}}`
	for old, replaced := range map[string]string{
		"":                                      "",
		`"additionalProperties":false,`:         "",
		`"additionalProperties":false`:          `"additionalProperties":true`,
		`"type":"object"`:                       `"type":"array"`,
		`"required":["a"]`:                      `"required":["b"]`,
		`"required":["a"],`:                     `"minProperties":2,`,
		"defs/text":                             "defs/long",
		"defs/text\"":                           "defs/other\"",
		"defs/text\"}":                          `defs/text","pattern":"^x$"}`,
		`"$ref":"common.schema.json#/$defs`:     `"$ref":"#/$defs`,
		`"$ref":"common.schema.json#/$defs/t`:   `"$ref":"common.schema.json#/$defs/none`,
		`{"$ref":"common.schema.json#/$defs/te`: `{"type":"string","format":"uuid","description":"`,
		`{"$ref":"common.schema.json#/$defs/`:   `{"type":"number","description":"`,
		`{"$ref":"common.schema.json#/$defs`:    `{"type":"boolean","const":false,"description":"`,
	} {
		var o objectSchema
		schema := strings.Replace(whole, old, replaced, 1)
		if !json.Valid([]byte(schema)) {
			t.Fatalf("%s is a mistake of this test", schema)
		}
		if have := readPlain([]byte(schema), &o) && o.form(defs) != nil; have != (old == "") {
			t.Errorf("%s: has a form: %t", schema, have)
		}
	}
}

// What is of the kind that nearly all events are of needs no tree.
func TestFormIsUsed(t *testing.T) {
	c, err := New(DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	e := Event{
		Name: TypeCustomerWalletAdded, DataContentType: mediaJSON,
		Data: json.RawMessage(`{"customer_id":"c1","address":"0x00000000000000000000000000000000000000ab","receiving_enabled":true}`),
	}
	allocations := testing.AllocsPerRun(100, func() { err = c.Validate(e) })
	if err != nil || allocations > 1 {
		t.Errorf("%v allocations, %v", allocations, err)
	}
}

type exampleData struct {
	file, name string
	data       []byte
}

// examples gives the data of the examples.
func examples(tb testing.TB) []exampleData {
	tb.Helper()
	paths, err := fs.Glob(files, "examples/*/*.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all []exampleData
	for _, file := range paths {
		text, err := files.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var event struct{ Data json.RawMessage }
		if json.Unmarshal(text, &event) == nil { // some are no JSON
			all = append(all, exampleData{file, path.Base(path.Dir(file)), event.Data})
		}
	}
	return all
}

// FuzzForm holds forms to their schemas: what a form accepts, the library accepts.
func FuzzForm(f *testing.F) {
	compiled, err := compile()
	if err != nil {
		f.Fatal(err)
	}
	for _, example := range examples(f) {
		f.Add(example.data)
	}
	const id, address = `"customer_id":"c"`, `"address":"0x00000000000000000000000000000000000000ab"`
	const redeemed = `{"customer_id":"c","redemption_id":"r","offering":"o","units":`
	for _, text := range []string{
		"", "{}", "[]", "null", "{" + id + "}", "{" + id + "," + address + "}", " { " + id + " ,\n" + address + "\t} ",
		"{" + id + "," + address + ",}", "{" + id + "," + address + "} x", "{" + id + "," + address,
		`{"customer_id":"`, `{"customer_id":"c`, `{"customer_id":tru`, `{"customer_id":`,
		"{" + id + "," + address + "," + id + "}", "{" + id + "," + address + `,"address":"x"}`,
		"{" + id + "," + address + `,"receiving_enabled":null}`, "{" + id + "," + address + `,"receiving_enabled":"true"}`,
		"{" + id + "," + address + `,"other":1}`, "{" + id + "," + address + `,"\u0061ddress":"x"}`,
		`{"customer_id":"\u0063",` + address + "}", `{"customer_id":"\ud800",` + address + "}",
		"{\"customer_id\":\"\xff\"," + address + "}",
		`{"customer_id":{},` + address + "}", `{"customer_id":[[[]]],` + address + "}", `{"customer_id":"",` + address + "}",
		redeemed + "9007199254740993}", redeemed + "0}", redeemed + "-0}", redeemed + "1.0}", redeemed + "1e2}", redeemed + `"1"}`,
		redeemed + "1}", redeemed + "1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range slices.Sorted(maps.Keys(compiled)) {
			if s := compiled[name]; s.form.accepts(data) {
				if err := s.judge("/"+memberData, data); err != nil {
					t.Errorf("%s has the form of %s, and is refused: %v", data, name, err)
				}
			}
		}
	})
}
