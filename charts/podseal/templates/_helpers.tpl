{{/* The name of every object, which is that of a Service: no dot, and no digit
first. Other templates append up to fifteen letters. The release's name holds no
trace of the chart's version, so an upgrade never renames anything. */}}
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

{{/* What a Deployment selects by can never change: only the release's name is in
it, and no value. */}}
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

{{/* The Secret with the serving certificate. Each mode has one of its own: a
Secret that cert-manager made is not Helm's to take over when the mode changes. */}}
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

{{/* What a container at the Pod Security Standards' level restricted says. */}}
{{- define "podseal.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What the pod says. OpenShift gives each namespace ids of its own, and refuses
others; the image's user is no root either way. */}}
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
