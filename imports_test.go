package distributorbridge_test

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "distributor-bridge"

// policy says which packages of this module a package may import. A package without a row fails the test: whoever adds one
// decides where it belongs. Change a row when the design changes, and say why.
var policy = []row{
	// Vocabulary: knows nothing of anything else.
	{"schemas", nothing},
	{"internal/outcome", nothing},

	// Tools: how to reach Kafka, read a configuration, be operated.
	{"internal/kafka", nothing},
	{"internal/config", nothing},
	{"internal/ops", nothing},
	{"internal/server", nothing},
	{"internal/trace", nothing}, // what the spans are; it knows OpenTelemetry's API alone
	{"internal/otlp", only("internal/trace")},
	{"internal/draft", nothing},
	{"internal/heap", nothing},  // for programs only: it is about the whole process
	{"internal/probe", nothing}, // a container's health check: it is about another process of the same program
	{"internal/webhook", only("internal/kafka")},

	// Before a service of others: when to call it, and how often.
	{"internal/breaker", only("internal/outcome")},
	{"internal/pace", nothing},

	// The API's side: they know outcomes, no events, no Kafka.
	{"internal/distributor", only("internal/outcome", "internal/draft")},
	{"internal/documents", only("internal/outcome")},

	// What handlers and the consumer share; they do not know each other: internal/bridge introduces them.
	{"internal/attempt", only("internal/outcome", "internal/draft")},
	{"handlers", only("schemas", "internal/outcome", "internal/attempt", "internal/distributor", "internal/documents")},
	{"internal/state", only("schemas", "internal/outcome", "internal/attempt", "internal/kafka")},
	{"producer", only("schemas", "internal/outcome", "internal/kafka", "internal/trace")},
	{"consumer", only("schemas", "internal/outcome", "internal/attempt", "internal/kafka", "internal/state", "internal/trace", "producer")},
	// What state's records hold is attempt's, and the headers of dead letters are the producer's.
	{"internal/replay", only("schemas", "internal/outcome", "internal/kafka", "internal/state", "internal/attempt", "producer")},

	// Test doubles know nothing of the product, so that both can be wrong only separately.
	{"internal/sandbox", nothing},
	{"internal/sandbox/guide", nothing}, // strangers to the sandbox, for tests only: see outside
	{"internal/broker", nothing},

	// Wiring, and the programs. Test doubles are linked in one of them only.
	{"internal/bridge", only("schemas", "handlers", "consumer", "producer",
		"internal/outcome", "internal/kafka", "internal/config", "internal/ops", "internal/attempt", "internal/distributor",
		"internal/documents", "internal/state", "internal/replay", "internal/webhook", "internal/breaker", "internal/pace",
		"internal/server", "internal/trace", "internal/otlp")},
	{"cmd/distributor-bridge", only("internal/bridge", "internal/heap", "internal/config", "internal/probe", "internal/replay", "schemas")},
	{"cmd/distributor-sandbox", anything},
}

// testsMayAlso is what test files may import beyond their package's row, and beyond the packages that those of the row may
// import: the doubles that a test runs against, and the front door. A test of a part drives it either through its own
// exported names or through the whole program, never through a neighbour: that would be a dependency that the table denies.
var testsMayAlso = []string{"internal/sandbox", "internal/sandbox/guide", "internal/broker", "internal/bridge"}

// outside says which package alone may import a library of others, and all packages below its path; tests may.
var outside = map[string]string{
	"github.com/segmentio/kafka-go": "internal/kafka",  // its traps are known, and avoided, in one place
	"github.com/twmb/franz-go":      "internal/broker", // the in-process broker is a double
	"testing":                       "internal/broker",
	// Spans are made in one place, of a closed set of names, and exported in one: nobody else can leak anything into them.
	"go.opentelemetry.io/otel/trace":     "internal/trace",
	"go.opentelemetry.io/otel/sdk":       "internal/otlp",
	"go.opentelemetry.io/otel/exporters": "internal/otlp",
	"go.opentelemetry.io/proto":          "internal/otlp",
	// Not of others, but for tests alone all the same: no package imports it.
	module + "/internal/sandbox/guide": "internal/sandbox/guide",
}

// notInTheBridge is what the bridge's program must not hold, directly or through others.
var notInTheBridge = []string{"internal/sandbox", "internal/broker"}

func TestImports(t *testing.T) {
	t.Parallel()
	for path, pkg := range packages(t) {
		r, ok := rowOf(path)
		if !ok {
			t.Errorf("%s has no row in the policy", path)
			continue
		}
		for _, imported := range pkg.Imports {
			if ours, is := cutModule(imported); is && !r.allows(ours) {
				t.Errorf("%s must not import %s", path, ours)
			}
			for library, owner := range outside {
				if below(imported, library) && path != owner {
					t.Errorf("%s must not import %s: only %s does", path, imported, owner)
				}
			}
		}
		for _, imported := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
			ours, is := cutModule(imported)
			if is && ours != path && !slices.Contains(testsMayAlso, ours) && !reaches(path, ours) {
				t.Errorf("tests of %s must not import %s", path, ours)
			}
		}
	}
}

func TestBridgeHoldsNoDouble(t *testing.T) {
	t.Parallel()
	all := packages(t)
	seen := map[string]bool{}
	var visit func(path, via string)
	visit = func(path, via string) {
		if seen[path] {
			return
		}
		seen[path] = true
		if slices.Contains(notInTheBridge, path) {
			t.Errorf("cmd/distributor-bridge holds %s, through %s", path, via)
		}
		for _, imported := range all[path].Imports {
			if ours, is := cutModule(imported); is && all[ours] != nil {
				visit(ours, path)
			}
		}
	}
	if all["cmd/distributor-bridge"] == nil {
		t.Fatal("there is no cmd/distributor-bridge")
	}
	visit("cmd/distributor-bridge", "")
}

// The policy itself: each package has one row, below those of all that it may import. So there is no cycle.
func TestPolicy(t *testing.T) {
	t.Parallel()
	above := map[string]bool{}
	for _, r := range policy {
		if above[r.path] {
			t.Errorf("%s has two rows", r.path)
		}
		for _, p := range r.may.these {
			if !above[p] {
				t.Errorf("%s may import %s, which has no row above it", r.path, p)
			}
		}
		above[r.path] = true
	}
}

type row struct {
	path string
	may  permission
}

type permission struct {
	all   bool
	these []string
}

var (
	nothing  = permission{}
	anything = permission{all: true}
)

func only(paths ...string) permission { return permission{these: paths} }

func (r row) allows(path string) bool { return r.may.all || slices.Contains(r.may.these, path) }

func rowOf(path string) (row, bool) {
	i := slices.IndexFunc(policy, func(r row) bool { return r.path == path })
	if i < 0 {
		return row{}, false
	}
	return policy[i], true
}

// reaches says whether a package may import another one, directly or through others.
func reaches(from, to string) bool {
	reached := map[string]bool{from: true}
	for _, r := range slices.Backward(policy) { // what a row may import stands above it
		if !reached[r.path] {
			continue
		}
		if r.allows(to) {
			return true
		}
		for _, p := range r.may.these {
			reached[p] = true
		}
	}
	return false
}

// packages gives all packages of the module by their path in it, but for this one. It reads the files in this process, not
// by the go command: so the test's cached result is void once one of them changes.
func packages(t *testing.T) map[string]*build.Package {
	t.Helper()
	found := map[string]*build.Package{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == "." {
			return err
		}
		name := d.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || path == "build" ||
			path == filepath.Join("internal", "zz") || // git ignores both: what is made, and what is tried
			path == filepath.Join("deploy", "test") || path == filepath.Join("deploy", "sbom") { // modules of their own
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(path, 0)
		var none *build.NoGoError
		if errors.As(err, &none) {
			return nil
		}
		found[filepath.ToSlash(path)] = pkg
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func cutModule(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
