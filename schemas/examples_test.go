package schemas_test

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"distributor-bridge/schemas"
)

// Every example is decoded and judged as an upstream's record would be, in structured mode.
func TestExamples(t *testing.T) {
	t.Parallel()
	contract := newContract(t)
	invalid := map[string]bool{}
	valid := map[string]bool{}
	for _, file := range glob(t, "examples/*/*.json") {
		name, kind := path.Base(path.Dir(file)), path.Base(file)
		t.Run(strings.TrimPrefix(file, "examples/"), func(t *testing.T) {
			t.Parallel()
			got := judge(contract, name, read(t, file))
			if strings.HasPrefix(kind, "valid-") || kind == "valid.json" {
				if got != nil {
					t.Fatalf("a valid example is refused: %v", got)
				}
				return
			}
			var broken *schemas.InvalidError
			if !errors.As(got, &broken) {
				t.Fatalf("got %v, want an *InvalidError", got)
			}
			want := strings.Split(strings.TrimSuffix(string(read(t, strings.TrimSuffix(file, ".json")+".want")), "\n"), "\n")
			var lines []string
			for _, v := range broken.Violations {
				lines = append(lines, v.String())
			}
			if !slices.Equal(lines, want) {
				t.Errorf("violations\n got %q\nwant %q", lines, want)
			}
		})
		if strings.HasPrefix(kind, "invalid-") {
			invalid[name] = true
		} else {
			valid[name] = true
		}
	}
	for _, name := range schemaNames() {
		if !valid[name] || !invalid[name] {
			t.Errorf("%s: has a valid example: %v, an invalid one: %v", name, valid[name], invalid[name])
		}
	}
}

// No example lies where no schema is, and no expectation without its example.
func TestExamplesBelong(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "examples/*/*") {
		if name := path.Base(path.Dir(file)); !slices.Contains(schemaNames(), name) {
			t.Errorf("%s: no schema %s", file, name)
		}
		if stem, ok := strings.CutSuffix(file, ".want"); ok {
			read(t, stem+".json")
		}
	}
}

func judge(contract *schemas.Contract, schemaName string, value []byte) error {
	e, err := contract.Decode(value, structured)
	if err != nil {
		return err
	}
	if strings.HasPrefix(schemaName, "result.") {
		return contract.ValidateResult(e)
	}
	if strings.HasPrefix(schemaName, "command.") {
		return contract.ValidateCommand(e)
	}
	return contract.Validate(e)
}

var structured = []schemas.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}

func schemaNames() []string {
	names := slices.Concat(schemas.EventTypes(), schemas.CommandTypes())
	for _, name := range schemas.ResultTypes() {
		names = append(names, "result."+name)
	}
	return names
}

func newContract(t testing.TB) *schemas.Contract {
	t.Helper()
	contract, err := schemas.New(schemas.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return contract
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := fs.Glob(schemas.Files(), pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(found), err)
	}
	return found
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	content, err := fs.ReadFile(schemas.Files(), file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
