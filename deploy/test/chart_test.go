package deploy_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	security "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

// samples are the chart's sample values, in its folder ci.
var samples = []string{"minimal", "full", "mtls"}

func forSamples(t *testing.T, test func(t *testing.T, all objects)) {
	t.Helper()
	for _, sample := range samples {
		t.Run(sample, func(t *testing.T) { test(t, manifests(t, values(t, sample))) })
	}
}

func TestChartLints(t *testing.T) {
	for _, sample := range samples {
		for _, m := range lint.RunAll(filepath.Join(root, chartFolder), values(t, sample), "securities").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", sample, m)
			}
		}
	}
}

// Each sample makes what it switches on, and nothing else.
func TestChartMakes(t *testing.T) {
	common := []string{"ConfigMap", "Deployment", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount"}
	want := map[string][]string{
		"minimal": common,
		"full": append([]string{
			"ConfigMap", "Ingress", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaUser",
			"PrometheusRule", "ScaledObject", "Service", "ServiceMonitor", "TriggerAuthentication",
		}, common...),
		"mtls": {
			"ConfigMap", "Deployment", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaTopic", "KafkaUser",
			"Pod", "ScaledObject", "Service", "Service", "ServiceAccount", "TriggerAuthentication",
		},
	}
	for _, sample := range samples {
		var have []string
		for _, object := range manifests(t, values(t, sample)) {
			have = append(have, object.(interface{ GetObjectKind() schema.ObjectKind }).GetObjectKind().GroupVersionKind().Kind)
		}
		slices.Sort(have)
		slices.Sort(want[sample])
		if !slices.Equal(have, want[sample]) {
			t.Errorf("%s makes %v, want %v", sample, have, want[sample])
		}
	}
}

// pods gives the members' pod and the test's.
func pods(t *testing.T, all objects) map[string]*core.PodTemplateSpec {
	t.Helper()
	check := only[core.Pod](t, all)
	return map[string]*core.PodTemplateSpec{
		"member": &only[apps.Deployment](t, all).Spec.Template,
		"check":  {ObjectMeta: check.ObjectMeta, Spec: check.Spec},
	}
}

// By Kubernetes' own judgement, as a namespace with the restricted profile applies it.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	forSamples(t, func(t *testing.T, all objects) {
		for name, pod := range pods(t, all) {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, result.ForbiddenReason(), result.ForbiddenDetail())
			}
			// What the profile leaves open.
			if mounts := pod.Spec.AutomountServiceAccountToken; mounts == nil || *mounts {
				t.Errorf("%s: has a token of the cluster", name)
			}
			for _, c := range pod.Spec.Containers {
				if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%s: its root can be written to", name)
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
					t.Errorf("%s: its resources are %v", name, c.Resources)
				}
			}
			if user := pod.Spec.SecurityContext.RunAsUser; user == nil || *user != 65532 {
				t.Errorf("%s: runs as %v, the image's user is 65532", name, user)
			}
		}
	})
	// The judge does judge.
	loose := &core.PodSpec{Containers: []core.Container{{Name: "loose"}}}
	if policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &meta.ObjectMeta{}, loose)).Allowed {
		t.Error("a pod without any restriction is allowed")
	}
}

// loaded gives the bridge's configuration as a member would load it: from the pod's folders, which are laid out below a folder
// of the test, each Secret's file with a text of its own.
func loaded(t *testing.T, all objects) bridge.Config {
	t.Helper()
	var text string
	for _, m := range every[core.ConfigMap](all) {
		text += m.Data["config.yaml"]
	}
	here := t.TempDir()
	member := pods(t, all)["member"].Spec
	for _, mount := range member.Containers[0].VolumeMounts {
		if mount.SubPath != "" || !mount.ReadOnly {
			t.Errorf("%s: a file mounted by subPath would never change, and nothing is to be written", mount.Name)
		}
		text = strings.ReplaceAll(text, mount.MountPath+"/", here+mount.MountPath+"/")
	}
	certificate, key := selfSigned(t)
	for _, line := range strings.Split(text, "\n") {
		name, file, is := strings.Cut(strings.TrimSpace(line), "_file: ")
		if !is {
			continue
		}
		content := []byte("a-secret-of-this-file-alone-" + name)
		switch {
		case strings.HasSuffix(name, "ca"), strings.HasSuffix(name, "cert"):
			content = certificate
		case name == "key":
			content = key
		}
		if !strings.HasPrefix(file, here) {
			t.Errorf("%s is not mounted: %s", name, file)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(here, "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := bridge.Default()
	if err := config.Load(&cfg, file, nil, "DISTRIBUTOR_"); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// What the chart makes of its values is a configuration that the bridge takes, secrets included; and the pod leaves it the time
// that it needs to stop.
func TestConfigurationIsTaken(t *testing.T) {
	forSamples(t, func(t *testing.T, all objects) {
		cfg := loaded(t, all)
		if cfg.API.ClientSecret == "" {
			t.Error("the client secret is not read")
		}
		spec := pods(t, all)["member"].Spec
		grace := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
		if left := grace - cfg.Rules.Drain; left < 20*time.Second || left > 21*time.Second {
			t.Errorf("the grace period is %s, rules.drain %s: want 20 seconds more", grace, cfg.Rules.Drain)
		}
	})
}

func TestSecretsAndTheirKeys(t *testing.T) {
	cfg := loaded(t, manifests(t, values(t, "full")))
	if cfg.Kafka.SASL.Password == "" || cfg.Kafka.SASL.User != "distributor-bridge" || cfg.Kafka.TLS.CAFile == "" {
		t.Errorf("kafka is %+v", cfg.Kafka)
	}
	if cfg.Webhooks.Token == "" || cfg.Webhooks.ClientSecret == "" || cfg.Webhooks.CertFile != "" || cfg.Webhooks.Listen != ":8443" {
		t.Errorf("webhooks is %+v", cfg.Webhooks)
	}
	cfg = loaded(t, manifests(t, values(t, "mtls")))
	if cfg.Kafka.TLS.CertFile == "" || cfg.Kafka.TLS.KeyFile == "" || cfg.Kafka.SASL.Mechanism != "" {
		t.Errorf("kafka is %+v", cfg.Kafka)
	}
	if cfg.Webhooks.CertFile == "" || cfg.Webhooks.KeyFile == "" || cfg.Webhooks.ClientSecret != "" {
		t.Errorf("webhooks is %+v", cfg.Webhooks)
	}
	if !strings.HasSuffix(cfg.API.ClientSecretFile, "/api/secret") {
		t.Errorf("the client secret is in %s", cfg.API.ClientSecretFile)
	}
}

// What values.yaml says of the configuration is what the bridge does without it: nothing is different in Kubernetes, but TLS.
func TestValuesHaveTheDefaults(t *testing.T) {
	have := loaded(t, manifests(t, values(t, "minimal")))
	want := bridge.Default()
	want.Kafka.Brokers, want.Kafka.TLS.Enabled = have.Kafka.Brokers, true
	want.Topics.Upstream = have.Topics.Upstream
	want.API.BaseURL, want.API.ClientID = have.API.BaseURL, have.API.ClientID
	want.API.ClientSecret, want.API.ClientSecretFile = have.API.ClientSecret, have.API.ClientSecretFile
	want.Offerings, want.Documents.AllowedHosts = have.Offerings, have.Documents.AllowedHosts
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have\n%+v\nwant\n%+v", have, want)
	}
}

// drains are ways to write a duration, with the grace period that each needs.
func TestGracePeriod(t *testing.T) {
	for drain, seconds := range map[string]int64{"25s": 45, "1m30s": 110, "45500ms": 66, "2m": 140} {
		all := manifests(t, values(t, "minimal", "config.rules.drain: "+drain, "config.group.rebalance: 5m"))
		if have := *pods(t, all)["member"].Spec.TerminationGracePeriodSeconds; have != seconds {
			t.Errorf("%s: %d s, want %d", drain, have, seconds)
		}
		loaded(t, all)
	}
}
