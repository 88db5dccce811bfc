package distributorbridge_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var documented = flag.Bool("documents", false, "do what the documents tell their readers to type")

// TestDocuments does what the README and the guides tell their readers to type, in the order of each document, in a folder
// that looks like a checkout, with the real programs. What cannot be done here is held to what can be known of it; a command
// of which nothing is known fails.
func TestDocuments(t *testing.T) {
	if !*documented {
		t.Skip("it takes minutes: make docs")
	}
	t.Parallel()
	bin := programs(t)
	for _, file := range documents(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, file, bin)
			for _, b := range blocks(t, file) {
				for _, c := range b.commands() {
					s.do(t, c)
				}
				if b.language == "go" {
					s.compile(t, b)
				}
			}
			for _, c := range spans(t, file) {
				s.parse(t, c)
			}
			s.end(t)
			for _, w := range s.wants {
				t.Errorf("%s has no command %q any more, of which the test knows what it tells", file, w.command)
			}
		})
	}
}

// programs builds both, and reads what they are made of in this process, so that a cached result is void once that changes.
func programs(t *testing.T) string {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (path == "build" || strings.HasPrefix(path, ".") && path != ".") {
			return filepath.SkipDir
		}
		if err == nil && (strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "schemas")) {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "./cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// story is a document being done.
type story struct {
	file, dir string
	environ   []string
	ops       string            // where the next bridge serves its health: the first one where documents say
	replace   *strings.Replacer // of the documents' addresses; nil until there are a broker and an API
	stay      []*stayed
	wants     []want // what commands still to come tell
}

// stayed is a command that goes on while others are done.
type stayed struct {
	command
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when it has ended
	err   error         // how; set before ended is closed
}

// output is what a command has said so far.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newStory(t *testing.T, file, bin string) *story {
	t.Helper()
	s := &story{file: file, dir: t.TempDir(), wants: wanted[file]}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schemas", "deploy", "docs"} {
		if err := os.Symlink(filepath.Join(here, name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DISTRIBUTOR_") && !strings.HasPrefix(v, "KAFKA_") && !strings.HasPrefix(v, "PATH=") {
			s.environ = append(s.environ, v)
		}
	}
	// curl tells errors of HTTP by its exit code, and no progress.
	if err := os.WriteFile(filepath.Join(s.dir, ".curlrc"), []byte("silent\nshow-error\nfail-with-body\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.environ = append(s.environ, "CURL_HOME="+s.dir, "USER=reader", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return s
}

// typed gives a command as it is run here: built programs, and the addresses that they have.
func (s *story) typed(c command) string {
	text := strings.NewReplacer("go run ./cmd/", "", "./distributor-bridge", "distributor-bridge").Replace(c.text)
	if s.replace != nil {
		text = s.replace.Replace(text)
	}
	return text
}

// Programs that are there wherever these tests run.
var everywhere = []string{"curl", "cat", "cp", "mkdir", "printf", "echo", "sed", "sleep", "kill", "export"}

// Commands that go on until they are stopped.
var stays = regexp.MustCompile(`^distributor-(bridge run|sandbox up|sandbox results .*--follow) `)

// Commands that take longer than a reader of a document waits for: they have tests of their own.
var long = regexp.MustCompile(`^distributor-sandbox (demo|bench|chaos|kafka|api)\b`)

// do does a command, or holds it to what is known of it.
func (s *story) do(t *testing.T, c command) {
	t.Helper()
	text := s.typed(c)
	program := firstWord.FindStringSubmatch(text)
	switch {
	case program == nil:
		t.Errorf("%s:%d: no program: %s", s.file, c.line, c.text)
	case program[1] == "make" || program[1] == "go":
		s.target(t, c)
	case elsewhere[program[1]] != "":
		s.files(t, c)
	case long.MatchString(text), strings.HasPrefix(program[1], "distributor-") && placeholder(text):
		s.parse(t, c)
	case stays.MatchString(text + " "):
		s.start(t, c)
	case strings.HasPrefix(program[1], "distributor-"), slices.Contains(everywhere, program[1]):
		s.run(t, c)
	default:
		t.Errorf("%s:%d: the test does not know %s: it neither runs it nor knows why not (```text, if it is no command)", s.file, c.line, program[1])
	}
}

// placeholder says whether a command has a word that a reader has to replace.
func placeholder(text string) bool {
	bare := regexp.MustCompile(`'[^']*'|"[^"]*"|#.*`).ReplaceAllString(text, "")
	return regexp.MustCompile(`(^|[ /=])[A-Z][A-Z-]+( |$)`).MatchString(bare)
}

// start starts a command that stays. The first one of a document is told the ports.
func (s *story) start(t *testing.T, c command) {
	t.Helper()
	text := s.typed(c)
	up := strings.HasPrefix(text, "distributor-sandbox up ")
	if !up && s.replace == nil {
		s.start(t, command{c.line, "distributor-sandbox up --data sandbox-data"})
		text = s.typed(c)
	}
	if text = strings.TrimSpace(regexp.MustCompile(` #.*`).ReplaceAllString(text, "")); up {
		text += " --kafka-port 0 --api-port 0"
	}
	one := &stayed{command: c, out: &output{}, ended: make(chan struct{})}
	one.cmd = exec.CommandContext(t.Context(), "bash", "-c", "exec "+text)
	one.cmd.Dir, one.cmd.Env, one.cmd.Stdout, one.cmd.Stderr = s.dir, s.environ, one.out, one.out
	if strings.HasPrefix(text, "distributor-bridge run ") {
		one.cmd.Env = append(slices.Clone(s.environ), "DISTRIBUTOR_OPS_LISTEN="+s.ops)
		s.ops = freePort(t) // of the next one
	}
	one.cmd.Cancel = func() error { return one.cmd.Process.Signal(syscall.SIGTERM) }
	one.cmd.WaitDelay = time.Minute
	if err := one.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process, which the test's context ends
		one.err = one.cmd.Wait()
		close(one.ended)
	}()
	t.Cleanup(func() { <-one.ended })
	s.stay = append(s.stay, one)
	if up {
		s.settle(t, one)
	}
}

var (
	brokerAt = regexp.MustCompile(`broker +(127\.0\.0\.1:\d+)`)
	apiAt    = regexp.MustCompile(`API +http://(127\.0\.0\.1:\d+)/`)
	secretAt = "sandbox-data/client-secret"
)

// settle waits until "up" has said where broker and API are, and lets all other commands find them: those that name their
// addresses, and those with a configuration that is not the sandbox's.
func (s *story) settle(t *testing.T, up *stayed) {
	t.Helper()
	s.await(t, up.command, func() (bool, string) {
		told := up.out.String()
		return strings.Contains(told, `"applied": true`), told
	})
	told := up.out.String()
	broker, api := brokerAt.FindStringSubmatch(told)[1], apiAt.FindStringSubmatch(told)[1]
	s.ops = freePort(t)
	s.replace = strings.NewReplacer("127.0.0.1:9092", broker, "127.0.0.1:8080", api, "127.0.0.1:9090", s.ops)
	s.environ = append(s.environ,
		"KAFKA_BROKERS="+broker, "DISTRIBUTOR_KAFKA_BROKERS="+broker, "DISTRIBUTOR_API_BASE_URL=http://"+api+"/api/external",
		"DISTRIBUTOR_API_CLIENT_ID=bridge", "DISTRIBUTOR_API_CLIENT_SECRET_FILE="+filepath.Join(s.dir, secretAt),
		"DISTRIBUTOR_TOPICS_REPLICATION=1", "DISTRIBUTOR_TOPICS_MIN_INSYNC_REPLICAS=1",
	)
}

// freePort gives an address that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// run runs a command: if it is known what it tells, again and again until it does, since what it tells of comes in its own
// time; else once.
func (s *story) run(t *testing.T, c command) {
	t.Helper()
	if s.replace == nil && regexp.MustCompile(`distributor-|127\.0\.0\.1`).MatchString(s.typed(c)) {
		s.start(t, command{c.line, "distributor-sandbox up --data sandbox-data"})
	}
	if strings.HasPrefix(c.text, "export ") {
		s.environ = append(s.environ, strings.TrimPrefix(s.typed(c), "export "))
		return
	}
	var expected *want
	if len(s.wants) > 0 && strings.Contains(c.text, s.wants[0].command) {
		expected, s.wants = &s.wants[0], s.wants[1:]
	}
	try := func() (bool, string) {
		cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", s.typed(c))
		cmd.Dir, cmd.Env = s.dir, s.environ
		out, _ := cmd.CombinedOutput() // the exit code tells
		code := cmd.ProcessState.ExitCode()
		told := fmt.Sprintf("exit code %d: %s", code, out)
		if expected == nil {
			return code == 0, told
		}
		return code == expected.exit && regexp.MustCompile(expected.tells).Match(out), told
	}
	if expected != nil {
		s.await(t, c, try)
	} else if succeeded, told := try(); !succeeded {
		t.Fatalf("%s:%d: %s: %s", s.file, c.line, c.text, told)
	}
}

// compile runs a whole program of a document, in this module, which has the libraries.
func (s *story) compile(t *testing.T, b block) {
	t.Helper()
	file := filepath.Join(s.dir, fmt.Sprintf("line%d.go", b.line))
	if err := os.WriteFile(file, []byte(s.replace.Replace(strings.Join(b.lines, "\n"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput(); err != nil {
		t.Fatalf("%s:%d: %v: %s", s.file, b.line, err, out)
	}
}

// await looks until it is so.
func (s *story) await(t *testing.T, c command, look func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		is, told := look()
		if is {
			return
		}
		for _, one := range s.stay {
			select {
			case <-one.ended:
				t.Fatalf("%s:%d: %s: ended by itself: %v\n%s", s.file, one.line, one.text, one.err, one.out)
			default:
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s:%d: %s: %s", s.file, c.line, c.text, told)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// end stops what stays: each has to end in order.
func (s *story) end(t *testing.T) {
	t.Helper()
	for _, one := range slices.Backward(s.stay) {
		_ = one.cmd.Process.Signal(syscall.SIGTERM) // one that has ended tells so below
		if <-one.ended; one.err != nil {
			t.Errorf("%s:%d: %s: %v\n%s", s.file, one.line, one.text, one.err, one.out)
		}
	}
}
