#!/bin/bash
# tests/bench-provision.sh [N [PROGRAM]]: measures the time that deployer adds to `tofu apply` when it creates a
# machine. Prints medians of N (5) rounds and their ratios. The machine is a container of the test bed, by the module of
# examples/module. Each round begins without a machine and without state.
#
#   apply    tofu init and tofu apply of the files that deployer writes, with a state file next to them
#   machine  deployer until the machine is there: its plan, the infrastructure step and the first connection
#   all      deployer provision as a whole, which also marks the host as ours
#
# PROGRAM is the build to measure; the default is a new release build. The bed stays up: `tests/bed down` ends it.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
rounds=${1:-5}
deployer=${2:-${CARGO_TARGET_DIR:-$checkout/target}/release/deployer}
[ $# -gt 1 ] || cargo build --release --quiet --manifest-path "$checkout/Cargo.toml"
deployer=$(realpath "$deployer")
bed=$checkout/tests/bed
project=bench$$
work=$(mktemp -d)
# shellcheck source=/dev/null # parsed as a file of its own
. "$checkout/tests/bed.d/lab"
trap 'trap - EXIT INT TERM; without_lab "$bed" "$project" "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
lab "$bed" "$project" "$work" 254

ssh-keygen -q -t ed25519 -N '' -f host_key
TF_VAR_deployer_host_key=$(cat host_key)
export TF_VAR_deployer_host_key

now() { date +%s%N; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

for ((round = 0; round < rounds; round++)); do
    rm -rf .deployer
    begin=$(now)
    "$deployer" provision lab -y --json >log 2>&1
    all=$((($(now) - begin) / 1000000))
    access=$(jq -s '[.[] | select(.type == "step" and .kind == "access" and .state == "applied").duration_ms] | add' log)
    echo $all >>all
    echo $((all - access)) >>machine
    # Next to ours, so that the relative path of the module is the same.
    rm -rf .deployer/tofu/plain
    mkdir .deployer/tofu/plain
    cp ".deployer/tofu/$project--lab".*/{main.tf,terraform.tfvars}.json .deployer/tofu/plain
    "$deployer" destroy lab --allow-destroy lab -y --json >log 2>&1
    begin=$(now)
    (cd .deployer/tofu/plain && tofu init -input=false && tofu apply -input=false -auto-approve) >log 2>&1
    echo $((($(now) - begin) / 1000000)) >>apply
    (cd .deployer/tofu/plain && tofu destroy -input=false -auto-approve) >log 2>&1
done

for what in apply machine all; do printf '%-8s %6d ms\n' $what "$(median <$what)"; done
for what in machine all; do
    awk -v a="$(median <$what)" -v b="$(median <apply)" -v what=$what 'BEGIN { printf "%s / apply: %.2f\n", what, a / b }'
done
