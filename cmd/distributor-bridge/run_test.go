package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"distributor-bridge/internal/broker"
)

// settings gives a configuration file for a Kafka of the test's own, whose topics do not exist yet.
func settings(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := `
kafka: {brokers: ["` + strings.Join(broker.ForTest(t), `","`) + `"]}
group: {name: ` + broker.Name(t, "group") + `}
topics:
  upstream: [` + broker.Name(t, "orders") + `]
  prefix: ` + broker.Name(t, "") + `.
  partitions: 2
  replication: 1
  min_insync_replicas: 1
api: {base_url: "http://127.0.0.1:1/api", client_id: me, client_secret: hunter2}
ops: {listen: ""}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func createTopics(t *testing.T, file string) {
	t.Helper()
	if out, err := exec.Command(program, "topics", "create", "--yes", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Stopped by a signal, the program ends in order, and says so: in JSON, without a secret.
func TestRunUntilSignal(t *testing.T) {
	t.Parallel()
	file := settings(t)
	createTopics(t, file)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "run", "--config", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var messages []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct{ Level, Time, Message string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Level == "" || line.Time == "" {
			t.Errorf("no JSON log line: %s", lines.Text())
		}
		if strings.Contains(lines.Text(), "hunter2") {
			t.Errorf("a secret in the log: %s", lines.Text())
		}
		messages = append(messages, line.Message)
		if line.Message == "started" {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if n := len(messages); n < 2 || messages[n-1] != "stopped" {
		t.Errorf("log %q, want it to begin with started and to end with stopped", messages)
	}
}

// Interrupted, a command that reads says that it has not read all, and that this is no harm.
func TestReadingInterrupted(t *testing.T) {
	t.Parallel()
	file := settings(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"dead", "list"}, {"held", "list"}, {"status", "customer-1"}} {
		var out, told strings.Builder
		err := run(ctx, append(args, "--config", file), nil, nil, &out, &told)
		if code := report(err, &told); code != 1 || out.Len() > 0 || !strings.Contains(told.String(), "interrupted") {
			t.Errorf("%s: exit code %d, %q, %q", args, code, out.String(), told.String())
		}
	}
}

// The program serves its health and its numbers where the configuration says, its version and Go's own among them; a second one with
// the same address says which key is to be changed.
func TestRunServesOps(t *testing.T) {
	t.Parallel()
	file := settings(t)
	createTopics(t, file)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "run", "--config", file)
	cmd.Env = append(os.Environ(), "DISTRIBUTOR_OPS_LISTEN=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var line struct{ Address, Message string }
	for !strings.Contains(line.Message, "health and metrics are served") && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // the pipe's end
	get := func(path string) string {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+line.Address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if got := get("/livez"); got != `{"alive":true}`+"\n" {
		t.Errorf("/livez says %s", got)
	}
	if got := get("/readyz"); !strings.Contains(got, `"ready":false`) { // nobody gives it a token
		t.Errorf("/readyz says %s", got)
	}
	numbers := get("/metrics")
	for _, want := range []string{
		"\ngo_goroutines ", "\nprocess_open_fds ", "\ndistributor_bridge_token_age_seconds ",
		"\ndistributor_bridge_build_info{go_version=\"" + runtime.Version() + `",version="`,
	} {
		if !strings.Contains(numbers, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	second := exec.CommandContext(ctx, program, "run", "--config", file)
	second.Env = append(os.Environ(), "DISTRIBUTOR_OPS_LISTEN="+line.Address)
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run: ops.listen: ") || !strings.Contains(string(out), "choose another address") {
		t.Errorf("the second ended with %v: %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
