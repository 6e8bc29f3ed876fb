#!/bin/bash
# tests/run.sh: the one test command. CI calls it.
#
#   tests/run.sh            everything
#   tests/run.sh --quick    without the parts that need the test bed: the live tests and the quick start
#
# DEPLOYER_TEST_PROVIDERS=DIRECTORY names a filesystem mirror of OpenTofu with terraform-lxd/lxd 2.6.2 (below
# registry.opentofu.org or registry.terraform.io, packed or not). The tests of the kind lxd then use that provider,
# otherwise a substitute (tests/lxd_provider). Nothing else in the mirror is read. The script needs the Rust toolchain
# and, on Debian, root: it installs everything else from Debian's packages. Results that are slow to make are kept in
# ${XDG_CACHE_HOME:-~/.cache}/deployer-tests. A bed that is already up is used and stays up. If a suite fails, the
# others still run: its output is printed, and the exit status is 1.
set -euo pipefail
shopt -s inherit_errexit nullglob
cd "$(dirname "$0")/.."

cargo_deny=0.20.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/deployer-tests
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 CARGO_TERM_COLOR=never RUST_BACKTRACE=0
export CI=true # deployer behaves differently there: no test may depend on where it runs

fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

case $* in
'') quick='' ;;
--quick) quick=1 ;;
*) sed -n '/^#   /s/^# *//p' "$0" >&2 && exit 64 ;;
esac

# ---- what the tests need --------------------------------------------------------------------------------------------

install_packages() {
    local missing=()
    command -v ssh >/dev/null || missing+=(openssh-client)
    [ -x /usr/sbin/sshd ] || missing+=(openssh-server) # tests start one of their own, on the loopback interface
    command -v shellcheck >/dev/null || missing+=(shellcheck)
    command -v busybox >/dev/null || missing+=(busybox)
    local shell # login shells that hosts may have
    for shell in zsh fish tcsh; do command -v $shell >/dev/null || missing+=("$shell"); done
    command -v git >/dev/null || missing+=(git)
    command -v faketime >/dev/null || missing+=(faketime) # a runner whose clock is wrong
    local tool # of the pipelines of examples/ci
    for tool in curl jq; do command -v $tool >/dev/null || missing+=("$tool"); done
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    [ ${#missing[@]} != 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then fail "needs these packages: ${missing[*]}"; fi
    echo "installing ${missing[*]}"
    { apt-get update && apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"; } \
        >"$logs/apt" 2>&1 </dev/null || { cat "$logs/apt" && fail "cannot install ${missing[*]}"; }
}

# Keeps the built dependencies in the cache, so that a fresh clone need not build them again. A checkout with a target
# directory, a machine that sets CARGO_TARGET_DIR, and a second run at the same time use their own.
choose_target() {
    local shared
    shared=$cache/target/$(rustc -vV | sha256sum | cut -c1-16)
    if [ -z "${CARGO_TARGET_DIR-}" ] && [ ! -e target ]; then
        mkdir -p "$shared"
        touch "$shared"
        exec 8>"$shared/.lock"
        if flock -n 8; then
            export CARGO_TARGET_DIR=$shared CARGO_INCREMENTAL=0
            cargo clean --quiet --package deployer # that of other clones
        fi
    fi
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
}

# ---- suites ---------------------------------------------------------------------------------------------------------

# Lines that are omitted from the output of a failed suite.
noise='^ +(Compiling|Checking|Download(ed|ing)|Documenting) |^test .* \.\.\. ok$'

# suite NAME COMMAND...: prints one line at the end, and the output on failure. Must not be called in a condition: its
# command would continue after an error.
suite() {
    local name=$1 log=$logs/$1 begin=$SECONDS verdict passed failed ignored
    shift
    set +e
    (set -e && "$@") >"$log" 2>&1 </dev/null 7>&- 8>&-
    verdict=$?
    set -e
    [ $verdict = 0 ] && verdict=ok || verdict=FAILED
    read -r passed failed ignored < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p+0, f+0, i+0 }' "$log")
    # A suite without tests counts as one test.
    if [ $((passed + failed)) = 0 ]; then passed=$([ $verdict = ok ] && echo 1 || echo 0); fi
    if [ $verdict = FAILED ] && [ "$failed" = 0 ]; then failed=1; fi
    {
        flock 9
        [ $verdict = ok ] || { echo "---- $name" && { grep -vE "$noise" "$log" || true; } && echo ----; }
        # The result of fuzzing is its number of runs.
        [ $verdict != ok ] || [ "$name" != fuzz ] || sed -n '/^planted /p; /^target /,/^all /p' "$log"
        printf '%-6s  %-10s %5d s  %4d passed, %d failed' "$verdict" "$name" $((SECONDS - begin)) "$passed" "$failed"
        [ "$ignored" = 0 ] || printf ', %d ignored' "$ignored"
        echo
        echo "$name $passed $failed" >>"$logs/results"
    } 9>"$logs/lock"
}

install_cargo_deny() {
    local made
    [ ! -x "$cache/bin/cargo-deny-$cargo_deny" ] || return 0
    made=$(mktemp -d)
    # Unoptimised: it is run once for a second, and its release profile takes minutes to build.
    CARGO_TARGET_DIR=$made/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none \
        cargo install --debug --locked --quiet --no-track --root "$made" --version "$cargo_deny" cargo-deny
    mkdir -p "$cache/bin"
    mv "$made/bin/cargo-deny" "$cache/bin/cargo-deny-$cargo_deny"
    rm -rf "$made"
}

deny() {
    install_cargo_deny
    touch "$cache/bin/cargo-deny-$cargo_deny"
    "$cache/bin/cargo-deny-$cargo_deny" --locked check --hide-inclusion-graph bans licenses sources
}

# Prints the files of the checkout, as they are now.
files() { git ls-files -z --cached --others --exclude-standard "$@"; }

# Checks every shell script, except input of tests.
scripts() {
    local file line
    files ':!tests/cases' | while IFS= read -rd '' file; do
        line=''
        [ ! -f "$file" ] || IFS= read -r line <"$file" || true
        if [[ $line == '#!'*sh || $line == '# shellcheck shell='* ]]; then printf '%s\0' "$file"; fi
    done 2>/dev/null | xargs -0 -t shellcheck
}

images() { tests/bed image && tests/bed images && tests/bed stack; }

# Records a test that cannot run on this machine, and the reason. They are printed at the end and not counted.
not_run() { echo "not run: $*" >>"$logs/not_run"; }

# Go builds OpenTofu from its modules.
tofu() {
    local said status=0
    said=$(tests/bed tofu 2>&1 >/dev/null) || status=$?
    [ $status != 3 ] || not_run "what needs OpenTofu: ${said#*not run: }"
    [ $status = 0 ] || [ $status = 3 ] || { echo "$said" && return $status; }
    if [ $status = 0 ]; then
        [ -n "${DEPLOYER_TEST_PROVIDERS-}" ] ||
            not_run "no provider mirror: the kind lxd is tried with a stand-in for LXD's provider (DEPLOYER_TEST_PROVIDERS)"
        tests/bed lxd_provider
    fi
}

# The live tests and the fuzz targets must be named.
clippy() {
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --test fuzz --test live --test live_tofu -- -D warnings
}

live_tofu() {
    local skip=()
    command -v terraform >/dev/null || { skip=(--skip terraform) && not_run "with terraform: it is not installed"; }
    timeout 3600 cargo test --locked --no-fail-fast --test live_tofu -- --test-threads=2 "${skip[@]}"
}

live() {
    # Four at a time on two cores, because each sometimes waits for its host. A hang appears in the output.
    timeout 3900 cargo test --locked --no-fail-fast --test live -- --test-threads=4
    grep -q '^test result: .* [1-9][0-9]* passed' "$logs/live" || { echo "no live test was run" && exit 1; }
}

# Runs the quick start in a fresh copy with its own bed, like a newcomer. The second run finds the host of the first.
quickstart() {
    local copy status=0
    copy=$(mktemp -d)
    files | tar --null -T - --ignore-failed-read -c | tar -x -C "$copy"
    { "$copy/examples/quickstart.sh" && "$copy/examples/quickstart.sh"; } || status=1
    "$copy/examples/quickstart.sh" down || status=1
    "$copy/tests/bed" down || status=1
    rm -rf "$copy"
    return $status
}

# Runs the suites that mostly wait, while cargo keeps both cores busy.
beside() {
    [ -n "$quick" ] || suite tofu tofu
    [ -n "$quick" ] || suite images images
    suite shellcheck scripts
    suite deny deny
}

# ---- the run --------------------------------------------------------------------------------------------------------

logs=$(mktemp -d)
bed_was_up=''
[ ! -e tests/.bed ] || bed_was_up=1
side=''

tidy() {
    trap - EXIT INT TERM
    [ -z "$side" ] || kill -- "-$side" 2>/dev/null
    [ -n "$quick$bed_was_up" ] || tests/bed down
    rm -rf "$logs"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v cargo >/dev/null || fail "needs the Rust toolchain: cargo does not exist"
{ cargo fmt --version && cargo clippy --version || rustup component add rustfmt clippy; } >/dev/null 2>&1 ||
    fail "needs rustfmt and clippy: rustup component add rustfmt clippy"
[ -n "$quick" ] || [ "$(id -u)" = 0 ] || fail "needs root for the test bed: run it with sudo, or with --quick"
exec 7<tests/run.sh
flock -n 7 || fail "is running in this checkout already"
install_packages
choose_target

set -m # a process group of its own, to be stopped as one
beside &
side=$!
set +m
suite fmt cargo fmt --check -- --color never
suite test timeout 1800 cargo test --locked --no-fail-fast --all-targets # without the live tests
suite doctest cargo test --locked --doc
suite fuzz cargo test --locked --test fuzz
suite clippy clippy
suite doc env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
wait "$side" || fail "broke off beside cargo"
side=''
if [ -z "$quick" ]; then
    suite live live
    grep -q 'what needs OpenTofu' "$logs/not_run" 2>/dev/null || suite live_tofu live_tofu
    suite quickstart quickstart
fi

echo
[ -n "$quick" ] || awk '$1 == "live" { print $2 + $3 " live tests run on hosts of the test bed" }' "$logs/results"
[ ! -e "$logs/not_run" ] || cat "$logs/not_run"
[ -z "$quick" ] || echo "left out: the live tests and the quick start, which need the test bed"
awk '{ p += $2; f += $3 } END { print p " passed, " f " failed"; exit f > 0 }' "$logs/results"
