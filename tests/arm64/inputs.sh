#!/usr/bin/env bash
# inputs.sh FOLDER: writes what answers.sh asks of podseal: reviews of every fixture in a
# namespace of every profile with every level, mode and kind of runner; the reviews that
# the fuzz targets keep, few of which are valid; and a certificate. Needs no podseal.
set -euo pipefail
folder=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
mkdir -p "$folder/reviews" "$folder/tls"

mapfile -t profiles < <(sed -n 's/^name: //p' crates/admission/src/profile/built_in/*.yaml examples/profiles/*.yaml)
printf '%s\n' "${profiles[@]}" >"$folder/profiles"
runner='system:serviceaccount:gitlab:gitlab-runner'
# A suffix of the namespace's name, its labels, its annotations.
variants=(
  'plain||'
  "run||podseal.io/runner: '$runner'"
  "other-run||podseal.io/runner: 'system:serviceaccount:x:y'"
  "restricted|podseal.io/level: restricted|podseal.io/runner: '$runner'"
  "open|podseal.io/level: privileged|"
  'warn|podseal.io/mode: warn|'
  'audit|podseal.io/mode: audit|'
  "set||podseal.io/run-as-user: '2000', podseal.io/home: /work/home"
  'mistyped|podseal.io/level: strict, podseal.io/mode: aduit|'
)
namespaces=(outside)
echo '{kind: Namespace, apiVersion: v1, metadata: {name: outside}}' >"$folder/namespaces.yaml"
for profile in "${profiles[@]}" unknown; do
  for variant in "${variants[@]}"; do
    IFS='|' read -r suffix labels annotations <<<"$variant"
    namespaces+=("$profile-$suffix")
    printf -- '---\n{kind: Namespace, apiVersion: v1, metadata: {name: %s, labels: {%s}, annotations: {%s}}}\n' \
      "$profile-$suffix" "podseal.io/profile: $profile${labels:+, $labels}" "$annotations"
  done
done >>"$folder/namespaces.yaml"

for pod in tests/fixtures/pods/*.json; do
  jq --compact-output --arg name "$(basename "$pod" .json)" --arg runner "$runner" \
    '. as $pod | $ARGS.positional[] | {apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: {
      uid: "\($name)-in-\(.)", operation: "CREATE", namespace: ., userInfo: {username: $runner},
      kind: {group: "", version: "v1", kind: "Pod"}, resource: {group: "", version: "v1", resource: "pods"},
      object: $pod}}' --args "${namespaces[@]}" <"$pod"
done >"$folder/reviews.json"
split --lines 1 --suffix-length 5 --numeric-suffixes --additional-suffix .json "$folder/reviews.json" "$folder/reviews/fixture-"
for kept in fuzz/corpus/review/*; do
  cp "$kept" "$folder/reviews/fuzz-${kept##*/}"
done

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=podseal.podseal.svc -addext subjectAltName=DNS:podseal.podseal.svc -addext extendedKeyUsage=serverAuth \
  -keyout "$folder/tls/tls.key" -out "$folder/tls/tls.crt" 2>/dev/null
