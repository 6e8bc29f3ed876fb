#!/bin/bash
# tests/bench-watch.sh [ENVIRONMENTS [MINUTES [PROGRAM]]]: measures `deployer watch` while nothing happens.
#
# ENVIRONMENTS (50) on two hosts of the test bed, all converged, are watched for MINUTES (10) at the default interval of
# 5 minutes. Prints the processor time of the watch and of every process that it started, ssh included, as a share of
# one core. The budget is 1 %. The first passes open every connection, and a connection is kept for at most half an
# hour, so their cost is counted once in 25 minutes, whatever the value of MINUTES. PROGRAM is another build to measure;
# the default is a new release build.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
environments=${1:-50}
minutes=${2:-10}
work=$(mktemp -d)
hosts=() addresses=()
space=
cleanup() {
    cd /
    [ -z "$space" ] || kill -KILL "$space" 2>/dev/null || true
    rm -rf "$work"
    [ ${#hosts[@]} = 0 ] || "$checkout/tests/bed" remove "${hosts[@]}"
}
trap cleanup EXIT

deployer=${3:-${CARGO_TARGET_DIR:-$checkout/target}/release/deployer}
[ $# -gt 2 ] || cargo build --quiet --release --manifest-path "$checkout/Cargo.toml"
while read -r host address _; do
    hosts+=("$host")
    addresses+=("$address")
done < <("$checkout/tests/bed" up 2 --docker)
images=$("$checkout/tests/bed" images)
settings=$("$checkout/tests/bed" env)
eval "$settings"
# shellcheck disable=SC2154 # set by the bed
{
    key=$BED_KEY known=$BED_KNOWN_HOSTS
}

cd "$work"
printf 'version: 1\nproject: bench\nenvironments:\n' >deployment.yaml
for ((number = 0; number < environments; number++)); do
    address=${addresses[number % ${#addresses[@]}]}
    pin=$(awk -v host="$address," 'index($1, host) == 1 && $2 == "ssh-ed25519" { print $2, $3; exit }' "$known")
    mkdir -p "app$number/html"
    echo "page $number" >"app$number/html/index.html"
    # On Docker's default bridge: there are not enough addresses for one network each.
    printf 'services:\n  web:\n    image: demo:1\n    network_mode: bridge\n    volumes: ["./html:/www:ro"]\n' \
        >"app$number/compose.yaml"
    cat >>deployment.yaml <<END
  e$number:
    registered: { address: $address }
    ssh: { user: deploy, identity_file: $key, host_key: ["$pin"] }
    application: { compose: { directory: ./app$number, archives: { "demo:1": $images/demo-1.tar } } }
END
done
"$deployer" apply --json --parallel 4 >log || { tail -n 5 log >&2; exit 1; }

# Runs in its own PID namespace, whose first process inherits every ssh that outlives its parent, so none is missed.
cat >first.sh <<'END'
"$1" watch --json --listen 127.0.0.1:0 >watched 2>&1 &
wait
END
unshare --fork --pid --kill-child bash first.sh "$deployer" &
space=$!
until grep -q '"listening"' watched 2>/dev/null; do sleep 0.1; done
first=$(pgrep -P "$space")
watch=$(pgrep -P "$first")
served=$(sed -n 's,.*http://\([^/]*\)/healthz.*,\1,p' watched)
metric() {
    curl -sf --noproxy '*' "http://$served/metrics" |
        awk -v name="$1" 'index($1, name "{") == 1 { sum += $2 } END { print sum + 0 }'
}
# used: prints the clock ticks of the watch and of every living ssh, with the children that they waited for, and of the
# processes that the first process inherited and reaped.
used() {
    local process
    {
        sed 's/.*) //' "/proc/$first/stat"
        for process in $(pgrep -P "$first"); do sed 's/.*) //' "/proc/$process/stat" 2>/dev/null || true; done
    } | awk 'NR > 1 { sum += $12 + $13 } { sum += $14 + $15 } END { print sum }'
}

# The first passes come all at once, so they are measured separately.
until [ "$(metric deployer_reconciles_total)" -ge "$environments" ]; do sleep 1; done
sleep 5
passes=$(metric deployer_reconciles_total) begun=${EPOCHREALTIME/./} before=$(used)
sleep "$((minutes * 60))"
after=$(used) took=$((${EPOCHREALTIME/./} - begun)) passes=$(($(metric deployer_reconciles_total) - passes))
[ "$(metric deployer_reconcile_failures_total)" = 0 ] || { tail -n 5 watched >&2; exit 1; }
memory=$(awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$watch/status")
awk -v used="$((after - before))" -v hertz="$(getconf CLK_TCK)" -v took="$took" -v passes="$passes" -v first="$before" \
    -v all="$environments" -v memory="$memory" 'BEGIN {
    seconds = took / 1e6
    printf "%d environments watched for %.0f s: %d passes, at most %d MB\n", all, seconds, passes, memory
    printf "processor time, ssh included: %.1f s, %.0f ms a pass\n", used / hertz, passes ? 1000 * used / hertz / passes : 0
    idle = 100 * used / hertz / seconds
    anew = 100 * first / hertz / (25 * 60)
    printf "the first passes and their connections: %.1f s\n", first / hertz
    printf "of one core: %.2f %%, with new connections %.2f %% (budget 1 %%)\n", idle, idle + anew
}'
