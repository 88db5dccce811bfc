package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
	"distributor-bridge/internal/kafka"
)

// startUp runs the command until it has told all, and gives what it told, and what stops it.
func startUp(t *testing.T, dir string, args ...string) (told string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1) // one send
	go func() {                  // ends with ctx
		err := run(ctx, append([]string{"up", "--data", dir, "--kafka-port", "0", "--api-port", "0"}, args...), nil, w, io.Discard)
		_ = w.CloseWithError(io.EOF)
		ended <- err
	}()
	out := bufio.NewScanner(r)
	for out.Scan() {
		told += out.Text() + "\n"
		if strings.Contains(out.Text(), `"applied": true`) {
			break
		}
	}
	return told, func() error {
		cancel()
		_ = r.Close()
		return <-ended
	}
}

func loadConfig(t *testing.T, dir string) bridge.Config {
	t.Helper()
	cfg := bridge.Default()
	if err := config.Load(&cfg, filepath.Join(dir, "bridge.yaml"), nil, "BRIDGE_"); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	told, stop := startUp(t, dir)
	cfg := loadConfig(t, dir) // strictly, and validated
	for _, want := range []string{
		cfg.Kafka.Brokers[0], cfg.API.BaseURL, "distributor-bridge run", "--config " + filepath.Join(dir, "bridge.yaml"),
		"distributor-sandbox emit", "distributor-sandbox results --dead", "/sandbox/doubles", "[] is good",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is missing in\n%s", want, told)
		}
	}
	checkColumns(t, told)
	info, err := os.Stat(cfg.API.ClientSecretFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file: %v, %v", info, err)
	}
	secret, err := os.ReadFile(cfg.API.ClientSecretFile)
	if err != nil || strings.Contains(told, strings.TrimSpace(string(secret))) {
		t.Errorf("the secret is told, or there is none: %v", err)
	}
	client, err := kafka.New(kafka.Config{Brokers: cfg.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	topics, err := client.Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := cfg.Topics.Names()
	for _, topic := range append(cfg.Topics.Upstream, names.Inbox, names.Results, names.DeadLetters, names.State, names.Hints) {
		if topics[topic].Partitions == 0 {
			t.Errorf("topic %s does not exist", topic)
		}
	}
	client.Close()
	if err := stop(); err != nil {
		t.Fatalf("stopped with %v", err)
	}
}

// With a URL of this machine the bridge takes the API's webhooks there, with the token that the API sends.
func TestUpWebhooks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	told, stop := startUp(t, dir, "--webhook-url", "http://localhost:1/webhooks/investments")
	cfg := loadConfig(t, dir)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w := cfg.Webhooks; w.Listen != "127.0.0.1:1" || len(w.Token) < 16 || w.TokenFile != filepath.Join(dir, "webhook-token") {
		t.Errorf("listens at %q, token of %d characters in %s", w.Listen, len(w.Token), w.TokenFile)
	}
	if strings.Contains(told, string(cfg.Webhooks.Token)) {
		t.Error("the token is told")
	}
	other := filepath.Join(t.TempDir(), "data")
	_, stop = startUp(t, other, "--webhook-url", "https://hints.example.org/", "--webhook-token", "agreed-upon-token")
	cfg = loadConfig(t, other)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if cfg.Webhooks.Listen != "" {
		t.Errorf("it listens at %q for webhooks that go elsewhere", cfg.Webhooks.Listen)
	}
}

// What is written for development is short, and stays in the order that the bridge's promises need.
func TestUpTimes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := startUp(t, dir)
	cfg := loadConfig(t, dir)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]time.Duration{
		"group.session": {cfg.Group.Session, 6 * time.Second}, "group.heartbeat": {cfg.Group.Heartbeat, time.Second},
		"group.rebalance": {cfg.Group.Rebalance, 12 * time.Second}, "rules.drain": {cfg.Rules.Drain, 10 * time.Second},
		"api.timeouts.call":       {cfg.API.Timeouts.Call, 8 * time.Second},
		"api.timeouts.first_byte": {cfg.API.Timeouts.FirstByte, 6 * time.Second},
		"api.timeouts.token":      {cfg.API.Timeouts.Token, 6 * time.Second},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %s, want %s", name, c[0], c[1])
		}
	}
	if cfg.Rules.Lease >= cfg.Group.Session {
		t.Errorf("one whose session of %s is over could still call within its lease of %s", cfg.Group.Session, cfg.Rules.Lease)
	}
}

// A port that is taken is found before anything is written, or forgotten.
func TestUpPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, which := range []string{"--kafka-port", "--api-port"} {
		dir := t.TempDir()
		kept := filepath.Join(dir, "kafka")
		if err := os.Mkdir(kept, 0o700); err != nil {
			t.Fatal(err)
		}
		args := []string{"up", "--data", dir, "--fresh", "--kafka-port", "0", "--api-port", "0", which, port}
		err := run(t.Context(), args, nil, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), which+" chooses another one") {
			t.Errorf("%s: error %v", which, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 || entries[0].Name() != "kafka" {
			t.Errorf("%s: the folder has %v, %v: want kafka as it was", which, entries, err)
		}
	}
}

// The second start finds the data, and leaves a bridge.yaml that is not its own as it is; a fresh one forgets.
func TestUpAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, end := startUp(t, dir)
	if out, err := emitTo(t, loadConfig(t, dir).Kafka.Brokers[0]); err != nil {
		t.Errorf("emit: %v, %s", err, out)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "bridge.yaml")
	if err := os.WriteFile(own, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told, stop := startUp(t, dir)
	if text, err := os.ReadFile(own); err != nil || string(text) != "# mine\n" || !strings.Contains(told, "yours") {
		t.Errorf("bridge.yaml is now %q, %v\n%s", text, err, told)
	}
	if n := events(t, told); n != 12 {
		t.Errorf("the broker has kept %d events, want 12", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	told, stop = startUp(t, dir, "--fresh")
	if n := events(t, told); n != 0 {
		t.Errorf("there are %d events after a fresh start", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func emitTo(t *testing.T, brokers string) (string, error) {
	var out strings.Builder
	err := run(t.Context(), []string{"emit", "--brokers", brokers, "--stream", "--rate", "0", "--count", "12"}, nil, &out, io.Discard)
	return out.String(), err
}

// events counts what is in upstream's topics at the broker that was told of.
func events(t *testing.T, told string) int {
	t.Helper()
	_, rest, _ := strings.Cut(told, "broker ")
	client, err := kafka.New(kafka.Config{Brokers: strings.Fields(rest)[:1]})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n := 0
	for _, topic := range upstreamTopics {
		ends, err := client.EndOffset(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range ends {
			n += int(end)
		}
	}
	return n
}
