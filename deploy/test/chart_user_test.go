package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"distributor-bridge/internal/bridge"
)

// Strimzi gives the user what the bridge says that it needs, and nothing more.
func TestUserHasTheLeast(t *testing.T) {
	everything := []bridge.Role{bridge.RoleRun, bridge.RoleCheck, bridge.RoleOperate}
	for name, c := range map[string]struct {
		values map[string]any
		roles  []bridge.Role
	}{
		"all roles":   {values(t, "full"), everything},
		"no webhooks": {values(t, "full", "webhooks.enabled: false", "webhooks.ingress.enabled: false"), everything},
		"run":         {values(t, "mtls"), everything[:1]},
		"operate":     {values(t, "full", "strimzi.user.roles: [operate]"), everything[2:]},
		"check":       {values(t, "full", "strimzi.user.roles: [check]"), everything[1:2]},
	} {
		t.Run(name, func(t *testing.T) {
			all := manifests(t, c.values)
			cfg := loaded(t, all)
			user := only[kafkaUser](t, all)
			want, have := map[string]bool{}, map[string]bool{}
			for _, role := range c.roles {
				for _, acl := range bridge.ACLs(cfg, role) {
					want[fmt.Sprint(acl.Operation, " ", acl.Resource, " ", acl.Name, " ", acl.Prefixed)] = true
				}
			}
			for _, acl := range user.Spec.Authorization.ACLs {
				kind, resource := acl.Resource.Type, acl.Resource.Name
				switch kind {
				case "transactionalId":
					kind = "transactional-id"
				case "cluster":
					resource = "kafka-cluster" // it has no name in Strimzi
				}
				for _, operation := range acl.Operations {
					have[fmt.Sprint(operation, " ", kind, " ", resource, " ", acl.Resource.PatternType == "prefix")] = true
				}
			}
			if !maps.Equal(have, want) {
				t.Errorf("have\n%s\nwant\n%s", lines(have), lines(want))
			}
			if user.Name != "distributor-bridge" || user.Spec.Authorization.Type != "simple" {
				t.Errorf("the user is %s, authorization %s", user.Name, user.Spec.Authorization.Type)
			}
			wanted := "scram-sha-512"
			if cfg.Kafka.SASL.Mechanism == "" {
				wanted = "tls"
			}
			if user.Spec.Authentication.Type != wanted {
				t.Errorf("authentication is %s, want %s", user.Spec.Authentication.Type, wanted)
			}
		})
	}
}

func lines(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), "\n") }
