package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"

	"distributor-bridge/internal/bridge"
	"distributor-bridge/internal/kafka"
)

// Strimzi makes the topics as `topics create` would, of whatever configuration.
func TestTopicsAreTheBridges(t *testing.T) {
	for _, v := range []map[string]any{
		values(t, "full"), values(t, "mtls"),
		values(t, "full", "config.topics.replication: 0", "config.topics.min_insync_replicas: 1"),
	} {
		all := manifests(t, v)
		want := bridge.TopicSpecs(loaded(t, all))
		var have []kafka.TopicSpec
		for _, topic := range every[kafkaTopic](all) {
			spec := kafka.TopicSpec{
				Name: topic.Spec.TopicName, Partitions: topic.Spec.Partitions, Replication: topic.Spec.Replicas,
				Config: map[string]string{},
			}
			for key, value := range topic.Spec.Config {
				spec.Config[key] = fmt.Sprint(value)
			}
			have = append(have, spec)
			if topic.Labels["strimzi.io/cluster"] != "events" || topic.Annotations["helm.sh/resource-policy"] != "keep" {
				t.Errorf("%s: has labels %v and annotations %v", topic.Name, topic.Labels, topic.Annotations)
			}
		}
		byName := func(a, b kafka.TopicSpec) int { return strings.Compare(a.Name, b.Name) }
		slices.SortFunc(have, byName)
		slices.SortFunc(want, byName)
		if !slices.EqualFunc(have, want, func(a, b kafka.TopicSpec) bool {
			return a.Name == b.Name && a.Partitions == b.Partitions && a.Replication == b.Replication && maps.Equal(a.Config, b.Config)
		}) {
			t.Errorf("have\n%+v\nwant\n%+v", have, want)
		}
	}
}

// KEDA looks at the lag of the inbox in the bridge's group, logs on as the bridge does, and makes no more members than there are
// partitions.
func TestScaling(t *testing.T) {
	for _, sample := range []string{"full", "mtls"} {
		all := manifests(t, values(t, sample))
		cfg := loaded(t, all)
		scaled := only[keda.ScaledObject](t, all)
		if err := keda.CheckReplicaCountBoundsAreValid(scaled); err != nil {
			t.Error(err)
		}
		if least, most := *scaled.Spec.MinReplicaCount, *scaled.Spec.MaxReplicaCount; least < 1 || int(most) > cfg.Topics.Partitions {
			t.Errorf("%s: %d to %d members of %d partitions", sample, least, most, cfg.Topics.Partitions)
		}
		deployment := only[apps.Deployment](t, all)
		if scaled.Spec.ScaleTargetRef.Name != deployment.Name || deployment.Spec.Replicas != nil {
			t.Errorf("%s: it scales %s, whose replicas are %v", sample, scaled.Spec.ScaleTargetRef.Name, deployment.Spec.Replicas)
		}
		trigger := scaled.Spec.Triggers[0]
		for key, want := range map[string]string{
			"bootstrapServers": strings.Join(cfg.Kafka.Brokers, ","), "consumerGroup": cfg.Group.Name,
			"topic": cfg.Topics.Names().Inbox, "tls": "enable", "offsetResetPolicy": "earliest",
		} {
			if trigger.Metadata[key] != want {
				t.Errorf("%s: %s is %q, want %q", sample, key, trigger.Metadata[key], want)
			}
		}
		if n, err := strconv.Atoi(trigger.Metadata["lagThreshold"]); err != nil || n < 1 {
			t.Errorf("%s: the threshold is %q", sample, trigger.Metadata["lagThreshold"])
		}
		loggedOn(t, all, only[keda.TriggerAuthentication](t, all), trigger)
	}
}

// loggedOn says that what KEDA logs on with is what a member mounts.
func loggedOn(t *testing.T, all objects, auth *keda.TriggerAuthentication, trigger keda.ScaleTriggers) {
	t.Helper()
	if trigger.AuthenticationRef == nil || trigger.AuthenticationRef.Name != auth.Name {
		t.Fatalf("the trigger logs on by %v", trigger.AuthenticationRef)
	}
	cfg := loaded(t, all)
	mounted := map[string]bool{}
	for _, volume := range pods(t, all)["member"].Spec.Volumes {
		if volume.Secret != nil {
			mounted[volume.Secret.SecretName] = true
		}
	}
	have := map[string]bool{}
	for _, from := range auth.Spec.SecretTargetRef {
		have[from.Parameter] = true
		if !mounted[from.Name] {
			t.Errorf("%s is of the Secret %s, which no member has", from.Parameter, from.Name)
		}
	}
	want := map[string]bool{"ca": true}
	if cfg.Kafka.SASL.Mechanism != "" {
		want["password"] = true
		if sasl := strings.ToLower(strings.ReplaceAll(cfg.Kafka.SASL.Mechanism, "-", "_")); trigger.Metadata["sasl"] != "scram_sha512" || sasl != "scram_sha_512" {
			t.Errorf("sasl is %q for %s", trigger.Metadata["sasl"], cfg.Kafka.SASL.Mechanism)
		}
		userOf(t, all, auth, cfg.Kafka.SASL.User)
	}
	if cfg.Kafka.TLS.CertFile != "" {
		want["cert"], want["key"] = true, true
	}
	if !maps.Equal(have, want) {
		t.Errorf("KEDA logs on with %v, want %v", have, want)
	}
}

func userOf(t *testing.T, all objects, auth *keda.TriggerAuthentication, want string) {
	t.Helper()
	for _, from := range auth.Spec.ConfigMapTargetRef {
		for _, m := range every[core.ConfigMap](all) {
			if from.Parameter == "username" && m.Name == from.Name && m.Data[from.Key] == want {
				return
			}
		}
	}
	t.Errorf("KEDA does not know the user %s: %v", want, auth.Spec.ConfigMapTargetRef)
}
