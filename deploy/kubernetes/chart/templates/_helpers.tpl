{{/* The prefix of all names; a pod's name, with its number, is the gateway's NODE_NAME. */}}
{{- define "parley.name" -}}
{{- if contains "parley" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-parley" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels by which a part's pods are selected. Arguments: root, part. */}}
{{- define "parley.selector" -}}
app.kubernetes.io/name: parley
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "parley.labels" -}}
{{ include "parley.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "parley.metadata" -}}
metadata:
  name: {{ include "parley.name" .root }}-{{ .name | default .part }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "parley.labels" . | nindent 4 }}
{{- end }}

{{- define "parley.image" -}}
{{- with .root.Values.image.registry }}{{ . }}/{{ end -}}
parley-{{ .image | default .part }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A pod's settings that all parts have in common. */}}
{{- define "parley.pod" -}}
{{- $values := index .root.Values .part -}}
serviceAccountName: {{ include "parley.name" .root }}
automountServiceAccountToken: false
# The variables of a Service could be taken for settings.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "parley.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* A container's settings that all parts have in common. */}}
{{- define "parley.container" -}}
name: {{ .part }}
image: {{ include "parley.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml (index .root.Values .part).resources | nindent 2 }}
{{- end }}

{{/* The names of the secret settings that a service has. */}}
{{- define "parley.secrets" -}}
{{- $names := list "REDIS_URL" "RABBITMQ_URL" "MONGO_URL" "OTEL_EXPORTER_OTLP_HEADERS" -}}
{{- if eq .part "gateway" }}{{ $names = concat $names (list "JWT_SECRET" "JWT_SECRET_PREVIOUS" "S3_ACCESS_KEY" "S3_SECRET_KEY") }}{{ end -}}
{{- $given := list -}}
{{- range $names }}{{ if index $.root.Values.secrets . }}{{ $given = append $given . }}{{ end }}{{ end -}}
{{ $given | join " " }}
{{- end }}

{{/* A service's variables: its ConfigMap and the files of its secrets. */}}
{{- define "parley.environment" -}}
envFrom:
  - configMapRef:
      name: {{ include "parley.name" .root }}-{{ .part }}
env:
  {{- range splitList " " (include "parley.secrets" .) }}
  - name: {{ . }}_FILE
    value: /secrets/{{ . }}
  {{- end }}
  # Where the command `parley` asks the services.
  - name: PARLEY_GATEWAYS
    value: {{ include "parley.name" .root }}-gateway-pods:8001
  - name: PARLEY_WORKERS
    value: {{ include "parley.name" .root }}-worker:9001
{{- end }}

{{- define "parley.mounts" -}}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: secrets
    mountPath: /secrets
    readOnly: true
  {{- if .root.Values.certificates }}
  - name: certificates
    mountPath: /certificates
    readOnly: true
  {{- end }}
{{- end }}

{{- define "parley.volumes" -}}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 256Mi
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range splitList " " (include "parley.secrets" .) }}
        {{- $secret := index $.root.Values.secrets . }}
        - secret:
            name: {{ $secret.name }}
            items:
              - key: {{ $secret.key }}
                path: {{ . }}
        {{- end }}
  {{- with .root.Values.certificates }}
  - name: certificates
    configMap:
      name: {{ . }}
  {{- end }}
{{- end }}
