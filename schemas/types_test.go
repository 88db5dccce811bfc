package schemas

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Each Go type has the properties of its schema, neither more nor less, with the same JSON types, and what the schema does
// not require is left out of JSON when it is absent.
func TestTypesFollowSchemas(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(dataTypes)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk := typeWalk{t, strings.HasPrefix(name, "result.")}
			walk.value("", document(t, name), dataTypes[name], true)
		})
	}
}

type typeWalk struct {
	t      *testing.T
	result bool
}

func (w typeWalk) value(at string, schema map[string]any, typ reflect.Type, required bool) {
	schema = resolve(w.t, schema)
	if typ.Kind() == reflect.Pointer {
		if required {
			w.t.Errorf("%s: required, but a pointer", at)
		}
		typ = typ.Elem()
	} else if !required && (typ.Kind() == reflect.Struct || typ.Kind() == reflect.Bool && !w.result) {
		w.t.Errorf("%s: optional, but absent cannot be told from empty", at)
	}
	kinds := map[string][]reflect.Kind{
		"object": {reflect.Struct}, "array": {reflect.Slice}, "string": {reflect.String}, "boolean": {reflect.Bool},
		"integer": {reflect.Int, reflect.Int64},
	}
	kind, _ := schema["type"].(string)
	if !slices.Contains(kinds[kind], typ.Kind()) {
		w.t.Errorf("%s: schema says %q, Go says %s", at, kind, typ)
		return
	}
	switch kind {
	case "object":
		w.object(at, schema, typ)
	case "array":
		w.value(at+"/0", schema["items"].(map[string]any), typ.Elem(), true)
	}
}

func (w typeWalk) object(at string, schema map[string]any, typ reflect.Type) {
	if schema["additionalProperties"] != false {
		w.t.Errorf("%s: unknown properties are allowed", at)
	}
	properties := schema["properties"].(map[string]any)
	var fields []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields = append(fields, name)
		property, ok := properties[name].(map[string]any)
		if !ok {
			continue // reported below
		}
		required := slices.Contains(texts(schema["required"]), name)
		if required == (options == "omitempty") {
			w.t.Errorf("%s/%s: required is %v, but the tag's options are %q", at, name, required, options)
		}
		w.value(at+"/"+name, property, field.Type, required)
	}
	slices.Sort(fields)
	if want := slices.Sorted(maps.Keys(properties)); !slices.Equal(fields, want) {
		w.t.Errorf("%s: properties\n  Go %q\nwant %q", at, fields, want)
	}
}

// The sets of words that Go names are those that the schemas allow.
func TestWordsFollowSchemas(t *testing.T) {
	t.Parallel()
	property := func(name, property string) []string {
		properties := document(t, name)["properties"].(map[string]any)
		return texts(resolve(t, properties[property].(map[string]any))["enum"])
	}
	words := func(reasons []Reason) (all []string) {
		for _, reason := range reasons {
			all = append(all, string(reason))
		}
		return all
	}
	common := document(t, "common")["$defs"].(map[string]any)
	wish := common["walletWish"].(map[string]any)["properties"].(map[string]any)["kind"].(map[string]any)
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"waiting", words(WaitingReasons()), property("result.event.waiting", "reason")},
		{"rejected", words(RejectedReasons()), property("result.event.rejected", "reason")},
		{"unresolved", words(UnresolvedReasons()), property("result.event.unresolved", "reason")},
		{"wallet wish", []string{WalletManaged, WalletOwn, WalletNone}, texts(wish["enum"])},
		{"wallet", []string{WalletManaged, WalletOwn, WalletLinked}, property("result.wallet.created", "kind")},
		{"salutation", []string{SalutationMR, SalutationMS}, texts(common["salutation"].(map[string]any)["enum"])},
		{"parts", []string{PartPerson, PartCompany, PartBankAccount, PartTax, PartContact, PartIdentification,
			PartIsBeneficiary, PartBenefitingPersons}, texts(common["part"].(map[string]any)["enum"])},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: Go has %q, the schema %q", c.what, c.got, c.want)
		}
	}
}

// Each type has a schema of its name and a Go type, and there is no schema without a type.
func TestSchemaFiles(t *testing.T) {
	t.Parallel()
	want := []string{"common"}
	want = append(want, EventTypes()...)
	want = append(want, CommandTypes()...)
	for _, name := range ResultTypes() {
		want = append(want, resultSchema(name))
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), schemaSuffix)
		if !ok {
			continue
		}
		got = append(got, name)
		if id := document(t, name)["$id"]; id != schemaBase+entry.Name() {
			t.Errorf("%s: $id is %v", entry.Name(), id)
		}
		if _, ok := dataTypes[name]; !ok && name != "common" {
			t.Errorf("%s: no Go type", entry.Name())
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("schemas\n got %q\nwant %q", got, want)
	}
}

func document(t *testing.T, name string) map[string]any {
	t.Helper()
	file, err := files.ReadFile(name + schemaSuffix)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(file, &doc); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

// resolve follows references, which all lead into common.
func resolve(t *testing.T, schema map[string]any) map[string]any {
	t.Helper()
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	_, name, _ := strings.Cut(ref, "#/$defs/")
	target, ok := document(t, "common")["$defs"].(map[string]any)[name].(map[string]any)
	if !ok {
		t.Fatalf("%s leads nowhere", ref)
	}
	return resolve(t, target)
}

func texts(list any) (all []string) {
	items, _ := list.([]any)
	for _, item := range items {
		all = append(all, item.(string))
	}
	return all
}
