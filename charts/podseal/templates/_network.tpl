{{- /* Where a replica listens. The values are missing if --reuse-values keeps those of a
chart before 0.3.0. */}}
{{- define "podseal.webhookPort" -}}
{{ int64 (default 8443 .Values.serve.webhookPort) }}
{{- end }}
{{- define "podseal.statusPort" -}}
{{ int64 (default 8080 .Values.serve.statusPort) }}
{{- end }}
{{- /* Metrics need no login. So on the node's network they are for the node alone: the
kubelet, which probes, is on it. */}}
{{- define "podseal.statusAddress" -}}
{{ default (ternary "::" "127.0.0.1" (empty .Values.hostNetwork)) .Values.serve.statusAddress }}
{{- end }}
{{- /* The arguments for what differs from podseal's own defaults. */}}
{{- define "podseal.listenArgs" }}
{{- $webhook := include "podseal.webhookPort" . }}
{{- $status := include "podseal.statusPort" . }}
{{- $address := include "podseal.statusAddress" . }}
{{- $listens := ne $webhook "8443" }}
{{- $listensForStatus := or (ne $status "8080") (ne $address "::") }}
{{- if eq $webhook $status }}
{{- fail (printf "serve.statusPort: %s is also serve.webhookPort; set another" $status) }}
{{- end }}
{{- range .Values.serve.extraArgs }}
{{- if and $listens (hasPrefix "--listen=" .) }}
{{- fail (printf "serve.extraArgs: %s has another port than serve.webhookPort, %s; remove it" . $webhook) }}
{{- end }}
{{- if and $listensForStatus (hasPrefix "--status-listen=" .) }}
{{- fail (printf "serve.extraArgs: %s has another address than podseal's status port, %s port %s; remove it, and set serve.statusAddress" . $address $status) }}
{{- end }}
{{- end }}
{{- if $listens }}
- "--listen=[::]:{{ $webhook }}"
{{- end }}
{{- if $listensForStatus }}
- "--status-listen={{ contains ":" $address | ternary (printf "[%s]" $address) $address }}:{{ $status }}"
{{- end }}
{{- end }}
{{- /* The address of probes: that of the pod, unless only its node can reach the status
port. */}}
{{- define "podseal.probeHost" -}}
{{- $address := include "podseal.statusAddress" . }}
{{- if eq $address "127.0.0.1" }}{{ $address }}{{ end }}
{{- end }}
