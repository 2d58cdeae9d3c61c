#!/usr/bin/env bash
# answers.sh PROGRAM INPUTS FOLDER: writes to FOLDER what this podseal says of INPUTS, which
# inputs.sh wrote, and of the fixtures and examples: on its standard output and error, by
# its exit code, over TLS, in its records and its metrics' names.
#
# What differs from run to run is replaced by its name, each only where it has its form:
# the record's time and duration_us, timestamps and elapsed_ms of other lines, the header
# date, addresses with their free ports, and the commit, which two images need not share.
set -euo pipefail
program=$(realpath "$1") inputs=$(realpath "$2") folder=$(realpath -m "$3")
cd "$(dirname "$0")/../.."
rm -rf "$folder"
mkdir -p "$folder"/{commands,handshakes,responses}
export NO_COLOR=1 COLUMNS=100
unset KUBECONFIG

commit=$("$program" --version | sed -E 's/.*\((.*)\)/\1/')
fail() {
  echo "answers: $program: $*" >&2
  exit 1
}

# ask NAME ARGUMENT...
ask() {
  local out=$folder/commands/$1 code=0
  shift
  "$program" "$@" >"$out.out" 2>"$out.err" </dev/null || code=$?
  echo "$code" >"$out.code"
}

ask version --version
for command in '' serve device-plugin review audit doctor probe profiles rules completions; do
  ask "help-$command" help ${command:+"$command"}
done
for shell in bash fish zsh; do
  ask "completions-$shell" completions "$shell"
done
ask profiles profiles --profiles examples/profiles
ask schema profiles --schema
ask check profiles --check examples/profiles
ask check-json profiles --check examples/profiles --output json
ask rules rules tests/fixtures/rules.yaml
ask no-such-file review --profile rootless no-such-file.yaml
ask review-matrix review --output json --profiles examples/profiles \
  --namespaces "$inputs/namespaces.yaml" "$inputs/reviews.json"
for output in text yaml json explain; do
  format=(--output "$output")
  [ "$output" != explain ] || format=(--explain)
  ask "review-rules-$output" review "${format[@]}" --namespace-rules tests/fixtures/rules.yaml -n ci-job-17 \
    --recursive tests/fixtures examples
  while read -r profile; do
    ask "review-$profile-$output" review "${format[@]}" --profiles examples/profiles --profile "$profile" -n ci \
      tests/fixtures/pods examples/build.yaml examples/job.yaml
    ask "profile-$profile" profiles --profiles examples/profiles "$profile"
  done <"$inputs/profiles"
done

"$program" serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0 --drain 0s --log-format json \
  --tls-cert-file "$inputs/tls/tls.crt" --tls-private-key-file "$inputs/tls/tls.key" \
  --profiles examples/profiles --namespaces "$inputs/namespaces.yaml" >"$folder/serve.out" 2>"$folder/log" &
pid=$!
trap 'kill -KILL "$pid" 2>/dev/null || :' EXIT

event() { # MESSAGE FIELD
  jq --raw-input --raw-output --arg message "$1" \
    "fromjson? | select(.message == \$message) | $2 // empty" "$folder/log"
}
for _ in {1..300}; do
  address=$(event serving .address) && [ -z "$address" ] || break
  kill -0 "$pid" || fail "it ended: $(tail -n 3 "$folder/log")"
  sleep 0.1
done
port=${address##*:}
[ -n "$port" ] || fail "it does not serve after 30 s"
status=$(event serving .status_address)

# Each cipher and curve, by HTTP/1.1: aws-lc has code of its own for them on each architecture.
client=(curl --silent --cacert "$inputs/tls/tls.crt" --resolve "podseal.podseal.svc:$port:127.0.0.1"
  --header 'Content-Type: application/json' --http1.1 --verbose)
shake() { # VERSION CIPHER CURVE OPTION...
  local name=$1-$2-$3
  shift 3
  "${client[@]}" "$@" --data "@$inputs/reviews/fixture-00000.json" --output "$folder/handshakes/$name" \
    "https://podseal.podseal.svc:$port/validate" 2>"$folder/handshake" || fail "no answer by $name"
  { echo && grep -aoE 'SSL connection using .*|HTTP/1.1 [0-9]+ .*' "$folder/handshake"; } >>"$folder/handshakes/$name"
}
for curve in X25519 P-256 P-384; do
  for cipher in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
    shake 1.3 "$cipher" "$curve" --tlsv1.3 --tls13-ciphers "$cipher" --curves "$curve"
  done
done
for cipher in ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305; do
  shake 1.2 "$cipher" X25519 --tls-max 1.2 --ciphers "$cipher" --curves X25519:P-256
done
rm "$folder/handshake"

# All over one connection, by HTTP/2.
for review in "$inputs"/reviews/*; do
  for webhook in mutate validate; do
    printf 'next\nurl = "https://podseal.podseal.svc:%s/%s"\ndata-binary = "@%s"\noutput = "%s"\n' \
      "$port" "$webhook" "$review" "$folder/responses/$(basename "$review" .json)-$webhook"
    printf 'include\nsilent\nshow-error\ncacert = "%s"\nresolve = "podseal.podseal.svc:%s:127.0.0.1"\n' \
      "$inputs/tls/tls.crt" "$port"
    printf 'header = "Content-Type: application/json"\n'
  done
done | sed 1d >"$folder/requests"
curl --config "$folder/requests"
rm "$folder/requests"
# The counters of what was decided with their values, and the names and labels of the others.
curl --silent --fail "http://$status/metrics" | LC_ALL=C sort |
  sed -E '/^(#|podseal_(requests|refused_requests|changes|violations|cautions)_total)/!s/ [^ ]+$//' >"$folder/metrics"
curl --silent --fail "http://$status/readyz?verbose" >"$folder/readyz"
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
echo "$code" >"$folder/serve.code"

time='20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z'
grep -F '"target":"podseal::decision"' "$folder/log" |
  sed -E "s/\"time\":\"$time\"/\"time\":\"TIME\"/; s/\"duration_us\":[0-9]+/\"duration_us\":\"DURATION\"/" >"$folder/records"
# How many lines about invalid requests are suppressed depends on how long they take.
grep -vE '"target":"podseal::(decision|webhook::bad_request)"' "$folder/log" |
  sed -E "s/\"timestamp\":\"$time\"/\"timestamp\":\"TIME\"/; s/\"elapsed_ms\":[0-9]+/\"elapsed_ms\":\"ELAPSED\"/
    s/127\.0\.0\.1:[0-9]+/ADDRESS/g" >"$folder/events"
rm "$folder/log"
sed -Ei 's/^date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} GMT/date: DATE/' "$folder"/responses/*
[ "$commit" = 'commit unknown' ] || grep -rlF "$commit" "$folder" | xargs sed -i "s/$commit/COMMIT/g"
