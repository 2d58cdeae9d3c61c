{{- /* Which namespaces podseal is called for, as JSON: one entry of each configuration.
The first is of namespaces that opted in by their label, and says no labels, no
prefixes and none to leave out; the others are of `namespaceRules`, for namespaces without
that label, and say which rules they are for. `matchConditions` cannot see a
namespace's labels, only its name, so rules that ask for labels need entries by
themselves: one for each set of labels.

A pod should be asked about once. So namespaces that the rules without labels are
for are left out of the other entries, and a set of labels that has another set in
it, which holds whatever the name, needs no entry. Namespaces that have two sets of
labels, neither of which is in the other, are asked about twice: no harm.

An entry has to keep its name when rules change, or it would lose its caBundle. */}}
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
{{- /* Whether a namespace's name begins with one of these, as CEL. The schema lets
through nothing that could end the text. */}}
{{- define "podseal.startsWith" -}}
{{- range $number, $prefix := . }}
{{- if $number }} ||
{{ end }}request.namespace.startsWith('{{ $prefix }}')
{{- end }}
{{- end }}
{{- /* The file of namespace rules, to the byte. podseal takes the digest of what it
reads, and what a ConfigMap's key holds is what is in the file. */}}
{{- define "podseal.rulesFile" -}}
{{- dict "rules" (default .Values.defaults .Values.namespaceRules) | toYaml }}
{{- end }}
{{- /* Which rules these are, as podseal itself names them: see src/live_config/digest.rs. */}}
{{- define "podseal.rulesDigest" -}}
rules-{{ include "podseal.rulesFile" . | sha256sum | trunc 16 }}
{{- end }}
{{- /* The ConfigMap of the rules. Each set has one of its own: a kubelet may still
have the former text of a ConfigMap when a new replica mounts it, and podseal reads
its rules once. A name has no room for the whole digest. */}}
{{- define "podseal.rulesConfigMap" -}}
{{ include "podseal.fullname" . }}-{{ include "podseal.rulesDigest" . | trunc 14 }}
{{- end }}
{{- /* Whether entries of namespace rules say in their path which rules they are for.
The value is missing where --reuse-values keeps those of a chart before 0.3.0. */}}
{{- define "podseal.hasRulesInPath" -}}
{{- if ne (toString .Values.webhooks.rulesInPath) "false" }}true{{ end }}
{{- end }}
{{- /* The built-in profiles, each with the settings that a rule may have for it. A
device's name has to end as the profile's own does: in fuse. */}}
{{- define "podseal.settings" -}}
none: []
openshift: [run-as-user, home]
privileged: [run-as-user, home]
root-fuse: [fuse-resource]
rootless: [run-as-user, home]
userns: [run-as-user, home]
{{- end }}
{{- /* What the schema cannot say of rules and profiles, and podseal only once it runs:
new replicas would never start. What profiles of one's own take is podseal's to say. */}}
{{- define "podseal.checkRules" }}
{{- $taken := include "podseal.settings" . | fromYaml }}
{{- $known := keys $taken | sortAlpha }}
{{- $profiles := default dict .Values.profiles }}
{{- $files := default dict $profiles.files }}
{{- if and $files $profiles.configMap }}
{{- fail (printf "profiles.configMap: %s would take the place of profiles.files; give one of both" $profiles.configMap) }}
{{- end }}
{{- range $name, $text := $files }}
{{- if has $name $known }}
{{- fail (printf "profiles.files.%s: a built-in profile is called so; give it another name" $name) }}
{{- end }}
{{- $profile := fromYaml $text }}
{{- with $profile.Error }}
{{- fail (printf "profiles.files.%s: its text is no profile: %s" $name (toString .)) }}
{{- end }}
{{- /* The old name of ifUnset, where podseal would refuse both. */}}
{{- $containers := $profile.containers }}
{{- range $role, $rules := merge (dict "pod" $profile.pod) (kindIs "map" $containers | ternary $containers dict) }}
{{- if and (kindIs "map" $rules) (hasKey $rules "default") (hasKey $rules "ifUnset") }}
{{- $at := eq $role "pod" | ternary $role (printf "containers.%s" $role) }}
{{- fail (printf "profiles.files.%s: %s: both ifUnset and default, its old name; give ifUnset only" $name $at) }}
{{- end }}
{{- end }}
{{- $called := $profile.name }}
{{- if or (kindIs "invalid" $called) (eq (toString $called) "") }}
{{- fail (printf "profiles.files.%s: the profile in it has no name; give it name: %s" $name $name) }}
{{- end }}
{{- if kindIs "bool" $called }}
{{- fail (printf "profiles.files.%s: the name in it is no text but %v; put it in quotes" $name $called) }}
{{- end }}
{{- if ne (toString $called) $name }}
{{- fail (printf "profiles.files.%s: the profile in it has the name %s; give both the same" $name (toString $called)) }}
{{- end }}
{{- end }}
{{- if and .Values.defaults .Values.namespaceRules }}
{{- fail "both namespaceRules and defaults, its old name; give namespaceRules only" }}
{{- end }}
{{- $said := ternary "defaults" "namespaceRules" (not (empty .Values.defaults)) }}
{{- $names := list }}
{{- range $rule := (default .Values.defaults .Values.namespaceRules) }}
{{- if has .name $names }}
{{- fail (printf "%s: two rules have the name %s" $said .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $prefix := default "" .namespaces.prefix }}
{{- if or (hasPrefix "kube-" $prefix) (hasPrefix "openshift-" $prefix) }}
{{- fail (printf "%s: rule %s: namespaces that begin with %s are the cluster's own, and no rule is for them; give it another prefix" $said .name $prefix) }}
{{- end }}
{{- if not (or $profiles.configMap (has .profile $known) (hasKey $files .profile)) }}
{{- fail (printf "%s: rule %s: there is no profile %s; there are %s" $said .name .profile (concat $known (keys $files | sortAlpha) | join ", ")) }}
{{- end }}
{{- $asked := get (default dict .namespaces.matchLabels) "kubernetes.io/metadata.name" }}
{{- if or (hasPrefix "kube-" $asked) (hasPrefix "openshift-" $asked) (eq $asked $.Release.Namespace) }}
{{- fail (printf "%s: rule %s: no rule is for the namespace %s, which is the cluster's own or podseal's; give it another label" $said .name $asked) }}
{{- end }}
{{- range $setting, $value := .settings }}
{{- if and (hasKey $taken $rule.profile) (not (has $setting (get $taken $rule.profile))) }}
{{- fail (printf "%s: rule %s: the profile %s has nothing that settings.%s could change; leave it out" $said $rule.name $rule.profile $setting) }}
{{- end }}
{{- if and (eq $setting "fuse-resource") (hasKey $taken $rule.profile) (not (hasSuffix "/fuse" $value)) }}
{{- fail (printf "%s: rule %s: settings.fuse-resource: %s is another device than that of the profile %s; give it a name that ends in /fuse" $said $rule.name $value $rule.profile) }}
{{- end }}
{{- if eq $setting "home" }}
{{- /* The schema counts letters. */}}
{{- $long := gt (len $value) 512 }}
{{- range splitList "/" $value }}
{{- $long = or $long (gt (len .) 255) }}
{{- end }}
{{- if $long }}
{{- fail (printf "%s: rule %s: settings.home is longer than 512 bytes, or a part of it than 255; give it a shorter path" $said $rule.name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
