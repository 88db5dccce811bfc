package handlers_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strconv"
	"testing"

	"distributor-bridge/internal/outcome"
	"distributor-bridge/schemas"
)

// TestReasons holds the reasons of the schemas, and of the Go types beside them, to those that verdicts give. Neither
// package knows the other.
func TestReasons(t *testing.T) {
	t.Parallel()
	inside := []string{ // never in a result
		string(outcome.Temporary), string(outcome.StatusPending), string(outcome.Superseded),
		string(outcome.Paused), string(outcome.NotCurrent), string(outcome.ForeignCommand),
		string(outcome.TooLarge), string(outcome.Undecodable), string(outcome.UnknownType), // intake's, in dead letters only
		string(outcome.NeverResolved), // in dead letters only: the result tells why it was unknown, and that it is given up
	}
	told := inside
	for typ, reasons := range map[string][]schemas.Reason{
		schemas.TypeEventWaiting:    schemas.WaitingReasons(),
		schemas.TypeEventRejected:   schemas.RejectedReasons(),
		schemas.TypeEventUnresolved: schemas.UnresolvedReasons(),
	} {
		var words []string
		for _, r := range reasons {
			words = append(words, string(r))
		}
		if enum := enumOfReason(t, typ); !same(enum, words) {
			t.Errorf("the schema of %s lists %q, its Go type %q", typ, enum, words)
		}
		told = append(told, words...)
	}
	if known := reasonsOfOutcome(t); !same(known, told) {
		t.Errorf("outcome has the reasons %q; results and the inside have %q", known, told)
	}
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func enumOfReason(t *testing.T, typ string) []string {
	t.Helper()
	raw, err := fs.ReadFile(schemas.Files(), "result."+typ+".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct{ Reason struct{ Enum []string } }
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Properties.Reason.Enum
}

// reasonsOfOutcome reads the constants of type Reason from the source, so that a new one is not forgotten.
func reasonsOfOutcome(t *testing.T) (reasons []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../internal/outcome/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Reason" {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		reasons = append(reasons, word)
		return true
	})
	return reasons
}
