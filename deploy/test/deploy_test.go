// Package deploy_test checks, offline, everything that deploy/ holds: by the libraries of the tools that read it.
package deploy_test

import (
	"os"
	"path/filepath"
	"testing"
)

// root is the repository's, as seen from here.
const root = "../.."

// read gives a file of the repository.
func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
