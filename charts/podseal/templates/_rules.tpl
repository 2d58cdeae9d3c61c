{{- /* The webhook entries of each configuration, as JSON. The first is for namespaces
with podseal's label, and has no labels, no prefixes and no exceptions. The others are
for `namespaceRules`, for namespaces without that label, and list their rules.
`matchConditions` can read a namespace's name but not its labels, so each set of labels
in rules needs its own entry.

Each pod should be reviewed once. So the other entries exclude the namespaces of rules
without labels, and a set of labels needs no entry if it contains another set that any
name matches. Namespaces with two sets of labels, neither of which contains the other,
are reviewed twice, which is harmless.

An entry must keep its name when rules change, or it would lose its caBundle. */}}
{{- define "podseal.entries" -}}
{{- $entries := list (dict "name" "" "labels" dict "prefixes" list "but" list) }}
{{- $prefixes := list }}
{{- $named := list }}
{{- $sets := dict }}
{{- $order := list }}
{{- range (default .Values.defaults .Values.namespaceRules) }}
{{- $prefix := default "" .namespaces.prefix }}
{{- with .namespaces.matchLabels }}
{{- $set := toJson . }}
{{- $_ := set $sets $set (append (default list (get $sets $set)) $prefix) }}
{{- $order = append $order $set | uniq }}
{{- else }}
{{- $prefixes = append $prefixes $prefix | uniq }}
{{- $named = append $named .name }}
{{- end }}
{{- end }}
{{- with $prefixes }}
{{- $entries = append $entries (dict "name" "defaults." "labels" dict "prefixes" . "but" list "rules" $named) }}
{{- end }}
{{- range $set := $order }}
{{- $own := get $sets $set }}
{{- $labels := fromJson $set }}
{{- $needed := true }}
{{- range $other, $theirs := $sets }}
{{- $within := and (ne $other $set) (has "" $theirs) }}
{{- range $key, $value := fromJson $other }}
{{- $within = and $within (hasKey $labels $key) (eq (get $labels $key) $value) }}
{{- end }}
{{- $needed = and $needed (not $within) }}
{{- end }}
{{- if $needed }}
{{- $name := printf "defaults-%s." (sha256sum $set | trunc 10) }}
{{- $rules := list }}
{{- range (default $.Values.defaults $.Values.namespaceRules) }}
{{- $theirs := default dict .namespaces.matchLabels }}
{{- $within := or (has "" $own) (eq (toJson $theirs) $set) }}
{{- range $key, $value := $labels }}
{{- $within = and $within (hasKey $theirs $key) (eq (get $theirs $key) $value) }}
{{- end }}
{{- if $within }}
{{- $rules = append $rules .name }}
{{- end }}
{{- end }}
{{- $own = ternary list (uniq $own) (has "" $own) }}
{{- $entries = append $entries (dict "name" $name "labels" $labels "prefixes" $own "but" $prefixes "rules" $rules) }}
{{- end }}
{{- end }}
{{- toJson $entries }}
{{- end }}
{{- /* A CEL expression: does the namespace's name begin with one of these? The schema
rejects prefixes that could end the string. */}}
{{- define "podseal.startsWith" -}}
{{- range $number, $prefix := . }}
{{- if $number }} ||
{{ end }}request.namespace.startsWith('{{ $prefix }}')
{{- end }}
{{- end }}
{{- /* The exact bytes of the file of namespace rules: podseal computes the digest of
the file that it reads. */}}
{{- define "podseal.rulesFile" -}}
{{- dict "rules" (default .Values.defaults .Values.namespaceRules) | toYaml }}
{{- end }}
{{- /* The digest of the rules, as podseal computes it in src/live_config/digest.rs. */}}
{{- define "podseal.rulesDigest" -}}
rules-{{ include "podseal.rulesFile" . | sha256sum | trunc 16 }}
{{- end }}
{{- /* The ConfigMap of the rules. Each set of rules has its own: a kubelet may still
have the previous content of a ConfigMap when a new replica mounts it, and podseal reads
its rules only once. The full digest would make the name too long. */}}
{{- define "podseal.rulesConfigMap" -}}
{{ include "podseal.fullname" . }}-{{ include "podseal.rulesDigest" . | trunc 14 }}
{{- end }}
{{- /* Whether the paths of entries for namespace rules contain the digest. The value
is missing if --reuse-values keeps those of a chart before 0.3.0. */}}
{{- define "podseal.hasRulesInPath" -}}
{{- if ne (toString .Values.webhooks.rulesInPath) "false" }}true{{ end }}
{{- end }}
{{- /* The built-in profiles, each with the settings that a rule can set for it. */}}
{{- define "podseal.settings" -}}
none: []
openshift: [run-as-user, home, home-size]
privileged: [run-as-user, home, home-size]
root: [home-size]
root-fuse: [fuse-resource]
rootless: [run-as-user, home, home-size]
userns: [run-as-user, home, home-size]
{{- end }}
{{- /* What the schema cannot express of rules and profiles. podseal checks it again
when it starts, but by then Helm has applied the release. podseal alone checks the
content of profiles, and which settings they take. */}}
{{- define "podseal.checkRules" }}
{{- $taken := include "podseal.settings" . | fromYaml }}
{{- $known := keys $taken | sortAlpha }}
{{- $profiles := default dict .Values.profiles }}
{{- $files := default dict $profiles.files }}
{{- /* The schema says so as well, but podseal cannot: with --skip-schema-validation one
of each would be ignored. */}}
{{- if and $files $profiles.configMap }}
{{- fail "profiles.configMap: set together with profiles.files; set only one of them" }}
{{- end }}
{{- if and .Values.namespaceRules .Values.defaults }}
{{- fail "defaults: set together with namespaceRules, its new name; set only namespaceRules" }}
{{- end }}
{{- range $key, $text := $files }}
{{- $at := printf "profiles.files.%s" $key }}
{{- $profile := fromYaml $text }}
{{- with $profile.Error }}
{{- fail (printf "%s: the text is not a profile in YAML: %s" $at (toString .)) }}
{{- end }}
{{- /* podseal refuses both as well. */}}
{{- $containers := $profile.containers }}
{{- range $role, $rules := merge (dict "pod" $profile.pod) (kindIs "map" $containers | ternary $containers dict) }}
{{- if and (kindIs "map" $rules) (hasKey $rules "default") (hasKey $rules "ifUnset") }}
{{- $object := eq $role "pod" | ternary $role (printf "containers.%s" $role) }}
{{- fail (printf "%s: %s: sets both ifUnset and default, its deprecated name; set only ifUnset" $at $object) }}
{{- end }}
{{- end }}
{{- $name := $profile.name }}
{{- if or (kindIs "invalid" $name) (eq (toString $name) "") }}
{{- fail (printf "%s: the profile has no name; add name: %s" $at $key) }}
{{- end }}
{{- if kindIs "bool" $name }}
{{- fail (printf "%s: the profile's name is the boolean %v; put it in quotes" $at $name) }}
{{- end }}
{{- if ne (toString $name) $key }}
{{- fail (printf "%s: the profile's name is %s, not %s; make them the same" $at (toString $name) $key) }}
{{- end }}
{{- end }}
{{- $value := ternary "defaults" "namespaceRules" (not (empty .Values.defaults)) }}
{{- $names := list }}
{{- range $rule := (default .Values.defaults .Values.namespaceRules) }}
{{- $at := printf "%s: rule %s" $value .name }}
{{- if has .name $names }}
{{- fail (printf "%s: another rule has the same name; rename one" $at) }}
{{- end }}
{{- $names = append $names .name }}
{{- if not (or $profiles.configMap (has .profile $known) (hasKey $files .profile)) }}
{{- fail (printf "%s: profile %s not found; set one of %s" $at .profile (concat $known (keys $files | sortAlpha) | join ", ")) }}
{{- end }}
{{- if eq $.Release.Namespace (toString (get (default dict .namespaces.matchLabels) "kubernetes.io/metadata.name")) }}
{{- fail (printf "%s: namespaces.matchLabels: no rule applies to podseal's own namespace, %s; set another label" $at $.Release.Namespace) }}
{{- end }}
{{- range $setting, $text := .settings }}
{{- if and (hasKey $taken $rule.profile) (not (hasKey $files $rule.profile)) (not (has $setting (get $taken $rule.profile))) }}
{{- fail (printf "%s: settings.%s: changes nothing in the profile %s; remove it" $at $setting $rule.profile) }}
{{- end }}
{{- if eq $setting "home" }}
{{- /* In bytes: the schema counts characters. */}}
{{- $isLong := gt (len $text) 512 }}
{{- range splitList "/" $text }}
{{- $isLong = or $isLong (gt (len .) 255) }}
{{- end }}
{{- if $isLong }}
{{- fail (printf "%s: settings.home: is longer than 512 bytes, or has a segment longer than 255; set a shorter path" $at) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
