package deploy_test

import (
	"strings"
	"testing"
)

// What is wrong is refused before anything reaches a cluster, in words that say where it is wrong.
func TestChartRefuses(t *testing.T) {
	for name, refused := range map[string]struct{ file, change, want string }{
		"an unknown value":          {"minimal", "replica: 3", "replica"},
		"an unknown key":            {"minimal", "config.kafka.brokerz: [a:1]", "brokerz"},
		"a key of the wrong kind":   {"minimal", "config.rules.max_in_flight: many", "/config/rules/max_in_flight"},
		"a number for a duration":   {"minimal", "config.rules.drain: 25", "/config/rules/drain"},
		"a duration without unit":   {"minimal", `config.rules.drain: "25"`, "/config/rules/drain"},
		"a secret":                  {"minimal", "config.api.client_secret: hunter2hunter2", "client_secret"},
		"a password":                {"minimal", "config.kafka.sasl: {mechanism: PLAIN, user: u, password: p}", "password"},
		"a secret's file":           {"minimal", "config.api.client_secret_file: /tmp/secret", "client_secret_file"},
		"a secret in env":           {"minimal", "env: [{name: DISTRIBUTOR_API_CLIENT_SECRET, value: s}]", "/env/0/name"},
		"another port":              {"minimal", `config.ops: {listen: ":9999"}`, "config"},
		"no brokers":                {"minimal", "config.kafka.brokers: []", "/config/kafka/brokers"},
		"a broker without port":     {"minimal", "config.kafka.brokers: [kafka]", "/config/kafka/brokers/0"},
		"no upstream topics":        {"minimal", "config.topics.upstream: []", "/config/topics/upstream"},
		"no offerings":              {"minimal", "config.offerings: {}", "/config/offerings"},
		"plain HTTP to the API":     {"minimal", "config.api.base_url: http://api.example.com", "/config/api/base_url"},
		"no client":                 {"minimal", `config.api.client_id: ""`, "/config/api/client_id"},
		"no secret":                 {"minimal", `secrets.api.name: ""`, "/secrets/api/name"},
		"a digest of something":     {"minimal", "image.digest: latest", "/image/digest"},
		"no members":                {"minimal", "replicas: 0", "/replicas"},
		"members without work":      {"minimal", "replicas: 13", "replicas: 13 members"},
		"KEDA to nothing":           {"full", "keda.minReplicas: 0", "/keda/minReplicas"},
		"KEDA without work":         {"full", "keda.maxReplicas: 25", "keda.maxReplicas: 25 members"},
		"KEDA upside down":          {"full", "keda.minReplicas: 13", "keda.minReplicas"},
		"webhooks for everybody":    {"minimal", "webhooks.enabled: true", "secrets.webhookToken or secrets.webhookClient"},
		"an ingress to nothing":     {"full", "webhooks.enabled: false", "webhooks.enabled is false"},
		"an ingress without TLS":    {"full", `webhooks.ingress.tlsSecret: ""`, "/webhooks/ingress/tlsSecret"},
		"TLS behind the ingress":    {"full", "secrets.webhookTLS.name: tls", "ends TLS"},
		"topics of no cluster":      {"full", `strimzi.cluster: ""`, "strimzi.cluster"},
		"another user's rights":     {"full", "strimzi.user.name: other", "another user"},
		"an unknown role":           {"full", "strimzi.user.roles: [admin]", "/strimzi/user/roles"},
		"a password of nobody":      {"minimal", "secrets.kafkaPassword.name: p", "config.kafka.sasl.mechanism and user are missing"},
		"a user without a password": {"full", `secrets.kafkaPassword.name: ""`, "secrets.kafkaPassword.name is missing"},
		"egress to nowhere":         {"minimal", "networkPolicy.apiTo: []", "/networkPolicy/apiTo"},
		"brokers in plain text":     {"minimal", "config.kafka.tls: {enabled: false}", "config.kafka.tls.plaintext"},
		"files, and no TLS":         {"full", "config.kafka.tls: {enabled: false, plaintext: true}", "secrets.kafkaCA"},
		"a runbook that is no link": {"minimal", "runbookURL: docs/runbook.md", "/runbookURL"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := render(t, values(t, refused.file, refused.change))
			if err == nil {
				t.Fatalf("%q is taken:\n%s", refused.change, files["distributor-bridge/templates/configmap.yaml"])
			}
			if !strings.Contains(strings.ReplaceAll(err.Error(), "'", ""), refused.want) {
				t.Errorf("it says %q, want %q in it", err, refused.want)
			}
		})
	}
}

// Nothing at all is no configuration: what is missing is said at once.
func TestChartNeedsValues(t *testing.T) {
	_, err := render(t, map[string]any{})
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{"kafka/brokers", "topics/upstream", "api/base_url", "api/client_id", "offerings", "secrets/api/name"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing is said of %s: %v", want, err)
		}
	}
}
