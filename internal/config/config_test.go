package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"distributor-bridge/internal/config"
)

// settings has one of everything.
type settings struct {
	Kafka  kafka            `koanf:"kafka"`
	Wait   time.Duration    `koanf:"wait"`
	Limit  int              `koanf:"limit"`
	Share  float64          `koanf:"share"`
	Source string           `koanf:"source"`
	Offers map[string]offer `koanf:"offers"`
	Hook   func()           `koanf:"-"`
}

type kafka struct {
	Brokers      []string      `koanf:"brokers"`
	ClientID     string        `koanf:"client_id"`
	Password     config.Secret `koanf:"password"`
	PasswordFile string        `koanf:"password_file"`
	TLS          bool          `koanf:"tls"`
}

type offer struct {
	Campaign string `koanf:"campaign"`
	Product  string `koanf:"product"`
}

func (s *settings) Validate() error {
	var p config.Problems
	if len(s.Kafka.Brokers) == 0 {
		p.Add("kafka.brokers", "at least one is required")
	}
	if s.Limit < 1 {
		p.Add("limit", "%d is below 1", s.Limit)
	}
	return p.Err()
}

func defaults() *settings {
	return &settings{Wait: time.Minute, Limit: 64, Kafka: kafka{Brokers: []string{"a:1", "b:2", "c:3"}, ClientID: "me"}}
}

// load loads text as config.yaml; its errors are lines without the folder.
func load(t *testing.T, target any, text string, environ ...string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := config.Load(target, file, environ, "APP_")
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""))
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const text = `
kafka:
  brokers: [broker-1:9092]   # shorter than the default
  password: "hunter2"
wait: 1d12h
share: 0.25
limit: 10_000
offers:
  bond.2026: {campaign: "123", product: p}
  "0x":
    campaign: c
`
	got := defaults()
	if err := load(t, got, text, "APP_KAFKA_CLIENT_ID=env", "APP_SOURCE=//shop, a", "HOME=/root", "APPLE=1"); err != nil {
		t.Fatal(err)
	}
	want := &settings{
		Kafka:  kafka{Brokers: []string{"broker-1:9092"}, ClientID: "env", Password: "hunter2"},
		Wait:   36 * time.Hour,
		Limit:  10000,
		Share:  0.25,
		Source: "//shop, a",
		Offers: map[string]offer{"bond.2026": {"123", "p"}, "0x": {Campaign: "c"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestLoadKeepsDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "comments": "# nothing\n", "section of comments": "kafka:\n  # client_id: x\n", "braces": "{}",
	} {
		got := defaults()
		if err := load(t, got, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, defaults()) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	got := defaults()
	if err := config.Load(got, "", []string{"APP_KAFKA_BROKERS=x:1, y:2", "APP_WAIT=5s", "APP_KAFKA_TLS=true"}, "APP_"); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Kafka.Brokers, []string{"x:1", "y:2"}) || got.Wait != 5*time.Second || !got.Kafka.TLS {
		t.Errorf("from the environment alone: %+v", got)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		environ []string
		want    string
	}{
		"unknown key":          {"kafka:\n  brokerz: [a]", nil, "config.yaml:2: kafka.brokerz: unknown key, did you mean kafka.brokers?"},
		"misplaced key":        {"brokers: [a]", nil, "config.yaml:1: brokers: unknown key, did you mean kafka.brokers?"},
		"unlike any":           {"zzzzzzzz: 1", nil, "config.yaml:1: zzzzzzzz: unknown key"},
		"field that is no key": {"hook: 1", nil, "config.yaml:1: hook: unknown key"},
		"other case":           {"Limit: 1", nil, "config.yaml:1: Limit: unknown key, did you mean limit?"},
		"key in a map":         {"offers:\n  bond:\n    campain: c", nil, "config.yaml:3: offers.bond.campain: unknown key, did you mean offers.bond.campaign?"},
		"merge key":            {"kafka: &k {tls: true}\n<<: *k", nil, "config.yaml:2: <<: unknown key"},
		"twice":                {"limit: 1\nlimit: 2", nil, "config.yaml:2: limit: given twice, first in line 1"},
		"scalar for section":   {"kafka: a:9092", nil, "config.yaml:1: kafka: want keys and values below it"},
		"scalar for list":      {"kafka: {brokers: a}", nil, "config.yaml:1: kafka.brokers: want a list: [a, b], or a line with - for each item"},
		"list for scalar":      {"source: [a]", nil, "config.yaml:1: source: want one value"},
		"number for text":      {"source: 007", nil, "config.yaml:1: source: want text: put it in quotes"},
		"date for text":        {"source: 2026-01-31", nil, "config.yaml:1: source: want text: put it in quotes"},
		"number in a list":     {"kafka: {brokers: [a, 1]}", nil, "config.yaml:1: kafka.brokers: want text: put it in quotes"},
		"text for number":      {"limit: many", nil, `config.yaml:1: limit: "many" is not a whole number`},
		"quoted number":        {"limit: '5'", nil, "config.yaml:1: limit: want a number without quotes"},
		"huge number":          {"limit: 99999999999999999999", nil, "config.yaml:1: limit: 99999999999999999999 is too large"},
		"broken number":        {"share: x", nil, `config.yaml:1: share: "x" is not a number`},
		"yes":                  {"kafka: {tls: yes}", nil, `config.yaml:1: kafka.tls: "yes" is neither true nor false`},
		"quoted true":          {"kafka: {tls: 'true'}", nil, "config.yaml:1: kafka.tls: want true or false without quotes"},
		"no unit":              {"wait: 10", nil, `config.yaml:1: wait: "10" is not a duration such as 500ms, 10s, 1h30m or 30d`},
		"nothing":              {"source:", nil, `config.yaml:1: source: has no value: leave the key out for its default, or write ""`},
		"no YAML":              {"limit: 1\nwait\n", nil, "config.yaml:2: could not find expected ':'"},
		"a tab":                {"kafka:\n\ttls: true", nil, "config.yaml:2: a tab at the line's beginning: indent with spaces"},
		"a tab after text":     {"source: a\n\tlimit: 1", nil, "config.yaml:2: a tab at the line's beginning: indent with spaces"},
		"a value with @":       {"source: @a", nil, "config.yaml: a value that begins with @, % or ` has to be quoted"},
		"secret as anchor":     {"kafka:\n  password: *hunter2", nil, "config.yaml: a value that begins with * or & has to be quoted"},
		"second document":      {"limit: 1\n---\nlimit: 2", nil, "config.yaml: one YAML document is wanted, but a second one begins"},
		"validated in file":    {"\nlimit: 0", nil, "config.yaml:2: limit: 0 is below 1"},
		"validated in env":     {"", []string{"APP_LIMIT=0"}, "APP_LIMIT: limit: 0 is below 1"},
		"empty list":           {"", []string{"APP_KAFKA_BROKERS="}, "APP_KAFKA_BROKERS: kafka.brokers: at least one is required"},
		"unknown variable":     {"", []string{"APP_KAFKA_BROKER=a"}, "APP_KAFKA_BROKER: unknown variable, did you mean APP_KAFKA_BROKERS?"},
		"map in env":           {"", []string{"APP_OFFERS_BOND_CAMPAIGN=c"}, "APP_OFFERS_BOND_CAMPAIGN: offers can be given in the file only"},
		"wrong type in env":    {"", []string{"APP_LIMIT=x"}, `APP_LIMIT: limit: "x" is not a whole number`},
		"port of our own":      {"", []string{"APP_PORT=8080"}, "APP_PORT: unknown variable"},
		"no secret file": {"kafka: {password_file: gone}", nil,
			"config.yaml:1: kafka.password_file: stat gone: no such file or directory"},
		"secret twice": {"kafka: {password_file: gone, password: hunter2}", nil,
			"config.yaml:1: kafka.password_file: kafka.password is given as well: give one of them"},
		"all at once": {"wait: 1\nkafka:\n  brokerz: []\nlimit: 0", []string{"APP_SHARE=x", "APP_KAFKA_BROKERS="},
			`config.yaml:1: wait: "1" is not a duration such as 500ms, 10s, 1h30m or 30d` + "\n" +
				"config.yaml:3: kafka.brokerz: unknown key, did you mean kafka.brokers?\n" +
				`APP_SHARE: share: "x" is not a number` + "\n" +
				"config.yaml:4: limit: 0 is below 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := load(t, defaults(), tt.text, tt.environ...)
			if err == nil {
				t.Fatalf("no error, want %s", tt.want)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells a secret")
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	err := config.Load(defaults(), filepath.Join(t.TempDir(), "gone.yaml"), nil, "APP_")
	if err == nil || !strings.Contains(err.Error(), "gone.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}

// A pod gets variables for each service of its namespace, and they may have our prefix.
func TestKubernetesServiceLinks(t *testing.T) {
	t.Parallel()
	err := config.Load(defaults(), "", []string{
		"APP_BRIDGE_SERVICE_HOST=10.0.0.7", "APP_BRIDGE_SERVICE_PORT=8080", "APP_BRIDGE_SERVICE_PORT_HTTP=8080",
		"APP_BRIDGE_PORT=tcp://10.0.0.7:8080", "APP_BRIDGE_PORT_8080_TCP=tcp://10.0.0.7:8080",
		"APP_BRIDGE_PORT_8080_TCP_PROTO=tcp", "APP_BRIDGE_PORT_8080_TCP_PORT=8080", "APP_BRIDGE_PORT_8080_TCP_ADDR=10.0.0.7",
	}, "APP_")
	if err != nil {
		t.Error(err)
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("  hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := defaults()
	if err := config.Load(s, "", []string{"APP_KAFKA_PASSWORD_FILE=" + file}, "APP_"); err != nil {
		t.Fatal(err)
	}
	if s.Kafka.Password != "hunter2" || s.Kafka.PasswordFile != file {
		t.Errorf("password %q from %q", string(s.Kafka.Password), s.Kafka.PasswordFile)
	}
	for name, text := range map[string]string{"empty": "\n \n", "large": strings.Repeat("x", 65<<10)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := config.Load(defaults(), "", []string{"APP_KAFKA_PASSWORD_FILE=" + file}, "APP_"); err == nil {
			t.Errorf("%s secret file: no error", name)
		}
	}
}

func TestSecretHides(t *testing.T) {
	t.Parallel()
	s := defaults()
	s.Kafka.Password = "hunter2"
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", s.Kafka, s.Kafka.Password)
	}
	j, err := json.Marshal(s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(s.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	out.Write(y)
	log := zerolog.New(&out)
	log.Info().Interface("kafka", s.Kafka).Any("password", s.Kafka.Password).Stringer("p", s.Kafka.Password).Msg("")
	if hex := fmt.Sprintf("%x", "hunter2"); strings.Contains(out.String(), "hunter2") || strings.Contains(strings.ToLower(out.String()), hex) {
		t.Errorf("the secret shows:\n%s", out.String())
	}
	if n := strings.Count(out.String(), "[redacted]"); n != 2*8+5 {
		t.Errorf("%d placeholders, want %d:\n%s", n, 2*8+5, out.String())
	}
	if got := fmt.Sprint(config.Secret("")); got != "" {
		t.Errorf("an empty secret shows as %q", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	keys, err := config.Keys(defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := "kafka.brokers kafka.client_id kafka.password kafka.password_file kafka.tls " +
		"wait limit share source offers.*.campaign offers.*.product"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A struct that cannot be configured without ambiguity is a bug, told at the first start.
func TestStructs(t *testing.T) {
	t.Parallel()
	for want, target := range map[string]any{
		"pointer to a struct":    settings{},
		"no usable koanf tag":    &struct{ A string }{},
		"stands twice":           &twice{},
		"have the same variable": &ambiguous{},
		"values of type uint are not": &struct {
			A uint `koanf:"a"`
		}{},
		"lists of []string are not": &struct {
			A [][]string `koanf:"a"`
		}{},
		"keys of a map must be text": &struct {
			A map[int]string `koanf:"a"`
		}{},
	} {
		err := config.Load(target, "", nil, "APP_")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: got %v, want %q", target, err, want)
		}
	}
}

type ambiguous struct {
	A struct {
		B string `koanf:"b"`
	} `koanf:"a"`
	AB string `koanf:"a_b"`
}

type twice struct {
	A string `koanf:"a"`
	B string `koanf:"a"`
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"", "kafka: {brokers: [a]}", "limit: 1\nlimit: 2", "a: &a [*a]", "offers: {x: {campaign: c}}", "wait: 1d", "kafka: &k\n  tls: true\n<<: *k"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := defaults()
		if err := load(t, s, text); err == nil && (s.Limit < 1 || len(s.Kafka.Brokers) == 0) {
			t.Errorf("passed without a check: %+v", s)
		}
	})
}
