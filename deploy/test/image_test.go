package deploy_test

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// An image's parts beside the program: distroless static has certificates, time zones and users, some 2 MB of them; 5 MB leave room.
const (
	baseSize = 5 << 20
	mostSize = 30 << 20
)

// The Dockerfile's steps, by hand, since there is no engine: the context as .dockerignore leaves it, in a folder of its own, and in
// it the very commands of the stages that build. What they make needs nothing but a kernel: no library, no file, no environment.
func TestImageIsBuiltFromItsContext(t *testing.T) {
	if testing.Short() {
		t.Skip("builds both programs")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the programs are for Linux")
	}
	src := scratch(t)
	for stage, program := range map[string]string{"build-bridge": "distributor-bridge", "build-sandbox": "distributor-sandbox"} {
		t.Run(program, func(t *testing.T) {
			out := t.TempDir()
			build := &builder{src: src, out: out, env: []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), // a folder without settings of its own
				"GOMODCACHE=" + goEnv(t, "GOMODCACHE"), "GOCACHE=" + goEnv(t, "GOCACHE"), // as the cache mounts
				"GOPROXY=" + goEnv(t, "GOPROXY"), "GOSUMDB=" + goEnv(t, "GOSUMDB"),
			}, args: map[string]string{"VERSION": "v1.2.3", "COMMIT": "0123abc", "TARGETOS": "linux", "TARGETARCH": runtime.GOARCH}}
			build.stage(t, stage)
			file := filepath.Join(out, program)
			isStatic(t, file)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %.1f MB, with the base at most %.1f MB", program, float64(info.Size())/1e6, float64(info.Size()+baseSize)/1e6)
			if program != "distributor-bridge" {
				return
			}
			if size := info.Size() + baseSize; size >= mostSize {
				t.Errorf("the image has about %d bytes, want less than %d", size, mostSize)
			}
			said := alone(t, file, "version")
			if !strings.HasPrefix(said, "distributor-bridge v1.2.3 (commit 0123abc), go1.") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// dockerignore gives what an engine leaves out.
func dockerignore(t *testing.T) *patternmatcher.PatternMatcher {
	t.Helper()
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return ignored
}

// scratch copies the context into a folder, as an engine would send it.
func scratch(t *testing.T) string {
	t.Helper()
	ignored := dockerignore(t)
	to := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "build"}, rel) {
				return filepath.SkipDir // large, and ignored: TestContext holds that
			}
			return nil
		}
		out, err := ignored.MatchesOrParentMatches(rel)
		if err != nil || out {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // of the repository
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Nothing is sent to an engine that no image is made of; secrets that lie about least of all.
func TestContext(t *testing.T) {
	ignored := dockerignore(t)
	for path, want := range map[string]bool{
		".git/config": true, "build/bin/distributor-bridge": true, "sandbox-data/secret": true, "config.yaml": true, "deploy/Dockerfile": true,
		"cmd/distributor-bridge/cli_test.go": true, "cmd/distributor-bridge/testdata/help.txtar": true, ".env": true, "README.md": true,
		"go.mod": false, "go.sum": false, "cmd/distributor-bridge/main.go": false, "schemas/asyncapi.yaml": false,
		"internal/sandbox/openapi.yaml": false,
	} {
		if out, err := ignored.MatchesOrParentMatches(path); err != nil || out != want {
			t.Errorf("%s: ignored %v, want %v; %v", path, out, want, err)
		}
	}
}

// builder does what the Dockerfile's building stages say, with /src and /out as folders of a test.
type builder struct {
	src, out string
	env      []string
	args     map[string]string // what a build is given
}

// stage runs a stage's commands after those of the stages that it is made from.
func (b *builder) stage(t *testing.T, name string) {
	t.Helper()
	file, err := parser.Parse(bytes.NewReader(read(t, "deploy/Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(file.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no stage %s", name)
	}
	if from := stages[i].BaseName; slices.ContainsFunc(stages, func(s instructions.Stage) bool { return s.Name == from }) {
		b.stage(t, from)
	}
	for _, command := range stages[i].Commands {
		b.do(t, command)
	}
}

func (b *builder) do(t *testing.T, command instructions.Command) {
	t.Helper()
	switch c := command.(type) {
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			b.env = append(b.env, pair.String())
		}
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			value := b.args[arg.Key]
			if value == "" && arg.Value != nil {
				value = *arg.Value
			}
			b.env = append(b.env, arg.Key+"="+value)
		}
	case *instructions.WorkdirCommand:
		if c.Path != "/src" {
			t.Fatalf("the builder knows no folder %s", c.Path)
		}
	case *instructions.CopyCommand: // into the working folder, where the context is already
		for _, path := range c.SourcePaths {
			if _, err := os.Stat(filepath.Join(b.src, path)); err != nil {
				t.Errorf("COPY %s: %v", path, err)
			}
		}
	case *instructions.RunCommand:
		line := strings.ReplaceAll(strings.Join(c.CmdLine, " "), "/out/", b.out+"/")
		run := exec.CommandContext(t.Context(), "/bin/sh", "-c", line) //nolint:gosec // the Dockerfile's
		run.Dir, run.Env = b.src, b.env
		if said, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, said)
		}
	default:
		t.Fatalf("the builder knows no %s", command.Name())
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "go", "env", name).Output() //nolint:gosec // names of this file
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(said))
}

// isStatic says that the program asks for no loader and no library.
func isStatic(t *testing.T, file string) {
	t.Helper()
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close() //nolint:errcheck // it was only read
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("it needs a loader")
		}
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v, %v", libraries, err)
	}
}

// alone runs a program without any environment; where the test may, for the image's user and with nothing on the disk but itself.
func alone(t *testing.T, file string, args ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), file, args...) //nolint:gosec // built above
	if os.Geteuid() == 0 {
		jail := t.TempDir()
		text, err := os.ReadFile(file) //nolint:gosec // built above
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(jail, "program"), text, 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		run = exec.CommandContext(t.Context(), "/program", args...) //nolint:gosec // built above
		run.Dir = "/"
		run.SysProcAttr = &syscall.SysProcAttr{Chroot: jail, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	run.Env = []string{}
	said, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}
