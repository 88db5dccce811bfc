package deploy_test

import meta "k8s.io/apimachinery/pkg/apis/meta/v1"

// Strimzi publishes no Go types. These hold what the chart uses of its custom resources KafkaTopic and KafkaUser, by the names of
// Strimzi's own definitions (kafka.strimzi.io/v1, which for these fields are those of v1beta2): everything else is an error.

type kafkaTopic struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		TopicName  string         `json:"topicName"`
		Partitions int            `json:"partitions"`
		Replicas   int            `json:"replicas"`
		Config     map[string]any `json:"config"`
	} `json:"spec"`
}

type kafkaUser struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Authentication struct {
			Type string `json:"type"` // tls, tls-external, scram-sha-512
		} `json:"authentication"`
		Authorization struct {
			Type string     `json:"type"` // simple
			ACLs []kafkaACL `json:"acls"`
		} `json:"authorization"`
	} `json:"spec"`
}

type kafkaACL struct {
	Resource struct {
		Type        string `json:"type"` // topic, group, cluster, transactionalId
		Name        string `json:"name"`
		PatternType string `json:"patternType"` // literal, prefix
	} `json:"resource"`
	Operations []string `json:"operations"`
}
