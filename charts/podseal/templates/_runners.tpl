{{- /* Profiles that grant what the baseline forbids, as JSON: by name, the roles of
containers that they grant it to. This includes built-in profiles, those in the values,
and those in profiles.configMap if the cluster already has it. As in podseal, a profile
inherits what it does not set from the profile it extends; a list replaces, null removes. */}}
{{- define "podseal.granting" -}}
{{- $granting := dict }}
{{- range keys (include "podseal.settings" . | fromYaml) }}
{{- $_ := set $granting . dict }}
{{- end }}
{{- $_ := set $granting "privileged" (dict "build" true "services" true) }}
{{- $profiles := default dict .Values.profiles }}
{{- $texts := default dict $profiles.files }}
{{- with $profiles.configMap }}
{{- $texts = default dict (lookup "v1" "ConfigMap" $.Release.Namespace .).data }}
{{- end }}
{{- $read := dict }}
{{- range $texts }}
{{- $profile := fromYaml . }}
{{- if and (kindIs "string" $profile.name) (not (hasKey $granting (toString $profile.name))) }}
{{- $_ := set $read $profile.name $profile }}
{{- end }}
{{- end }}
{{- /* As many rounds as profiles: each round resolves at least one, in any order. */}}
{{- range $read }}
{{- range $name, $profile := $read }}
{{- $base := toString (default "" $profile.extends) }}
{{- if and (not (hasKey $granting $name)) (or (not $base) (hasKey $granting $base)) }}
{{- $inherited := default dict (get $granting $base) }}
{{- $own := dict }}
{{- range $role := list "build" "helper" "init" "services" }}
{{- $said := $profile }}
{{- $state := "said" }}
{{- range list "containers" $role "grants" "baseline" }}
{{- if eq $state "said" }}
{{- if not (kindIs "map" $said) }}
{{- $state = "removed" }}
{{- else if not (hasKey $said .) }}
{{- $state = "inherited" }}
{{- else if kindIs "invalid" (get $said .) }}
{{- $state = "removed" }}
{{- else }}
{{- $said = get $said . }}
{{- end }}
{{- end }}
{{- end }}
{{- if or (and (eq $state "said") $said) (and (eq $state "inherited") (hasKey $inherited $role)) }}
{{- $_ := set $own $role true }}
{{- end }}
{{- end }}
{{- $_ := set $granting $name $own }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $granting }}
{{- end }}
{{- /* At most five of these names. */}}
{{- define "podseal.fewNames" -}}
{{- $names := sortAlpha . }}
{{- join ", " (slice $names 0 (min 5 (len $names))) }}
{{- if gt (len $names) 5 }} and {{ sub (len $names) 5 }} more{{ end }}
{{- end }}
{{- /* Fails before anything is applied if jobs would be denied because no runner is
named, unless the value is set. Without a cluster, Helm cannot read its namespaces and
the ConfigMap. Skipped while podseal is not called: webhooks.enabled=false must work in
an emergency. */}}
{{- define "podseal.checkRunners" }}
{{- if and .Values.webhooks.enabled (kindIs "invalid" .Values.serve.requireRunner) }}
{{- $granting := include "podseal.granting" . | fromJson }}
{{- $namespaces := list }}
{{- range (lookup "v1" "Namespace" "" "").items }}
{{- $name := .metadata.name }}
{{- $labels := default dict .metadata.labels }}
{{- $isCalled := not (or (hasPrefix "kube-" $name) (hasPrefix "openshift-" $name) (eq $name $.Release.Namespace) (has $name $.Values.webhooks.excludedNamespaces)) }}
{{- $profile := default "" (get $labels "podseal.io/profile") }}
{{- /* podseal reads an empty label as the strictest level. */}}
{{- $level := ternary (get $labels "podseal.io/level") "baseline" (hasKey $labels "podseal.io/level") }}
{{- $isNamed := hasKey (default dict .metadata.annotations) "podseal.io/runner" }}
{{- if and $isCalled (get $granting $profile) (eq $level "baseline") (not $isNamed) }}
{{- $namespaces = append $namespaces $name }}
{{- end }}
{{- end }}
{{- $rules := list }}
{{- range (default .Values.defaults .Values.namespaceRules) }}
{{- if and (get $granting .profile) (eq (default "baseline" .level) "baseline") (not .runner) }}
{{- $rules = append $rules .name }}
{{- end }}
{{- end }}
{{- $where := list }}
{{- with $namespaces }}
{{- $where = append $where (printf "%s (namespaces)" (include "podseal.fewNames" .)) }}
{{- end }}
{{- with $rules }}
{{- $where = append $where (printf "%s (namespace rules)" (include "podseal.fewNames" .)) }}
{{- end }}
{{- with $where }}
{{- fail (printf "serve.requireRunner: defaults to true, and jobs would be denied for: %s. The profile there grants more than the baseline, and no runner is named. First name it, with kubectl annotate namespace NAME podseal.io/runner=system:serviceaccount:NAMESPACE:ACCOUNT, or with runner in the rule. Or add --set serve.requireRunner=false; then anyone who can create pods there gets what the profile grants. See \"Upgrade from 0.2.0\" in docs/operations.md" (join "; " .)) }}
{{- end }}
{{- end }}
{{- end }}
