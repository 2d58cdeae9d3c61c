{{/* The name of every object. It must be valid for a Service: no dot, and no
leading digit. Other templates append up to fifteen characters. It does not contain
the chart's version, so that upgrades do not rename objects. */}}
{{- define "podseal.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- $name = .Release.Name }}
{{- else }}
{{- $name = printf "%s-%s" .Release.Name $name }}
{{- end }}
{{- end }}
{{- $name = $name | replace "." "-" | trunc 48 | trimAll "-" }}
{{- if regexMatch "^[0-9]" $name }}
{{- fail (printf "fullnameOverride: objects would be named %s, but a Service's name must start with a letter; set a name that does" $name) }}
{{- end }}
{{- $name }}
{{- end }}

{{/* A Deployment's selector is immutable, so these contain the release's name, and
no value. */}}
{{- define "podseal.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "podseal.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | quote }}
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

{{/* The Secret with the serving certificate. Each mode has its own: Helm cannot take
over cert-manager's Secret when the mode changes. */}}
{{- define "podseal.tlsSecret" -}}
{{- if eq .Values.certificates.mode "existing-secret" }}
{{- .Values.certificates.existingSecret.name }}
{{- else if eq .Values.certificates.mode "cert-manager" }}
{{- printf "%s-cert-manager" (include "podseal.fullname" .) }}
{{- else }}
{{- printf "%s-tls" (include "podseal.fullname" .) }}
{{- end }}
{{- end }}

{{/* The host that the API server calls. */}}
{{- define "podseal.host" -}}
{{- printf "%s.%s.svc" (include "podseal.fullname" .) .Release.Namespace }}
{{- end }}

{{/* The securityContext of a container at the Pod Security Standards' level restricted. */}}
{{- define "podseal.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The securityContext of the pod. OpenShift assigns IDs to each namespace and
rejects others; the image's user is not root either way. */}}
{{- define "podseal.restrictedPod" -}}
runAsNonRoot: true
{{- if not (or .Values.openshift.enabled (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
