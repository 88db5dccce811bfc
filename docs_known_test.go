package distributorbridge_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// want is what a command of a document tells, and its exit code.
type want struct {
	command string // a part of it
	exit    int
	tells   string // a regular expression
}

// elsewhere are programs that cannot be had where these tests run, and why; files that are given to them have to exist.
var elsewhere = map[string]string{
	"docker":  "needs an engine; deploy/test reads what it is given",
	"helm":    "deploy/test renders the chart with Helm as a Go module",
	"kubectl": "needs a cluster; deploy/test decodes what is applied",
	"kcat":    "is not installed; the same is written and read by other commands",
}

var makefile = func() string {
	raw, err := os.ReadFile("Makefile")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}()

// target holds make and go to what there is: targets and their variables, packages.
func (s *story) target(t *testing.T, c command) {
	t.Helper()
	text := regexp.MustCompile(` #.*|'[^']*'`).ReplaceAllString(s.typed(c), "")
	program, named := "", 0
	for _, word := range strings.Fields(text) {
		name, _, variable := strings.Cut(word, "=")
		switch {
		case word == "make" || word == "go":
			program = word
		case program == "make" && variable:
			if !strings.Contains(makefile, "\n"+name+" ?=") {
				t.Errorf("%s:%d: make knows no variable %s", s.file, c.line, name)
			}
		case program == "make":
			if named++; !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(word) + `:`).MatchString(makefile) {
				t.Errorf("%s:%d: make has no target %s", s.file, c.line, word)
			}
		case program == "go" && strings.HasPrefix(word, "./"):
			named++
			if _, err := os.Stat(strings.TrimSuffix(word, "/...")); err != nil {
				t.Errorf("%s:%d: %v", s.file, c.line, err)
			}
		}
	}
	if named == 0 && strings.TrimSpace(text) != "make" {
		t.Errorf("%s:%d: what %s does is not known", s.file, c.line, c.text)
	}
}

// repoFile is a word that names something of this repository.
var repoFile = regexp.MustCompile(`^(?:\./)?((?:deploy|schemas|docs|cmd|internal)/[^ :*]+)$`)

// files holds a command that cannot be run to the files that it names.
func (s *story) files(t *testing.T, c command) {
	t.Helper()
	for _, word := range strings.FieldsFunc(c.text, func(r rune) bool { return strings.ContainsRune(" =\\\n'\"", r) }) {
		if file := repoFile.FindStringSubmatch(word); file != nil {
			if _, err := os.Stat(file[1]); err != nil {
				t.Errorf("%s:%d: %v", s.file, c.line, err)
			}
		}
	}
}

// parse holds a command of the programs to their flags: with --help they do nothing else, but refuse what they do not know.
func (s *story) parse(t *testing.T, c command) {
	t.Helper()
	if strings.HasPrefix(c.text, "make ") {
		s.target(t, c)
		return
	}
	text := regexp.MustCompile(` #.*|…|\[[^\]]*\]`).ReplaceAllString(s.typed(c), "")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.TrimSpace(text)+" --help")
	cmd.Dir, cmd.Env = s.dir, s.environ
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Usage:") {
		t.Errorf("%s:%d: %s: %v: %s", s.file, c.line, c.text, err, out)
	}
}

// wanted is what commands tell, by document, in the order in which they stand there, beyond that they succeed.
var wanted = map[string][]want{
	"README.md": {
		{"results --dead", 0, `order-5003-\d+ +DELIVERED[\s\S]* dead refused +redemption`},
		{"/sandbox/doubles", 0, `^\[\]\s*$`},
		{"/readyz", 0, `"ready":true`},
		{"topics create", 0, "nothing to create"},
		{"dead replay", 3, "no open dead letter fits"},
		{"dead replay", 3, "no open dead letter fits"},
	},
	"docs/upstream.md": {
		{"sandbox results", 0, `customer-42 +SUCCESS`},
		{"results --dead", 0, `order-7001 +DELIVERED`},
		{"plan order.json", 0, `.`},
		{"results --json", 0, `"event_id":"customer-42-wallet-1".*"type":"distributor.wallet.created"`},
		{"results --dead", 0, `order-5003-faults +DELIVERED[\s\S]* dead refused +redemption`},
		{"/sandbox/doubles", 0, `^\[\]\s*$`},
		{"--file mistake.json ", 1, `/data/units.* minimum`},
		{"results --dead --json", 0, `"event_id":"order-7002-paid".*"reason":"invalid"`},
	},
	"docs/operators.md": {
		{"topics create", 0, "nothing to create"},
		{"check --config config.yaml  ", 0, "things are good"},
		{"--offline", 0, "not looked at"},
		{"/livez", 0, `"alive":true`},
		{"/readyz", 0, `"ready":true`},
		{"/metrics", 0, "distributor_bridge_build_info"},
		{"acls --config config.yaml --user bridge", 0, "User:bridge --operation Write --transactional-id distributor-bridge-distributor.state-"},
		{"acls --config config.yaml --user operator", 0, "User:operator --operation Read --topic distributor.dead-letters"},
		{"acls --config config.yaml --user admin", 0, "User:admin --operation Create --topic distributor.inbox"},
		{"topics list", 0, "distributor.inbox +12"},
		{"dead list --config config.yaml --by", 0, "dead letters|COUNT"},
		{"held list --config config.yaml --verdict", 0, "held"},
		{"held list --config config.yaml --by", 0, "held|COUNT"},
		{"held list --config config.yaml --verdict", 0, "order/order-5001-unknown +follow-up credit"},
		{"held show order-5001-unknown", 0, "task_unknown"},
		{"held resolve order-5001-unknown", 0, "."},
		{"status order/order-5001-unknown", 0, "credit.succeeded"},
		{"dead list --config config.yaml --by", 0, `3 +refused +order\.paid`},
		{"dead show order-5001-refused-paid", 0, "refused the call"},
		{"dead replay", 0, "3 runs; nothing was written"},
		{"dead replay", 0, "3 done"},
		{"status order/order-5001-refused", 0, "DELIVERED"},
		{"audit --config", 0, "replay +order.paid, round 1"},
		{"/sandbox/doubles", 0, `^\[\]\s*$`},
		{"/readyz", 0, `"ready":true`},
		{"status order/order-5001-outage", 0, "DELIVERED"},
		{"status order/order-5001-refused", 0, "event.rejected"},
		{"dead list --config config.yaml --subject", 0, "order-5001-refused-paid"},
		{"audit --config config.yaml --since", 0, "resolve"},
		{"--event order-5001-refused-paid", 0, `"order-5001-refused-paid"`},
	},
}
