package deploy_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// bases stands for the registry: it knows of each image that it is one of linux/amd64, and which user distroless has.
type bases struct{ asked []string }

func (b *bases) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	b.asked = append(b.asked, ref)
	image := ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}}
	if strings.Contains(ref, "distroless") {
		image.Config.User = "65532"
	}
	text, err := json.Marshal(image)
	return ref, digest.FromBytes(text), text, err
}

var platform = ocispecs.Platform{OS: "linux", Architecture: "amd64"}

func convertOpt(target string, text []byte, from *bases) dockerfile2llb.ConvertOpt {
	source := llb.NewSourceMap(nil, "deploy/Dockerfile", "Dockerfile", text)
	source.Definition = new(llb.Definition) // a real build's comes from its context
	return dockerfile2llb.ConvertOpt{
		SourceMap: source,
		Config: dockerui.Config{
			Target: target, BuildArgs: map[string]string{"VERSION": "v1.2.3", "COMMIT": "0123abc"},
			BuildPlatforms: []ocispecs.Platform{platform},
		},
		TargetPlatform: &platform, MetaResolver: from,
	}
}

// BuildKit's own checks have nothing to say.
func TestDockerfileLints(t *testing.T) {
	text := read(t, "deploy/Dockerfile")
	results, err := dockerfile2llb.DockerfileLint(t.Context(), text, convertOpt("", text, &bases{}))
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		t.Error(results.Error.Message)
	}
	for _, w := range results.Warnings {
		t.Errorf("%s: %s", w.RuleName, w.Detail)
	}
	// The judge does judge.
	text = append(text, "\nMAINTAINER nobody\n"...)
	results, err = dockerfile2llb.DockerfileLint(t.Context(), text, convertOpt("", text, &bases{}))
	if err != nil || len(results.Warnings) != 1 || results.Warnings[0].RuleName != linter.RuleMaintainerDeprecated.Name {
		t.Errorf("%v, %v", results, err)
	}
}

// What an image is, as BuildKit makes it of the Dockerfile.
func TestImages(t *testing.T) {
	for target, program := range map[string]string{"": "/distributor-bridge", "bridge": "/distributor-bridge", "sandbox": "/distributor-sandbox"} {
		from, text := &bases{}, read(t, "deploy/Dockerfile")
		result, err := dockerfile2llb.Dockerfile2LLB(t.Context(), text, convertOpt(target, text, from))
		if err != nil {
			t.Fatal(err)
		}
		c := result.Image.Config
		if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{program}) {
			t.Errorf("%q: user %q runs %v", target, c.User, c.Entrypoint)
		}
		if c.Labels["org.opencontainers.image.title"] != strings.TrimPrefix(program, "/") {
			t.Errorf("%q: labels are %v", target, c.Labels)
		}
		for _, ref := range from.asked {
			if !strings.Contains(ref, "@sha256:") || strings.Count(ref, ":") < 2 {
				t.Errorf("%q: %s is not pinned", target, ref)
			}
		}
		if len(from.asked) != 2 {
			t.Errorf("%q is made from %v", target, from.asked)
		}
		if program != "/distributor-bridge" {
			continue
		}
		if !slices.Equal(c.Cmd, []string{"run", "--config", "/etc/distributor-bridge/config.yaml"}) {
			t.Errorf("%q: the command is %v", target, c.Cmd)
		}
		if c.Labels["org.opencontainers.image.version"] != "v1.2.3" || c.Labels["org.opencontainers.image.revision"] != "0123abc" {
			t.Errorf("%q: labels are %v", target, c.Labels)
		}
		alive := []string{"CMD", "/distributor-bridge", "health", "--url", "http://127.0.0.1:9090/livez"}
		if c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, alive) {
			t.Errorf("%q: the health check is %v", target, c.Healthcheck)
		}
	}
}
