package deploy_test

import (
	"fmt"
	"testing"

	"distributor-bridge/internal/bridge"
)

// Probes, Services and the image's health check rely on where the bridge serves them if nothing else is configured.
func TestOpsPort(t *testing.T) {
	if have, want := bridge.Default().Ops.Listen, fmt.Sprintf(":%d", opsPort); have != want {
		t.Errorf("health and metrics are at %q, the chart asks at %q", have, want)
	}
}
