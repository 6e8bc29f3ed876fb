#!/bin/bash
# tests/bench-noop.sh [HOSTS [RUNS [PROGRAM]]]: measures an apply that finds nothing to do.
#
# On HOSTS (8) converged hosts of the test bed, measures the wall time of `deployer apply`, of the same probe scripts
# piped through parallel plain ssh, and of `ssh HOST true`, RUNS (10) times in turn. Prints the medians and the ratios.
# The budget is 1.2 times the probe scripts. For comparison, PEER_RUNS (3) of pyinfra and Ansible find the same state:
# Docker is installed and runs, the files and the image are there, the services are up and the page is served. PROGRAM
# is another build to measure; the default is a new release build. BEFORE=PROGRAM names an older build that applies the
# same application under another name on the same hosts, in turn with this one; its ratio is printed. Needs python3 with
# venv, unless PEER_RUNS is 0.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
count=${1:-8}
runs=${2:-10}
peer_runs=${PEER_RUNS:-3}
deployer=${3:-${CARGO_TARGET_DIR:-$checkout/target}/release/deployer}
[ $# -gt 2 ] || cargo build --quiet --release --manifest-path "$checkout/Cargo.toml"
deployer=$(realpath "$deployer")
before=${BEFORE:+$(realpath "$BEFORE")}
work=$(mktemp -d)
cleanup() {
    cd /
    # shellcheck disable=SC2046 # names of hosts
    [ ! -s "$work/hosts" ] || "$checkout/tests/bed" remove $(cut -d' ' -f1 "$work/hosts")
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work"
"$checkout/tests/bed" up "$count" --docker >hosts
mapfile -t addresses < <(cut -d' ' -f2 hosts)
images=$("$checkout/tests/bed" images)
settings=$("$checkout/tests/bed" env)
eval "$settings"
# shellcheck disable=SC2154 # set by the bed
{
    key=$BED_KEY known=$BED_KNOWN_HOSTS ssh_config=$BED_SSH_CONFIG cache=$BED_CACHE
}

# ---- the work, said in three ways -----------------------------------------------------------------------------------

mkdir -p app/html
echo 'page one' >app/html/index.html
cat >app/compose.yaml <<'END'
services:
  web:
    image: demo:1
    ports: ["8080:8080"]
    volumes: ["./html:/www:ro"]
END
{
    cat <<END
version: 1
project: bench
defaults:
  ssh: { user: deploy, identity_file: $key }
  application: { compose: { directory: ./app, archives: { "demo:1": $images/demo-1.tar } } }
  checks: [ { name: page, http: { port: 8080, path: / } } ]
environments:
END
    for address in "${addresses[@]}"; do
        pin=$(awk -v host="$address," 'index($1, host) == 1 && $2 == "ssh-ed25519" { print $2, $3; exit }' "$known")
        echo "  noop${address##*.}: { registered: { address: $address }, ssh: { host_key: [\"$pin\"] } }"
    done
} >deployment.yaml

if [ -n "$before" ]; then
    mkdir old
    cp -r app deployment.yaml old
    sed -i 's/8080:8080/8081:8080/' old/app/compose.yaml
    sed -i 's/^project: bench/project: before/; s/port: 8080/port: 8081/' old/deployment.yaml
fi

{
    echo 'hosts = ['
    for address in "${addresses[@]}"; do
        echo "    ('$address', dict(ssh_user='deploy', ssh_key='$key', ssh_known_hosts_file='$known', ssh_strict_host_key_checking='yes')),"
    done
    echo ']'
} >inventory.py
cat >deploy.py <<'END'
from pyinfra.operations import apt, files, server, systemd
apt.packages(packages=["docker.io", "docker-compose"])
systemd.service(service="docker", running=True, enabled=True)
files.put(src="app/compose.yaml", dest="/opt/peer/compose.yaml", mode="644")
files.put(src="app/html/index.html", dest="/opt/peer/html/index.html", mode="644")
server.shell(commands=["docker image inspect demo:1 >/dev/null",
                       "docker compose -p peer -f /opt/peer/compose.yaml up -d --wait",
                       "curl -sf http://127.0.0.1:8080/"])
END
printf '%s\n' "${addresses[@]}" >inventory
cat >ansible.cfg <<END
[defaults]
inventory = inventory
remote_user = deploy
private_key_file = $key
forks = $count
interpreter_python = /usr/bin/python3
[privilege_escalation]
become = true
[ssh_connection]
pipelining = true
ssh_args = -F $ssh_config -o ControlMaster=auto -o ControlPersist=10s
control_path_dir = $work/ansible
END
cat >playbook.yaml <<'END'
- hosts: all
  tasks:
    - apt: { name: [docker.io, docker-compose] }
    - service: { name: docker, state: started, enabled: true }
    - file: { path: /opt/peer/html, state: directory }
    - copy: { src: app/compose.yaml, dest: /opt/peer/compose.yaml, mode: "0644" }
    - copy: { src: app/html/index.html, dest: /opt/peer/html/index.html, mode: "0644" }
    - command: docker image inspect demo:1
      changed_when: false
    - command: docker compose -p peer -f /opt/peer/compose.yaml up -d --wait
      changed_when: false
    - uri: { url: "http://127.0.0.1:8080/" }
END

# ---- the runs -------------------------------------------------------------------------------------------------------

# each COMMAND...: runs a command for every host, at the same time.
each() {
    local address jobs=() job failed=0
    for address in "${addresses[@]}"; do
        "$@" "$address" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}
on() { ssh -F "$ssh_config" "deploy@$1" "${@:2}"; }
probe_one() { on "$1" sudo sh -s <"probe.$1"; }
nothing_one() { on "$1" true; }
apply() { HOME=$work "$deployer" apply; }
before() { (cd old && HOME=$work "$before" apply); }
probe() { each probe_one; }
nothing() { each nothing_one; }
pyinfra() { "$cache/peers/bin/pyinfra" --sudo -y inventory.py deploy.py; }
ansible() { ANSIBLE_CONFIG=ansible.cfg "$cache/peers/bin/ansible-playbook" playbook.yaml; }

make_peers() {
    [ ! -e "$cache/peers/made" ] || return 0
    rm -rf "$cache/peers"
    python3 -m venv "$cache/peers"
    "$cache/peers/bin/pip" install --quiet pyinfra ansible-core
    touch "$cache/peers/made"
}

# clock NAME: appends the duration of a function in microseconds.
clock() {
    local begun=${EPOCHREALTIME/./}
    "$1" >log 2>&1 || { cat log >&2; exit 1; }
    echo $((${EPOCHREALTIME/./} - begun)) >>"times.$1"
}
median() { sort -n "times.$1" | awk '{ times[NR] = $1 } END { printf "%d", (times[int((NR + 1) / 2)] + times[int(NR / 2) + 1]) / 2000 }'; }

HOME=$work "$deployer" apply --json >log || { cat log >&2; exit 1; }
# The archives are in the cache, which only a run with DEPLOYER_WITHIN may read.
for address in "${addresses[@]}"; do DEPLOYER_WITHIN=/ HOME=$work "$deployer" probe "noop${address##*.}" >"probe.$address"; done
in_turn=(apply probe nothing)
if [ -n "$before" ]; then
    in_turn+=(before)
    before >log 2>&1 || { cat log >&2; exit 1; }
fi
# The first turn warms up.
for name in "${in_turn[@]}"; do clock "$name"; done
rm times.*
for ((run = 0; run < runs; run++)); do
    for name in "${in_turn[@]}"; do clock "$name"; done
done
HOME=$work "$deployer" apply --json | tail -n 1 | grep -q '"outcome":"converged"'
if [ "$peer_runs" != 0 ]; then
    # A port has one owner, so the peers must find their own services.
    make_peers
    for address in "${addresses[@]}"; do
        # Ansible uses the host's Python.
        on "$address" "sudo sh -ec 'docker compose -p bench--noop${address##*.} down
            apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y python3 python3-apt'" >log 2>&1 || { cat log >&2; exit 1; }
    done
    for name in pyinfra ansible; do clock $name; done
    rm times.pyinfra times.ansible
    for ((run = 0; run < peer_runs; run++)); do
        for name in pyinfra ansible; do clock $name; done
    done
fi

apply=$(median apply) probe=$(median probe) nothing=$(median nothing)
ratio() { awk -v one="$1" -v other="$2" 'BEGIN { printf "%.2f", one / other }'; }
echo "medians of $runs runs on $count hosts: deployer apply $apply ms, probe through ssh $probe ms, ssh true $nothing ms"
[ "$peer_runs" = 0 ] || {
    pyinfra=$(median pyinfra) ansible=$(median ansible)
    echo "medians of $peer_runs runs: pyinfra $pyinfra ms ($(ratio "$pyinfra" "$apply") x deployer), Ansible $ansible ms ($(ratio "$ansible" "$apply") x deployer)"
}
echo "deployer apply / probe through ssh: $(ratio "$apply" "$probe") (budget 1.2)"
echo "deployer apply / ssh true: $(ratio "$apply" "$nothing")"
[ -z "$before" ] || echo "deployer apply / apply of $BEFORE: $(ratio "$apply" "$(median before)")"
