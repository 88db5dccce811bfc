package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

var update = flag.Bool("update", false, "write the part of values.schema.json that is made from the bridge's configuration")

const schemaFile = "deploy/helm/distributor-bridge/values.schema.json"

// chartsOwn are keys of the configuration that the chart sets itself, by secrets and ports. Values for them are refused, and so
// is every secret in a configuration.
var chartsOwn = []string{
	"kafka.tls.ca_file", "kafka.tls.cert_file", "kafka.tls.key_file", "kafka.sasl.password_file",
	"api.client_secret_file", "ops.listen",
	"webhooks.listen", "webhooks.token_file", "webhooks.client_secret_file", "webhooks.cert_file", "webhooks.key_file",
}

// In the chart's values nothing can be given for the configuration that the bridge would refuse as unknown, or for which there is
// another way: the schema is made from the bridge's own struct.
func TestSchemaKnowsTheConfiguration(t *testing.T) {
	file := filepath.Join(root, schemaFile)
	have := read(t, schemaFile)
	var schema map[string]any
	if err := json.Unmarshal(have, &schema); err != nil {
		t.Fatal(err)
	}
	section := sectionSchema(t, reflect.TypeFor[bridge.Config](), "")
	section["required"] = []string{"api", "kafka", "offerings", "topics"}
	schema["properties"].(map[string]any)["config"] = section
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(have, want.Bytes()) {
		return
	}
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s does not fit the bridge's configuration: go test -run TestSchemaKnowsTheConfiguration -update in deploy/test writes it",
		schemaFile)
}

// required are the keys without which no bridge starts, with what the schema says of them.
var required = map[string]map[string]any{
	"kafka.brokers":   {"minItems": 1, "items": map[string]any{"type": "string", "pattern": `^.+:[0-9]+$`}},
	"topics.upstream": {"minItems": 1},
	"api.base_url":    {"pattern": "^https://"},
	"api.client_id":   {"minLength": 1},
	"offerings":       {"minProperties": 1},
}

func sectionSchema(t *testing.T, section reflect.Type, path string) map[string]any {
	t.Helper()
	properties, needed := map[string]any{}, []string{}
	for i := range section.NumField() {
		f := section.Field(i)
		name := f.Tag.Get("koanf")
		if name == "" || name == "-" {
			continue
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		if slices.Contains(chartsOwn, key) || f.Type == reflect.TypeFor[config.Secret]() {
			continue
		}
		properties[name] = valueSchema(t, f.Type, key)
		if _, is := required[key]; is {
			needed = append(needed, name)
		}
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(needed) > 0 && path != "" {
		slices.Sort(needed)
		schema["required"] = needed
	}
	return schema
}

func valueSchema(t *testing.T, of reflect.Type, key string) map[string]any {
	t.Helper()
	var schema map[string]any
	switch {
	case of == reflect.TypeFor[time.Duration]():
		schema = map[string]any{"type": "string", "pattern": `^([0-9]+(ms|s|m|h|d))+$`}
	case of.Kind() == reflect.Struct:
		schema = sectionSchema(t, of, key)
	case of.Kind() == reflect.Map:
		one := sectionSchema(t, of.Elem(), key+".*")
		schema = map[string]any{"type": "object", "additionalProperties": one}
	case of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.String:
		schema = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	case of.Kind() == reflect.String:
		schema = map[string]any{"type": "string"}
	case of.Kind() == reflect.Bool:
		schema = map[string]any{"type": "boolean"}
	case of.Kind() == reflect.Int:
		schema = map[string]any{"type": "integer"}
	case of.Kind() == reflect.Float64:
		schema = map[string]any{"type": "number"}
	default:
		t.Fatalf("%s: what is a %s in a schema?", key, of)
	}
	for word, value := range required[key] {
		schema[word] = value
	}
	return schema
}
