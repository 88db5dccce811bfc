package outcome_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"distributor-bridge/internal/outcome"
)

// Classes leaves none out, as the source says.
func TestClasses(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []outcome.Class
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Class" {
			return true
		}
		word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared = append(declared, outcome.Class(word))
		return true
	})
	if len(declared) == 0 || !slices.Equal(declared, outcome.Classes()) {
		t.Errorf("Classes gives %q, declared are %q", outcome.Classes(), declared)
	}
}
