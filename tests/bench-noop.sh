#!/bin/bash
# tests/bench-noop.sh [RUNS [PROGRAM]]: what it costs to find that nothing is to do.
#
# On one converged host of the test bed: wall-time medians of `deployer apply`, of the same probe script piped through
# plain ssh, and of `ssh HOST true`, RUNS (10) of each in turn, and the ratios. The budget is 1.2 times the probe script. PROGRAM
# is another build to measure; without it the release build is made.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
runs=${1:-10}
work=$(mktemp -d)
host=
cleanup() {
    cd / && rm -rf "$work"
    [ -z "$host" ] || "$checkout/tests/bed" remove "$host"
}
trap cleanup EXIT

deployer=${2:-${CARGO_TARGET_DIR:-$checkout/target}/release/deployer}
[ $# -gt 1 ] || cargo build --quiet --release --manifest-path "$checkout/Cargo.toml"
read -r host address _ < <("$checkout/tests/bed" up 1 --docker)
images=$("$checkout/tests/bed" images)
settings=$("$checkout/tests/bed" env)
eval "$settings"
# shellcheck disable=SC2154 # set by the bed
{
    key=$BED_KEY known=$BED_KNOWN_HOSTS ssh_config=$BED_SSH_CONFIG
}

mkdir -p "$work/app/html"
cd "$work"
echo 'page one' >app/html/index.html
cat >app/compose.yaml <<'END'
services:
  web:
    image: demo:1
    ports: ["8080:8080"]
    volumes: ["./html:/www:ro"]
END
pin=$(awk -v host="$address," 'index($1, host) == 1 && $2 == "ssh-ed25519" { print $2, $3; exit }' "$known")
cat >deployment.yaml <<END
version: 1
project: bench
environments:
  noop:
    registered: { address: $address }
    ssh: { user: deploy, identity_file: $key, host_key: ["$pin"] }
    application: { compose: { directory: ./app, archives: { "demo:1": $images/demo-1.tar } } }
    checks: [ { name: page, http: { port: 8080, path: / } } ]
END
"$deployer" apply --json >log || { cat log >&2; exit 1; }
"$deployer" probe noop >probe.sh

apply() { "$deployer" apply; }
probe() { ssh -F "$ssh_config" "deploy@$address" sudo sh -s <probe.sh; }
nothing() { ssh -F "$ssh_config" "deploy@$address" true; }

# clock NAME: appends the microseconds that the function takes.
clock() {
    local begun=${EPOCHREALTIME/./}
    "$1" >log 2>&1 || { cat log >&2; exit 1; }
    echo $((${EPOCHREALTIME/./} - begun)) >>"times.$1"
}
for ((run = 0; run <= runs; run++)); do
    for name in apply probe nothing; do clock "$name"; done
    # The first turn warms up.
    [ "$run" != 0 ] || rm times.*
done

"$deployer" apply --json | tail -n 1 | grep -q '"outcome":"converged"'
median() { sort -n "times.$1" | awk '{ times[NR] = $1 } END { print (times[int((NR + 1) / 2)] + times[int(NR / 2) + 1]) / 2 }'; }
awk -v apply="$(median apply)" -v probe="$(median probe)" -v nothing="$(median nothing)" -v runs="$runs" 'BEGIN {
    printf "medians of %d runs: deployer apply %.0f ms, probe through ssh %.0f ms, ssh true %.0f ms\n", runs, apply / 1000, probe / 1000, nothing / 1000
    printf "deployer apply / probe through ssh: %.2f (budget 1.2)\n", apply / probe
    printf "deployer apply / ssh true: %.2f\n", apply / nothing
}'
