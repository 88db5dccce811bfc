package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/config"
)

// project is compose.yaml as compose reads it: by its schema, with all profiles.
func project(t *testing.T) *types.Project {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join(root, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  folder,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(folder, "compose.yaml")}},
	}, loader.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeLoads(t *testing.T) {
	p := project(t)
	want := []string{"bridge", "grafana", "kafka", "prometheus", "sandbox", "tools", "topics", "upstream"}
	if have := slices.Sorted(slices.Values(p.ServiceNames())); !slices.Equal(have, want) {
		t.Errorf("services are %v, want %v", have, want)
	}
	if tools := p.Services["tools"]; !slices.Equal(tools.Profiles, []string{"tools"}) {
		t.Errorf("tools start by themselves: %v", tools.Profiles)
	}
}

// Nothing is reached from beyond this machine, and no service may do more than it has to.
func TestComposeIsClosed(t *testing.T) {
	published := map[string]string{}
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q", name, port.Published, port.HostIP)
			}
			if other, twice := published[port.Published]; twice {
				t.Errorf("port %s is of %s and of %s", port.Published, name, other)
			}
			published[port.Published] = name
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged {
			t.Errorf("%s: read-only %v, capabilities dropped %v, %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
		}
		if s.Build == nil && !strings.Contains(s.Image, "@sha256:") {
			t.Errorf("%s: %s may be another one tomorrow", name, s.Image)
		}
	}
	if len(published) != 5 {
		t.Errorf("published are %v", published)
	}
}

// Every file that is mounted is there, for reading, and what is written goes into volumes and memory.
func TestComposeMounts(t *testing.T) {
	p := project(t)
	mounted := 0
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeVolume:
				if _, is := p.Volumes[v.Source]; !is {
					t.Errorf("%s: there is no volume %s", name, v.Source)
				}
			case types.VolumeTypeBind:
				mounted++
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s: %s read-only %v, %v", name, v.Source, v.ReadOnly, err)
				}
			default:
				t.Errorf("%s: a mount of type %s", name, v.Type)
			}
		}
	}
	// A broker that cannot load what it unpacks there refuses upstream's snappy and zstd.
	if !slices.Contains(p.Services["kafka"].Tmpfs, "/tmp:mode=1777,exec") {
		t.Errorf("kafka has in memory %v", p.Services["kafka"].Tmpfs)
	}
	if mounted < 6 {
		t.Errorf("%d files are mounted", mounted)
	}
}

// Who waits for another waits for it to be well, which a health check or its end has to tell.
func TestComposeOrder(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		for other, how := range s.DependsOn {
			checked := p.Services[other].HealthCheck != nil && !p.Services[other].HealthCheck.Disable
			switch {
			case how.Condition == types.ServiceConditionHealthy && checked,
				how.Condition == types.ServiceConditionCompletedSuccessfully && p.Services[other].Restart == "":
			default:
				t.Errorf("%s waits for %s to be %s, which nothing tells", name, other, how.Condition)
			}
		}
	}
	for _, name := range []string{"kafka", "sandbox", "prometheus", "grafana"} {
		if check := p.Services[name].HealthCheck; check == nil || check.Interval == nil || check.Timeout == nil {
			t.Errorf("%s has no health check", name)
		}
	}
	for name, first := range map[string]string{"bridge": "topics", "topics": "kafka", "upstream": "kafka"} {
		if _, waits := p.Services[name].DependsOn[first]; !waits {
			t.Errorf("%s does not wait for %s", name, first)
		}
	}
}

// The bridge's configuration fits it and the services beside it.
func TestComposeBridge(t *testing.T) {
	p := project(t)
	var environ []string
	for name, value := range p.Services["bridge"].Environment {
		environ = append(environ, name+"="+*value)
	}
	cfg := bridge.Default()
	if err := config.Load(&cfg, filepath.Join(root, "deploy/compose/bridge.yaml"), environ, "DISTRIBUTOR_"); err != nil {
		t.Fatal(err)
	}
	sandbox, kafka := p.Services["sandbox"], p.Services["kafka"]
	flags := strings.Join(sandbox.Command, " ")
	for _, want := range []string{
		"--client-id=" + cfg.API.ClientID, "--campaign-id=" + cfg.Offerings["solar-2026"].Campaign,
		"--product-id=" + cfg.Offerings["solar-2026"].Product, "--listen=0.0.0.0:8080",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("the sandbox runs %q, want %q", flags, want)
		}
	}
	if secret := sandbox.Environment["SANDBOX_CLIENT_SECRET"]; secret == nil || *secret != string(cfg.API.ClientSecret) {
		t.Error("the bridge and the sandbox do not know the same secret")
	}
	if cfg.API.BaseURL != "http://127.0.0.1:8080/api/external" || p.Services["bridge"].NetworkMode != "service:sandbox" {
		t.Errorf("the API is at %s, the network is %q", cfg.API.BaseURL, p.Services["bridge"].NetworkMode)
	}
	for service, brokers := range map[string]string{"bridge": cfg.Kafka.Brokers[0], "tools": *p.Services["tools"].Environment["KAFKA_BROKERS"]} {
		if !strings.Contains(*kafka.Environment["KAFKA_ADVERTISED_LISTENERS"], "://"+brokers) {
			t.Errorf("%s looks for a broker at %s", service, brokers)
		}
	}
	made := strings.Join(p.Services["upstream"].Command, " ")
	if want := "for topic in " + strings.Join(cfg.Topics.Upstream, " ") + ";"; !strings.Contains(made, want) {
		t.Errorf("upstream's topics are made by %q, want %q", made, want)
	}
	if stop := p.Services["bridge"].StopGracePeriod; stop == nil || time.Duration(*stop) < cfg.Rules.Drain+15*time.Second {
		t.Errorf("it has %v to stop, rules.drain is %s", stop, cfg.Rules.Drain)
	}
}

// Prometheus finds the bridge and the alerts, Grafana finds Prometheus and the dashboard.
func TestComposeWatches(t *testing.T) {
	p := project(t)
	var prometheus struct {
		Global        map[string]string `json:"global"`
		RuleFiles     []string          `json:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string `json:"job_name"`
			StaticConfigs []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := yaml.UnmarshalStrict(read(t, "deploy/prometheus/prometheus.yml"), &prometheus); err != nil {
		t.Fatal(err)
	}
	alias := p.Services["sandbox"].Networks["default"].Aliases
	if job := prometheus.ScrapeConfigs[0]; job.JobName != "distributor-bridge" || job.StaticConfigs[0].Targets[0] != "bridge:9090" ||
		!slices.Contains(alias, "bridge") {
		t.Errorf("the job is %+v, the bridge is found as %v", job, alias)
	}
	mounts := func(service, file string) bool {
		return slices.ContainsFunc(p.Services[service].Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Target == file || strings.HasPrefix(file, v.Target+"/")
		})
	}
	if !mounts("prometheus", prometheus.RuleFiles[0]) {
		t.Errorf("%s is not there", prometheus.RuleFiles[0])
	}
	var sources struct {
		Datasources []struct{ Name, Type, URL, UID string } `json:"datasources"`
	}
	if err := yaml.Unmarshal(read(t, "deploy/grafana/provisioning/datasources/prometheus.yaml"), &sources); err != nil {
		t.Fatal(err)
	}
	if s := sources.Datasources[0]; s.Type != "prometheus" || s.URL != "http://prometheus:9090" || s.UID != "prometheus" {
		t.Errorf("Grafana asks %+v", s)
	}
	var provided struct {
		Providers []struct {
			Options struct {
				Path string `json:"path"`
			} `json:"options"`
		} `json:"providers"`
	}
	if err := yaml.Unmarshal(read(t, "deploy/grafana/provisioning/dashboards/distributor-bridge.yaml"), &provided); err != nil {
		t.Fatal(err)
	}
	home := *p.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if folder := provided.Providers[0].Options.Path; home != folder+"/distributor-bridge.json" || !mounts("grafana", home) {
		t.Errorf("Grafana takes its dashboards from %s, and begins with %s", folder, home)
	}
	read(t, "deploy/grafana/dashboards", filepath.Base(home))
}
