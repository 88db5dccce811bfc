package main

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
)

// With the jars there (make test-kafka fetches them), a command gets the address of a real Apache Kafka.
func TestKafkaRunsACommand(t *testing.T) {
	const libs = "../../build/kafka/libs"
	if _, err := os.Stat(libs + "/.complete"); err != nil {
		t.Skip("no jars of Apache Kafka: make test-kafka fetches them")
	}
	t.Parallel()
	var stdout, stderr strings.Builder
	err := run(t.Context(), []string{"kafka", "--libs", libs, "--", "sh", "-c", "echo at $KAFKA_BROKERS; exit 7"},
		os.Environ(), &stdout, &stderr)
	var code exitError
	if !errors.As(err, &code) || code != 7 {
		t.Errorf("ended with %v, want the command's 7; %s", err, &stderr)
	}
	if !regexp.MustCompile(`^at 127\.0\.0\.1:\d+\n$`).MatchString(stdout.String()) {
		t.Errorf("the command said %q", &stdout)
	}
}
