package kafka

import (
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
)

// The command that permits what was denied can be pasted into a shell, whatever the user is called.
func TestDeniedQuotes(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		"": "--allow-principal User:NAME --operation", "bridge": "--allow-principal User:bridge --operation",
		"a b; rm it's": `--allow-principal 'User:a b; rm it'\''s' --operation`,
	} {
		c := &Client{cfg: Config{SASL: SASL{User: user}}}
		if got := c.denied(codeError(kafkago.TopicAuthorizationFailed), onTopic("Read", "orders")).Error(); !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}
