package broker

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EnvBrokers names the environment variable with the brokers (host:port, comma-separated) that ForTest gives.
const EnvBrokers = "KAFKA_BROKERS"

// ForTest gives the brokers that a test shall use: those of KAFKA_BROKERS if set, else an in-process one that ends
// with the test.
func ForTest(t testing.TB) (brokers []string) {
	t.Helper()
	if env := os.Getenv(EnvBrokers); env != "" {
		return strings.Split(env, ",")
	}
	b, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Addrs()
}

// Name gives a topic, group or transactional ID that no other test and no other run has: readable, then random.
func Name(t testing.TB, what string) string {
	t.Helper()
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, t.Name())
	name = name[:min(len(name), 120)]
	return name + "." + what + "." + hex.EncodeToString(random[:])
}

// DeleteTopic deletes a topic.
func DeleteTopic(t testing.TB, c *kgo.Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.TimeoutMillis = []string{topic}, 10_000
	asked := kmsg.NewDeleteTopicsRequestTopic()
	asked.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, asked)
	answer, err := req.RequestWith(t.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal("delete a topic:", err)
	}
}
