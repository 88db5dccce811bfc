package schemas_test

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"distributor-bridge/schemas"
)

type asyncAPI struct {
	AsyncAPI string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address  string
		Messages map[string]reference
	}
	Operations map[string]struct {
		Action  string
		Channel reference
	}
	Components struct {
		Messages map[string]struct {
			Name    string
			Traits  []reference
			Headers struct{ Properties map[string]any }
			Payload struct{ Schema reference }
		}
	}
}

type reference struct {
	Ref string `yaml:"$ref"`
}

func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	var doc asyncAPI
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.AsyncAPI != "3.0.0" {
		t.Errorf("asyncapi: %q", doc.AsyncAPI)
	}

	// Each event and result type is one message, with its own schema.
	var payloads, results, events, commands []string
	for id, message := range doc.Components.Messages {
		file := message.Payload.Schema.Ref
		if file == "" {
			continue // dead letters, state, hints
		}
		payloads = append(payloads, file)
		name := strings.TrimSuffix(file, ".schema.json")
		trait := "#/components/messageTraits/cloudEvent"
		switch {
		case strings.HasPrefix(name, "result."):
			trait = "#/components/messageTraits/result"
			results = append(results, id)
		case schemas.IsCommand(name):
			trait = "#/components/messageTraits/command"
			commands = append(commands, id)
		default:
			events = append(events, id)
		}
		if message.Name != strings.TrimPrefix(name, "result.") || !slices.Equal(message.Traits, []reference{{trait}}) {
			t.Errorf("%s: name %q and traits %v do not belong to %s", id, message.Name, message.Traits, file)
		}
	}
	var want []string
	for _, name := range schemaNames() {
		want = append(want, name+".schema.json")
	}
	assertSame(t, "payloads", payloads, want)

	// The topics are the defaults, and each carries what it is for.
	addresses := map[string]string{}
	upstream := []string{}
	for id, channel := range doc.Channels {
		addresses[channel.Address] = id
		messages := slices.Collect(maps.Keys(channel.Messages))
		switch channel.Address {
		case "distributor.inbox":
			assertSame(t, "inbox", messages, slices.Concat(events, commands))
		case "distributor.results":
			assertSame(t, "results", messages, results)
		case "customers", "orders", "payments":
			upstream = append(upstream, messages...)
		}
	}
	assertSame(t, "upstream's topics together", upstream, events)
	assertSame(t, "topics", slices.Collect(maps.Keys(addresses)), []string{"customers", "orders", "payments",
		"distributor.inbox", "distributor.results", "distributor.dead-letters", "distributor.state", "distributor.hints"})
	used := map[string]bool{}
	for _, operation := range doc.Operations {
		used[strings.TrimPrefix(operation.Channel.Ref, "#/channels/")] = true
	}
	assertSame(t, "channels with an operation", slices.Collect(maps.Keys(used)), slices.Collect(maps.Keys(doc.Channels)))
}

func TestAsyncAPIDeadLetterHeaders(t *testing.T) {
	t.Parallel()
	var doc asyncAPI
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(maps.Keys(doc.Components.Messages["deadLetter"].Headers.Properties))
	assertSame(t, "headers of dead letters", got,
		[]string{"dlq_reason", "dlq_class", "dlq_step", "dlq_status", "dlq_fields", "dlq_attempts", "dlq_first_failed_at",
			"dlq_failed_at", "dlq_replays", "dlq_version", "source_topic", "source_partition", "source_offset", "traceparent"})
}

// Every reference leads to something: a file beside this one, or a place in it.
func TestAsyncAPIReferences(t *testing.T) {
	t.Parallel()
	var doc any
	if err := yaml.Unmarshal(read(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, ref := range references(doc) {
		count++
		path, local := strings.CutPrefix(ref, "#/")
		if !local {
			if _, err := fs.Stat(schemas.Files(), ref); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
			continue
		}
		at := doc
		for token := range strings.SplitSeq(path, "/") {
			object, _ := at.(map[string]any)
			at = object[token]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
	if count < len(schemaNames()) {
		t.Errorf("only %d references", count)
	}
}

func references(node any) (all []string) {
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if ref, ok := value.(string); ok && key == "$ref" {
				all = append(all, ref)
				continue
			}
			all = append(all, references(value)...)
		}
	case []any:
		for _, value := range node {
			all = append(all, references(value)...)
		}
	}
	return all
}

func assertSame(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s\n got %q\nwant %q", what, got, want)
	}
}
