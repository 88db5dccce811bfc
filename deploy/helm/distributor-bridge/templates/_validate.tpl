{{/* What the schema cannot say, since it is about several values. */}}
{{- define "distributor-bridge.validate" -}}
{{- $v := .Values -}}
{{- $t := $v.config.topics -}}
{{- if and (not $v.keda.enabled) (gt (int $v.replicas) (int $t.partitions)) -}}
{{- fail (printf "replicas: %d members, but config.topics.partitions is %d: more have nothing to do" (int $v.replicas) (int $t.partitions)) -}}
{{- end -}}
{{- if and $v.keda.enabled (gt (int $v.keda.maxReplicas) (int $t.partitions)) -}}
{{- fail (printf "keda.maxReplicas: %d members, but config.topics.partitions is %d: more have nothing to do" (int $v.keda.maxReplicas) (int $t.partitions)) -}}
{{- end -}}
{{- if and $v.keda.enabled (gt (int $v.keda.minReplicas) (int ($v.keda.maxReplicas | default $t.partitions))) -}}
{{- fail "keda.minReplicas: more than keda.maxReplicas" -}}
{{- end -}}
{{- if and $v.webhooks.enabled (not (or $v.secrets.webhookToken.name $v.secrets.webhookClient.name)) -}}
{{- fail "webhooks.enabled: secrets.webhookToken or secrets.webhookClient is required, so that not everybody can deliver them" -}}
{{- end -}}
{{- if and $v.webhooks.ingress.enabled (not $v.webhooks.enabled) -}}
{{- fail "webhooks.ingress.enabled: webhooks.enabled is false" -}}
{{- end -}}
{{- if and $v.webhooks.ingress.enabled $v.secrets.webhookTLS.name -}}
{{- fail "webhooks.ingress.enabled: the ingress ends TLS and speaks plain HTTP to the members, so secrets.webhookTLS must not be given" -}}
{{- end -}}
{{- if and (or $v.strimzi.topics.enabled $v.strimzi.user.enabled) (not $v.strimzi.cluster) -}}
{{- fail "strimzi.cluster: is required for topics and user" -}}
{{- end -}}
{{- if and (not $v.config.kafka.tls.enabled) (not $v.config.kafka.tls.plaintext) -}}
{{- fail "config.kafka.tls.enabled: false lets personal data be read on its way to the brokers: set config.kafka.tls.plaintext to true if the network is closed" -}}
{{- end -}}
{{- if and (not $v.config.kafka.tls.enabled) (or $v.secrets.kafkaCA.name $v.secrets.kafkaClient.name) -}}
{{- fail "config.kafka.tls.enabled: is false, but secrets.kafkaCA or secrets.kafkaClient is given" -}}
{{- end -}}
{{- if and $v.secrets.kafkaPassword.name (not ($v.config.kafka.sasl | default dict).user) -}}
{{- fail "secrets.kafkaPassword: config.kafka.sasl.mechanism and user are missing" -}}
{{- end -}}
{{- if and ($v.config.kafka.sasl | default dict).mechanism (not $v.secrets.kafkaPassword.name) -}}
{{- fail "config.kafka.sasl: secrets.kafkaPassword.name is missing" -}}
{{- end -}}
{{- if and $v.strimzi.user.enabled $v.strimzi.user.name ($v.config.kafka.sasl | default dict).user (ne $v.strimzi.user.name ($v.config.kafka.sasl | default dict).user) -}}
{{- fail "strimzi.user.name: is another user than config.kafka.sasl.user" -}}
{{- end -}}
{{- end -}}
