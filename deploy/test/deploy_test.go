// Package deploy_test checks, offline, everything that deploy/ holds: by the libraries of the tools that read it.
package deploy_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // Helm tells of each symbolic link
	os.Exit(m.Run())
}

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
