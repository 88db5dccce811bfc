package deploy_test

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// Probes ask what the bridge serves, at the port it listens on.
func TestProbes(t *testing.T) {
	forSamples(t, func(t *testing.T, all objects) {
		container := pods(t, all)["member"].Spec.Containers[0]
		for path, probes := range map[string][]*core.Probe{
			"/livez": {container.StartupProbe, container.LivenessProbe}, "/readyz": {container.ReadinessProbe},
		} {
			for _, probe := range probes {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path ||
					portOf(t, container, probe.HTTPGet.Port) != opsPort {
					t.Errorf("%s: the probe is %v", path, probe)
				}
			}
		}
	})
}

// opsPort is the bridge's default (TestOpsPort), which the chart's values cannot change.
const opsPort = 9090

// portOf gives the number of a container's port.
func portOf(t *testing.T, container core.Container, port intstr.IntOrString) int32 {
	t.Helper()
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for _, p := range container.Ports {
		if p.Name == port.StrVal {
			return p.ContainerPort
		}
	}
	t.Errorf("the container has no port %s", port.StrVal)
	return 0
}

// What selects members selects them, and not the test's pod.
func TestSelectors(t *testing.T) {
	forSamples(t, func(t *testing.T, all objects) {
		these := pods(t, all)
		selects := func(what string, selector map[string]string, wanted ...string) {
			t.Helper()
			var have []string
			for name, pod := range these {
				if labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
					have = append(have, name)
				}
			}
			slices.Sort(have)
			if !slices.Equal(have, wanted) {
				t.Errorf("%s selects %v, want %v", what, have, wanted)
			}
		}
		deployment := only[apps.Deployment](t, all)
		selects("the Deployment", deployment.Spec.Selector.MatchLabels, "member")
		for _, spread := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
			selects("the spreading", spread.LabelSelector.MatchLabels, "member")
		}
		for _, service := range every[core.Service](all) {
			selects("the Service "+service.Name, service.Spec.Selector, "member")
			for _, port := range service.Spec.Ports {
				if portOf(t, these["member"].Spec.Containers[0], port.TargetPort) != port.Port {
					t.Errorf("the Service %s leads to another port than %d", service.Name, port.Port)
				}
			}
		}
		for _, budget := range every[policy.PodDisruptionBudget](all) {
			selects("the budget", budget.Spec.Selector.MatchLabels, "member")
		}
		for _, network := range every[networking.NetworkPolicy](all) {
			selects("the network policy", network.Spec.PodSelector.MatchLabels, "check", "member")
		}
		for _, monitor := range every[monitoring.ServiceMonitor](all) {
			scraped(t, all, monitor)
		}
	})
}

// scraped says that the monitor finds the ops Service and no other, and names the job as dashboard and alerts look for it.
func scraped(t *testing.T, all objects, monitor *monitoring.ServiceMonitor) {
	t.Helper()
	var found []*core.Service
	for _, service := range every[core.Service](all) {
		if labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) {
			found = append(found, service)
		}
	}
	if len(found) != 1 || len(monitor.Spec.Endpoints) != 1 ||
		!slices.ContainsFunc(found[0].Spec.Ports, func(p core.ServicePort) bool { return p.Name == monitor.Spec.Endpoints[0].Port }) {
		t.Fatalf("the monitor %+v finds %v", monitor.Spec, found)
	}
	// Two releases in a namespace are two deployments: numbers of both together would hide what one lacks.
	labelled := monitor.Spec.Endpoints[0].RelabelConfigs
	if len(labelled) != 1 || labelled[0].TargetLabel != "job" || *labelled[0].Replacement != "distributor-bridge/bonds" {
		t.Errorf("the job is %+v", labelled)
	}
}

// One member after another, and none is taken away before its successor is ready.
func TestRollingUpdate(t *testing.T) {
	forSamples(t, func(t *testing.T, all objects) {
		spec := only[apps.Deployment](t, all).Spec
		if s := spec.Strategy; s.Type != apps.RollingUpdateDeploymentStrategyType ||
			s.RollingUpdate.MaxSurge.IntValue() != 1 || s.RollingUpdate.MaxUnavailable.IntValue() != 0 {
			t.Errorf("the strategy is %v", s)
		}
		if spec.MinReadySeconds < 1 {
			t.Error("the group has no time to settle")
		}
	})
}

// Another configuration makes other pods; another number of members does not.
func TestChecksum(t *testing.T) {
	checksum := func(changes ...string) string {
		return pods(t, manifests(t, values(t, "minimal", changes...)))["member"].Annotations["checksum/config"]
	}
	before := checksum()
	if len(before) != 64 || checksum("replicas: 5") != before {
		t.Errorf("the checksum is %q, with 5 replicas %q", before, checksum("replicas: 5"))
	}
	if checksum("config.rules.max_in_flight: 65") == before {
		t.Error("another configuration has the same checksum")
	}
}

// The policy lets members reach what the configuration names, and nothing else.
func TestNetworkPolicy(t *testing.T) {
	for _, sample := range []string{"minimal", "full"} {
		all := manifests(t, values(t, sample))
		cfg := loaded(t, all)
		wanted := map[int]bool{53: true}
		for _, broker := range cfg.Kafka.Brokers {
			wanted[portIn(t, broker, "")] = true
		}
		api, err := url.Parse(cfg.API.BaseURL)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range append([]string{api.Host}, cfg.Documents.AllowedHosts...) {
			wanted[portIn(t, host, "443")] = true
		}
		have := map[int]bool{}
		spec := only[networking.NetworkPolicy](t, all).Spec
		for _, rule := range spec.Egress {
			if len(rule.Ports) == 0 {
				t.Errorf("%s: a rule without ports lets all through", sample)
			}
			for _, p := range rule.Ports {
				have[p.Port.IntValue()] = true
			}
		}
		if !maps.Equal(have, wanted) {
			t.Errorf("%s: members may reach ports %v, want %v", sample, have, wanted)
		}
		if !slices.Equal(spec.PolicyTypes, []networking.PolicyType{"Ingress", "Egress"}) {
			t.Errorf("%s: it is for %v", sample, spec.PolicyTypes)
		}
		for _, rule := range spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) != 1 {
				t.Errorf("%s: a rule lets everybody in: %v", sample, rule)
			}
		}
		if in := len(spec.Ingress); in != 1 && cfg.Webhooks.Listen == "" || in != 2 && cfg.Webhooks.Listen != "" {
			t.Errorf("%s: %d rules for who comes in", sample, in)
		}
	}
	// A collector of traces is reached at its port.
	for endpoint, port := range map[string]int{"https://otel.example.com": 443, "http://otel:4318/v1/traces": 4318} {
		all := manifests(t, values(t, "minimal", "config.traces: {insecure: true, otlp_endpoint: "+endpoint+"}",
			"networkPolicy.tracesTo: [{podSelector: {matchLabels: {app: otel}}}]"))
		rules := only[networking.NetworkPolicy](t, all).Spec.Egress
		if last := rules[len(rules)-1]; len(last.Ports) != 1 || last.Ports[0].Port.IntValue() != port || len(last.To) != 1 {
			t.Errorf("%s: the way to it is %v", endpoint, last)
		}
	}
	// Who names nobody lets nobody in.
	closed := only[networking.NetworkPolicy](t, manifests(t, values(t, "minimal", "networkPolicy.metricsFrom: []")))
	if len(closed.Spec.Ingress) != 0 {
		t.Errorf("without metricsFrom %v come in", closed.Spec.Ingress)
	}
}

func portIn(t *testing.T, address, otherwise string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil && otherwise == "" {
		t.Fatal(err)
	}
	if err != nil {
		text = otherwise
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The webhooks' way leads to the members, and only by TLS.
func TestIngress(t *testing.T) {
	all := manifests(t, values(t, "full"))
	spec := only[networking.Ingress](t, all).Spec
	if len(spec.TLS) != 1 || spec.TLS[0].SecretName == "" || !slices.Equal(spec.TLS[0].Hosts, []string{spec.Rules[0].Host}) {
		t.Errorf("TLS is %v", spec.TLS)
	}
	path := spec.Rules[0].HTTP.Paths[0]
	for _, service := range every[core.Service](all) {
		if service.Name == path.Backend.Service.Name && service.Spec.Ports[0].Name == path.Backend.Service.Port.Name {
			return
		}
	}
	t.Errorf("no Service is behind %v", path)
}

// The rules and the dashboard are the ones of deploy/, not copies.
func TestRulesAndDashboard(t *testing.T) {
	all := manifests(t, values(t, "full"))
	var file monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(read(t, "deploy/prometheus/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	rule := only[monitoring.PrometheusRule](t, all)
	if len(file.Groups) == 0 || !slices.EqualFunc(rule.Spec.Groups, file.Groups, func(a, b monitoring.RuleGroup) bool {
		return a.Name == b.Name && len(a.Rules) == len(b.Rules) && len(a.Rules) > 0
	}) {
		t.Errorf("the rules are %+v", rule.Spec.Groups)
	}
	for _, group := range rule.Spec.Groups {
		for _, r := range group.Rules {
			if want := "https://wiki.example.com/bridge#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s leads to %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
			}
		}
	}
	if rule.Labels["release"] != "monitoring" {
		t.Errorf("its labels are %v", rule.Labels)
	}
	for _, m := range every[core.ConfigMap](all) {
		if text, is := m.Data["distributor-bridge.json"]; is {
			want := strings.TrimRight(string(read(t, "deploy/grafana/dashboards/distributor-bridge.json")), "\n")
			want = strings.ReplaceAll(want, "https://runbooks.example.com/distributor-bridge", "https://wiki.example.com/bridge")
			if strings.TrimRight(text, "\n") != want || m.Labels["grafana_dashboard"] != "1" {
				t.Error("the dashboard is another one, or has no label")
			}
			return
		}
	}
	t.Error("there is no dashboard")
}

// Go knows the container's limit, so that it collects in time, and the alert about it can fire.
func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct{ change, want string }{
		{`replicas: 2`, "460MiB"},
		{`resources: {limits: {memory: 2Gi}}`, "1843MiB"},
		{`resources: {limits: {memory: "600000000"}}`, ""},
		{`env: [{name: GOMEMLIMIT, value: 300MiB}]`, "300MiB"},
	} {
		container := pods(t, manifests(t, values(t, "minimal", c.change)))["member"].Spec.Containers[0]
		var got []string
		for _, e := range container.Env {
			if e.Name == "GOMEMLIMIT" {
				got = append(got, e.Value)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: GOMEMLIMIT is %q, want %q", c.change, got, c.want)
		}
	}
}
