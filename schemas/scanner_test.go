package schemas

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

// FuzzScanner holds the scanner to encoding/json: it takes the same texts, finds the same values in them, and knows which
// are compact.
func FuzzScanner(f *testing.F) {
	paths, err := fs.Glob(files, "examples/*/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := files.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		"", " ", "0", "-0", "00", "-", "+1", "1.", ".5", "1.5e+07", "1e", "1E-1", "0x1", "1 2", "tru", "true", " null ", "NaN",
		`""`, `"`, `"\"`, `"\\"`, `"\x"`, `"\u12G4"`, `"\u1_34"`, `"\ud800"`, `"\u"`, "\"\n\"", "\"\x00\"", "\"\xff\"", `'a'`,
		"[]", "[", "]", "[,]", "[1,]", "[1 1]", "[1}", "[[],[[1]]]", "[]]", "{}", "{", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`,
		`{"a":1 "b":2}`, `{a:1}`, `{1:1}`, `{"a":1]`, `{"a":{"b":[{}, {"c":null}]}} `, "\ufeff{}", "{}\x00", "\x00", "\v1", "[1\u00a0]",
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{text: text}
		raw := s.skip()
		s.end()
		if valid := json.Valid(text); (s.err == nil) != valid {
			t.Fatalf("taken: %v, by encoding/json: %v", s.err == nil, valid)
		}
		if s.err != nil {
			return
		}
		if !bytes.Equal(bytes.TrimSpace(raw), bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("another value: %q", raw)
		}
		var compact bytes.Buffer
		err := json.Compact(&compact, text)
		if _, is := member(text, ""); err != nil || is != (raw[0] == '{' && bytes.Equal(compact.Bytes(), text)) {
			t.Fatalf("compact: %v, %v", is, err)
		}
		tree, keyword := parse(text)
		if keyword != "" {
			return
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil || !reflect.DeepEqual(tree, numbered(want)) {
			t.Fatalf("got %v, want %v, %v", tree, want, err)
		}
		object, _ := want.(map[string]any)
		for name, value := range object {
			want, _ := value.(string)
			if text, _ := member(raw, name); text != want {
				t.Fatalf("member %q: %q, want %q", name, text, want)
			}
		}
	})
}

// numbered gives a tree of encoding/json's with its numbers as the schema library takes them.
func numbered(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		return number(string(tree))
	case []any:
		for i, value := range tree {
			tree[i] = numbered(value)
		}
	case map[string]any:
		for name, value := range tree {
			tree[name] = numbered(value)
		}
	}
	return tree
}

// What breaks several rules of a text is told by the first: what is no JSON, before a key that comes twice.
func TestParseTellsTheFirst(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1,"a":2}`:                      keywordUniqueKeys,
		`{"a":1,"\u0061":2}`:                 keywordUniqueKeys,
		`{"a":1,"a":2`:                       keywordJSON,
		`{"a":1,"a":"` + "\xff" + `"`:        keywordEncoding,
		`{"a":1,"a":"\ud800"}`:               keywordEncoding,
		strings.Repeat("[", maxDepth+1):      keywordJSON,
		nested(maxDepth):                     "",
		nested(maxDepth + 1):                 keywordDepth,
		`{"a":1,"a":` + nested(40) + `}`:     keywordUniqueKeys,
		`{"b":` + nested(40) + `,"b":"\n" }`: keywordDepth,
	} {
		if _, got := parse([]byte(text)); got != want {
			t.Errorf("%.40s: got %q, want %q", text, got, want)
		}
	}
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
