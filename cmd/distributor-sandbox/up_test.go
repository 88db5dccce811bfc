package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		if strings.Contains(out.Text(), "/sandbox/faults") {
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
	for _, want := range []string{cfg.Kafka.Brokers[0], cfg.API.BaseURL, "distributor-bridge run --config", "emit", filepath.Join(dir, "bridge.yaml")} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is missing in\n%s", want, told)
		}
	}
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
