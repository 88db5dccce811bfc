package deploy_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const chartFolder = "deploy/helm/distributor-bridge"

// kinds are all that the chart may make, with the types of those who read it.
var kinds = map[string]func() any{
	"v1/ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1/Pod":                                  func() any { return new(core.Pod) },
	"v1/Service":                              func() any { return new(core.Service) },
	"v1/ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"apps/v1/Deployment":                      func() any { return new(apps.Deployment) },
	"networking.k8s.io/v1/Ingress":            func() any { return new(networking.Ingress) },
	"networking.k8s.io/v1/NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"policy/v1/PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"keda.sh/v1alpha1/ScaledObject":           func() any { return new(keda.ScaledObject) },
	"keda.sh/v1alpha1/TriggerAuthentication":  func() any { return new(keda.TriggerAuthentication) },
	"monitoring.coreos.com/v1/ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule": func() any { return new(monitoring.PrometheusRule) },
	"kafka.strimzi.io/v1/KafkaTopic":          func() any { return new(kafkaTopic) },
	"kafka.strimzi.io/v1/KafkaUser":           func() any { return new(kafkaUser) },
	"kafka.strimzi.io/v1beta2/KafkaTopic":     func() any { return new(kafkaTopic) },
	"kafka.strimzi.io/v1beta2/KafkaUser":      func() any { return new(kafkaUser) },
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(filepath.Join(root, chartFolder))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads one of the chart's sample values and changes it: "keda.maxReplicas: 3", one YAML line each, whose keys are paths.
func values(t *testing.T, file string, changes ...string) map[string]any {
	t.Helper()
	v, err := loader.LoadValues(bytes.NewReader(read(t, chartFolder, "ci", file+"-values.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		var one map[string]any
		if err := yaml.UnmarshalStrict([]byte(change), &one); err != nil {
			t.Fatalf("%q: %v", change, err)
		}
		for key, value := range one {
			words := strings.Split(key, ".")
			at := v
			for _, word := range words[:len(words)-1] {
				below, is := at[word].(map[string]any)
				if !is {
					below = map[string]any{}
					at[word] = below
				}
				at = below
			}
			at[words[len(words)-1]] = value
		}
	}
	return v
}

// render gives what the chart makes of the values, as `helm template` does, by file.
func render(t *testing.T, v map[string]any) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	all, err := chartutil.ToRenderValues(c, v, common.ReleaseOptions{
		Name: "bonds", Namespace: "securities", IsInstall: true, Revision: 1,
	}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// objects are what the chart makes, decoded.
type objects []any

// manifests renders, and decodes everything strictly: a field that the reader's type does not have is an error, which a cluster
// might only warn of.
func manifests(t *testing.T, v map[string]any) objects {
	t.Helper()
	files, err := render(t, v)
	if err != nil {
		t.Fatal(err)
	}
	var all objects
	for name, text := range files {
		if path.Base(name) == "NOTES.txt" {
			continue
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if object := decode(t, name, document); object != nil {
				all = append(all, object)
			}
		}
	}
	return all
}

func decode(t *testing.T, name string, document []byte) any {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	if string(text) == "null" {
		return nil // nothing but comments
	}
	var head meta.TypeMeta
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	blank, known := kinds[head.APIVersion+"/"+head.Kind]
	if !known {
		t.Fatalf("%s: %s/%s is no kind that the chart may make", name, head.APIVersion, head.Kind)
	}
	object := blank()
	strict, err := json.UnmarshalStrict(text, object)
	if err := errors.Join(append(strict, err)...); err != nil {
		t.Fatalf("%s: %s: %v\n%s", name, head.Kind, err, document)
	}
	return object
}

// every gives all objects of a type.
func every[T any](all objects) []*T {
	var found []*T
	for _, object := range all {
		if is, ok := object.(*T); ok {
			found = append(found, is)
		}
	}
	return found
}

// only gives the one object of a type.
func only[T any](t *testing.T, all objects) *T {
	t.Helper()
	found := every[T](all)
	if len(found) != 1 {
		t.Fatalf("there are %d of %s, want 1", len(found), reflect.TypeFor[T]())
	}
	return found[0]
}
