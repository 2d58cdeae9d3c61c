{{- define "podseal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object; other templates append up to ten letters. */}}
{{- define "podseal.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "podseal.selectorLabels" -}}
app.kubernetes.io/name: {{ include "podseal.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "podseal.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "podseal.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "podseal.serviceAccountName" -}}
{{- default (include "podseal.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* An image's reference, from {repository, tag, digest}. */}}
{{- define "podseal.image" -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{/* The Secret with the serving certificate. */}}
{{- define "podseal.tlsSecret" -}}
{{- if eq .Values.certificates.mode "existing-secret" }}
{{- required "certificates.existingSecret.name: name the Secret with tls.crt and tls.key" .Values.certificates.existingSecret.name }}
{{- else }}
{{- printf "%s-tls" (include "podseal.fullname" .) }}
{{- end }}
{{- end }}

{{/* The host that the API server calls. */}}
{{- define "podseal.host" -}}
{{- printf "%s.%s.svc" (include "podseal.fullname" .) .Release.Namespace }}
{{- end }}

{{/* What a container at the Pod Security Standards' level restricted says. */}}
{{- define "podseal.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "podseal.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
