{{- /* Which namespaces podseal is called for, as JSON: one entry of each configuration.
The first is of namespaces that opted in by their label, and says no labels, no
prefixes and none to leave out; the others are of `defaults`, for namespaces without
that label, and say which rules they are for. `matchConditions` cannot see a namespace's labels, only its name, so
rules that ask for labels need entries by themselves: one for each set of labels.

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
{{- range .Values.defaults }}
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
{{- range $.Values.defaults }}
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
{{- /* What the schema cannot say of rules and profiles, and podseal only once it runs. */}}
{{- define "podseal.checkRules" }}
{{- $known := list "none" "openshift" "privileged" "root-fuse" "rootless" "userns" }}
{{- $profiles := default dict .Values.profiles }}
{{- $files := default dict $profiles.files }}
{{- if and $files $profiles.configMap }}
{{- fail (printf "profiles.configMap: %s would take the place of profiles.files; give one of both" $profiles.configMap) }}
{{- end }}
{{- range $name, $text := $files }}
{{- if has $name $known }}
{{- fail (printf "profiles.files.%s: a built-in profile is called so; give it another name" $name) }}
{{- end }}
{{- $called := get (fromYaml $text) "name" }}
{{- if and $called (ne (toString $called) $name) }}
{{- fail (printf "profiles.files.%s: the profile in it has the name %s; give both the same" $name $called) }}
{{- end }}
{{- end }}
{{- $names := list }}
{{- range .Values.defaults }}
{{- if has .name $names }}
{{- fail (printf "defaults: two rules have the name %s" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $prefix := default "" .namespaces.prefix }}
{{- if or (hasPrefix "kube-" $prefix) (hasPrefix "openshift-" $prefix) }}
{{- fail (printf "defaults: rule %s: namespaces that begin with %s are the cluster's own, and no rule is for them; give it another prefix" .name $prefix) }}
{{- end }}
{{- if not (or $profiles.configMap (has .profile $known) (hasKey $files .profile)) }}
{{- fail (printf "defaults: rule %s: there is no profile %s; there are %s" .name .profile (concat $known (keys $files | sortAlpha) | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
