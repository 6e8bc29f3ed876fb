#!/bin/bash
# examples/quickstart.sh: from nothing to a running application, on a Debian machine, as root.
#
#   examples/quickstart.sh         build deployer, bring up a bare Debian host, deploy examples/quickstart to it
#   examples/quickstart.sh down    remove the host and everything else again
#
# It needs the Rust toolchain and installs the rest from Debian's packages. The host is a container of the test bed
# (tests/bed) on this machine, reached over SSH like any server. The script deploys a copy, in quickstart-work: look at
# it, change it, apply again. Run a second time, the script continues with the existing host and copy.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
bed=$checkout/tests/bed
work=$checkout/quickstart-work
doing='starting'

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'quickstart.sh: %s\n' "$*" >&2; doing=''; exit 1; }
ended() {
    local status=$?
    [ $status = 0 ] || [ -z "$doing" ] ||
        printf '\nquickstart.sh: failed while %s. Run it again to go on, or "%s down" to clean up.\n' "$doing" "$0" >&2
}
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# field N: of the line that tests/bed prints for our host, NAME IPV4 IPV6 KIND.
field() { "$bed" hosts | awk -v name="$(cat "$work/host" 2>/dev/null)" -v n="$1" '$1 == name { print $n }'; }

down() {
    doing='taking it down'
    if [ -n "$(field 1)" ]; then "$bed" remove "$(field 1)"; fi
    if [ -z "$("$bed" hosts)" ]; then "$bed" down; fi
    rm -rf "$work"
    echo "The host and quickstart-work are gone. What was built and cached stays."
}

install_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v curl >/dev/null || missing+=(curl ca-certificates)
    command -v ssh >/dev/null || missing+=(openssh-client)
    [ ${#missing[@]} != 0 ] || return 0
    say "Installing ${missing[*]}"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# Unoptimised, which takes less than half the time and is fast enough here.
build() {
    (cd "$checkout" && cargo build --locked)
    PATH=$(realpath -m "${CARGO_TARGET_DIR:-$checkout/target}")/debug:$PATH
}

bring_up() {
    rm -rf "$work"
    cp -r "$checkout/examples/quickstart" "$work"
    "$bed" up 1 --bare | tee /dev/stderr | cut -d' ' -f1 >"$work/host"
}

# The example as it would be written for this host: its address and key, our key, the image.
write_manifest() {
    local key images
    key=$(awk -v address="$address" 'index($1, address ",") == 1 && $2 == "ssh-ed25519" { print $2, $3 }' \
        "$checkout/tests/.bed/known_hosts")
    install -m 600 "$checkout/tests/.bed/key" "$work/key"
    images=$("$bed" images)
    cp "$images/demo-1.tar" "$work"
    sed -e "s|address: .*|address: $address|" -e "s|identity_file: .*|identity_file: ./key|" \
        -e "s|host_key: .*|host_key: [\"$key\"]|" -e '2,${/^#/d}' -e '/<-/{s| *# <-.*||;/^$/d}' \
        -e 's|\.\./\.\./schemas|../schemas|' "$checkout/examples/quickstart/deployment.yaml" >"$work/deployment.new"
    mv "$work/deployment.new" "$work/deployment.yaml"
    sed -n '/^environments:/,/host_key/p' "$work/deployment.yaml"
}

# run COMMAND...: as the reader would type it, in quickstart-work.
run() {
    doing="running $*"
    printf '\n$ %s\n' "$*"
    (cd "$work" && "$@")
}

case $* in
'') ;;
down) down && exit ;;
*) sed -n '/^#   /s/^# *//p' "$0" >&2 && doing='' && exit 64 ;;
esac

[ "$(id -u)" = 0 ] || fail "needs root, since it starts containers: run it with sudo"
grep -qx ID=debian /etc/os-release || fail "needs Debian. For your own server, see examples/quickstart/deployment.yaml"
command -v cargo >/dev/null || fail "needs the Rust toolchain: cargo does not exist (see https://rustup.rs)"

doing='installing packages'
install_packages

doing='building deployer'
say "Building deployer"
build

doing='bringing up a host'
if [ -n "$(field 1)" ]; then
    say "The host is up already: $(field 1), $(field 2)"
    "$bed" wait "$(field 1)"
else
    say "Bringing up a bare Debian host"
    bring_up
fi
address=$(field 2)
if ! grep -qF "address: $address" "$work/deployment.yaml"; then
    doing='writing the manifest'
    say "quickstart-work/deployment.yaml, for this host"
    write_manifest
fi

say "Deploying"
run deployer apply -f deployment.yaml --yes
run curl -fsS --max-time 10 "http://$address:8080/"
say "A second apply has nothing to do"
run deployer plan -f deployment.yaml --detailed-exitcode
doing=''

cat <<END

==> Done in $SECONDS s. To look around:

    cd $work
    PATH=${PATH%%:*}:\$PATH
    deployer status                                         # what runs there
    deployer logs demo                                      # what it prints
    ssh -F $checkout/tests/.bed/ssh_config deploy@$address
    \$EDITOR app/html/index.html.tera && deployer apply      # shows the change, then applies it

To use it on servers of your own: cargo install --locked --path $checkout
To take it down: $checkout/examples/quickstart.sh down
END
