{{- define "distributor-bridge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "distributor-bridge.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Of members alone: a test's pod is none. */}}
{{- define "distributor-bridge.memberLabels" -}}
{{ include "distributor-bridge.selectorLabels" . }}
app.kubernetes.io/component: member
{{- end -}}

{{- define "distributor-bridge.labels" -}}
{{ include "distributor-bridge.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "distributor-bridge.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A duration of the bridge (1h30m, 60d) in milliseconds. The schema lets nothing else come here. */}}
{{- define "distributor-bridge.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $total := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d)" . -1 -}}
{{- $total = add $total (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* A topic's full name: (dict "topics" .Values.config.topics "name" "inbox"). */}}
{{- define "distributor-bridge.topic" -}}
{{- printf "%s%s" .topics.prefix (get .topics .name) -}}
{{- end -}}

{{/* Where a secret's folder is mounted. */}}
{{- define "distributor-bridge.folder" -}}
/run/secrets/distributor-bridge/{{ . }}
{{- end -}}

{{/* The configuration: values.config, with the files of the secrets and what is listened on. */}}
{{- define "distributor-bridge.config" -}}
{{- $s := .Values.secrets -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config.api "client_secret_file" (printf "%s/%s" (include "distributor-bridge.folder" "api") $s.api.key) -}}
{{- with $s.kafkaPassword -}}{{- if .name -}}
{{- $_ := set $config.kafka "sasl" (mergeOverwrite ($config.kafka.sasl | default dict) (dict "password_file" (printf "%s/%s" (include "distributor-bridge.folder" "kafka-password") .key))) -}}
{{- end -}}{{- end -}}
{{- with $s.kafkaCA -}}{{- if .name -}}
{{- $_ := set $config.kafka.tls "ca_file" (printf "%s/%s" (include "distributor-bridge.folder" "kafka-ca") .key) -}}
{{- end -}}{{- end -}}
{{- with $s.kafkaClient -}}{{- if .name -}}
{{- $_ := set $config.kafka.tls "cert_file" (printf "%s/%s" (include "distributor-bridge.folder" "kafka-client") .cert) -}}
{{- $_ := set $config.kafka.tls "key_file" (printf "%s/%s" (include "distributor-bridge.folder" "kafka-client") .key) -}}
{{- end -}}{{- end -}}
{{- if .Values.webhooks.enabled -}}
{{- $w := $config.webhooks | default dict -}}
{{- $_ := set $w "listen" ":8443" -}}
{{- with $s.webhookToken -}}{{- if .name -}}
{{- $_ := set $w "token_file" (printf "%s/%s" (include "distributor-bridge.folder" "webhook-token") .key) -}}
{{- end -}}{{- end -}}
{{- with $s.webhookClient -}}{{- if .name -}}
{{- $_ := set $w "client_secret_file" (printf "%s/%s" (include "distributor-bridge.folder" "webhook-client") .key) -}}
{{- end -}}{{- end -}}
{{- with $s.webhookTLS -}}{{- if .name -}}
{{- $_ := set $w "cert_file" (printf "%s/%s" (include "distributor-bridge.folder" "webhook-tls") .cert) -}}
{{- $_ := set $w "key_file" (printf "%s/%s" (include "distributor-bridge.folder" "webhook-tls") .key) -}}
{{- end -}}{{- end -}}
{{- $_ := set $config "webhooks" $w -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Secrets that are mounted: folder → Secret, as YAML. */}}
{{- define "distributor-bridge.secrets" -}}
{{- $s := .Values.secrets -}}
{{- $all := dict "api" $s.api "kafka-password" $s.kafkaPassword "kafka-ca" $s.kafkaCA "kafka-client" $s.kafkaClient -}}
{{- if .Values.webhooks.enabled -}}
{{- $all = merge $all (dict "webhook-token" $s.webhookToken "webhook-client" $s.webhookClient "webhook-tls" $s.webhookTLS) -}}
{{- end -}}
{{- range $folder, $secret := $all -}}
{{- if $secret.name }}
{{ $folder }}: {{ $secret.name | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the restricted profile of pod security asks of a container, and a root that nobody writes to. */}}
{{- define "distributor-bridge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "distributor-bridge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "distributor-bridge.volumeMounts" -}}
- name: config
  mountPath: /etc/distributor-bridge
  readOnly: true
{{- range $folder, $_ := include "distributor-bridge.secrets" . | fromYaml }}
- name: {{ $folder }}
  mountPath: {{ include "distributor-bridge.folder" $folder }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "distributor-bridge.volumes" -}}
- name: config
  configMap:
    name: {{ include "distributor-bridge.fullname" . }}
    items:
      - key: config.yaml
        path: config.yaml
{{- range $folder, $secret := include "distributor-bridge.secrets" . | fromYaml }}
- name: {{ $folder }}
  secret:
    secretName: {{ $secret | quote }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What the values say, and Go's memory limit by the container's, if that is so many Mi or Gi. */ -}}
{{- define "distributor-bridge.environment" -}}
{{- $all := .Values.env | default list -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- $set := false -}}
{{- range $all }}{{ if eq .name "GOMEMLIMIT" }}{{ $set = true }}{{ end }}{{ end -}}
{{- if and (not $set) (regexMatch "^[0-9]+[MG]i$" $limit) -}}
{{- $mib := regexFind "^[0-9]+" $limit | int -}}
{{- if hasSuffix "Gi" $limit }}{{ $mib = mul $mib 1024 }}{{ end -}}
{{- $all = append $all (dict "name" "GOMEMLIMIT" "value" (printf "%dMiB" (div (mul $mib 9) 10))) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
