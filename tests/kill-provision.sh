#!/bin/bash
# tests/kill-provision.sh [N [PROGRAM]]: kills a run that creates a machine at N (50) random points, and checks whether
# the next run ends with exactly that machine.
#
# Each run begins without a machine, a store or a directory of OpenTofu. Every other time only deployer is killed, so
# that OpenTofu continues without it; otherwise both are killed at once, with everything that they started. The next run
# must then end with one machine that answers, know that machine (a plan without changes), and destroy it.
#   doubled: LXD has more than one machine of this project.
#   lost: LXD has one that deployer does not know, or that deployer does not destroy.
# Prints one line per run, then the sums. The exit status is 1 unless all runs converged and nothing was doubled or
# lost. SEED chooses the points (printed). PROGRAM is the build to kill; the default is a new debug build. ADDRESS is
# the last part of the machine's address. The bed stays up: `tests/bed down` ends it.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
count=${1:-50}
seed=${SEED:-$RANDOM}
deployer=${2:-${CARGO_TARGET_DIR:-$checkout/target}/debug/deployer}
[ $# -gt 1 ] || cargo build --quiet --manifest-path "$checkout/Cargo.toml"
deployer=$(realpath "$deployer")
bed=$checkout/tests/bed
project=kill$$
work=$(mktemp -d)
# shellcheck source=/dev/null # parsed as a file of its own
. "$checkout/tests/bed.d/lab"
trap 'trap - EXIT INT TERM; without_lab "$bed" "$project" "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
lab "$bed" "$project" "$work" "${ADDRESS:-254}"

machines() { "$bed" lxc list -f csv -c n | grep -c "^$project--" || true; }

RANDOM=$seed
echo "seed $seed"
converged=0 doubled=0 lost=0
for ((run = 1; run <= count; run++)); do
    rm -rf .deployer
    # A whole run takes about five seconds.
    pause=$((RANDOM % 5)).$((RANDOM % 900 + 100))
    setsid "$deployer" provision lab -y --json >first.log 2>&1 </dev/null &
    first=$!
    sleep "$pause"
    whom=alone
    if ((run % 2)); then
        whom=all
        # OpenTofu has its own process group, so everything below deployer is killed.
        mapfile -t below < <(pgrep -P "$first" || true)
        kill -9 -- "$first" 2>/dev/null || true
        for one in "${below[@]}"; do kill -9 -- "-$one" 2>/dev/null || kill -9 "$one" 2>/dev/null || true; done
    else
        kill -9 "$first" 2>/dev/null || true
    fi
    wait "$first" 2>/dev/null || true
    verdict=converged
    timeout 120 "$deployer" provision lab -y --json >next.log 2>&1 </dev/null || verdict="next run failed"
    there=$(machines)
    if [ "$there" -gt 1 ]; then doubled=$((doubled + 1)) verdict="doubled ($there)"; fi
    [ "$there" != 0 ] || verdict="no machine"
    if [ "$verdict" = converged ]; then
        "$deployer" plan --detailed-exitcode >plan.log 2>&1 </dev/null || verdict="not converged"
    fi
    "$deployer" destroy lab --allow-destroy lab -y --json >destroy.log 2>&1 </dev/null || verdict="not taken down"
    if [ "$(machines)" != 0 ]; then
        lost=$((lost + 1)) verdict="$verdict, lost"
        "$bed" lxc delete --force "$project--lab" >/dev/null 2>&1 || true
    fi
    if [ "$verdict" = converged ]; then converged=$((converged + 1)); else tail -n 5 next.log plan.log destroy.log || true; fi
    echo "run $run: killed $whom after $pause s: $verdict"
done
echo "runs $count, converged $converged, machines doubled $doubled, machines lost $lost"
[ "$converged" = "$count" ] && [ "$doubled" = 0 ] && [ "$lost" = 0 ]
