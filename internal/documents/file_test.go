package documents_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"distributor-bridge/internal/documents"
	"distributor-bridge/internal/outcome"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	steps := errors.Join(
		os.Mkdir(root, 0o700),
		os.Mkdir(filepath.Join(root, "dir"), 0o700),
		os.WriteFile(filepath.Join(outside, "secret"), []byte(content), 0o600),
		os.WriteFile(filepath.Join(root, "dir", "f"), []byte(content), 0o600),
		os.Symlink("dir/f", filepath.Join(root, "inside")),
		os.Symlink("../secret", filepath.Join(root, "leads-out")),
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(root, "absolute")),
		os.Symlink("..", filepath.Join(root, "up")),
		os.Symlink("loop", filepath.Join(root, "loop")),
		syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600),
	)
	if steps != nil {
		t.Fatal(steps)
	}
	f := newFetcher(t, documents.Config{FileRoot: root})
	for link, want := range map[string]outcome.Reason{
		"file:///dir/f":            "",
		"file:///inside":           "",
		"file:///dir/../dir/f":     "",
		"file:///nothing":          outcome.DocumentGone,
		"file:///dir/f/x":          outcome.DocumentGone,
		"file:///leads-out":        outcome.DocumentRefusedLink,
		"file:///absolute":         outcome.DocumentRefusedLink,
		"file:///up/secret":        outcome.DocumentRefusedLink,
		"file:///../secret":        outcome.DocumentRefusedLink,
		"file:///%2e%2e/secret":    outcome.DocumentRefusedLink,
		"file:///dir%00f":          outcome.DocumentRefusedLink,
		"file:///loop":             outcome.DocumentRefusedLink,
		"file:///pipe":             outcome.DocumentRefusedLink,
		"file:///dir":              outcome.DocumentRefusedLink,
		"file:///":                 outcome.DocumentRefusedLink,
		"file://host/dir/f":        outcome.DocumentRefusedLink,
		"file:dir/f":               outcome.DocumentRefusedLink,
		"file:///" + outside + "x": outcome.DocumentRefusedLink,
	} {
		got, err := read(t, f, ref(content, link))
		if want == "" {
			if err != nil || string(got) != content {
				t.Errorf("%s: %v", link, err)
			}
			continue
		}
		t.Run(link, func(t *testing.T) { wantVerdict(t, err, outcome.Rejected, want) })
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	_, err := read(t, f, ref(content, "file:///dir/f"))
	wantVerdict(t, err, outcome.Retrying, outcome.Temporary)
}
