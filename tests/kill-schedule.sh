#!/bin/bash
# tests/kill-schedule.sh [N [PROGRAM]]: kills the runner at N (200) random points, and checks whether the next apply
# repairs the host.
#
# Each run kills an apply on a host of the test bed with SIGKILL. Every tenth run uses a fresh bare host, the others a
# host with Docker, either from nothing (half of them with an empty store) or to another release. Then the store must
# open, the next apply must end healthy with nothing left to do, and
#   doubled: a container, a release, a directory or Docker's installation exists twice, or something is half done;
#   lost: a page, an image, the data of a volume, a foreign file or the store is not as before or not as wanted
# must both be empty. Prints one line per run, then the sums. The exit status is 1 unless all runs converged and nothing
# was doubled or lost. SEED chooses the points (printed), and LANES (2) is the number of hosts at once. PROGRAM is the
# build to kill; the default is a new debug build. The bed stays up, because others may use it: `tests/bed down` ends
# it.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
count=${1:-200}
seed=${SEED:-$RANDOM}
lanes=${LANES:-2}
deployer=${2:-${CARGO_TARGET_DIR:-$checkout/target}/debug/deployer}
[ $# -gt 1 ] || cargo build --quiet --manifest-path "$checkout/Cargo.toml"
deployer=$(realpath "$deployer")
bed=$checkout/tests/bed
work=$(mktemp -d)
running=()
cleanup() {
    trap - EXIT INT TERM
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait
    cat "$work"/lane*/hosts 2>/dev/null | xargs -r "$bed" remove
    cd / && rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

app=/opt/deployer/kill--schedule state=/var/lib/deployer/kill--schedule

# new_host bare|docker: sets host and address, and writes the manifest of that host.
new_host() {
    read -r host address _ < <("$bed" up 1 "--$1")
    echo "$host" >>hosts
    local pin
    pin=$("$bed" shell "$host" cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)
    cat >deployment.yaml <<-END
	version: 1
	project: kill
	environments:
	  schedule:
	    registered: { address: $address }
	    ssh: { user: deploy, identity_file: $BED_KEY, host_key: ["$pin"] }
	    configure: { security_updates: true }
	    health: { timeout: 60s, stable_for: 1s }
	    application: { compose: { directory: ./app, archives: { "demo:1": $images/demo-1.tar, "demo:2": $images/demo-2.tar } } }
	    checks: [ { name: page, http: { port: 8080, path: / } }, { name: side, http: { port: 8081, path: / } } ]
	END
}

# want TEXT 1|2: sets the wanted release.
want() {
    page=$1 image=demo:$2
    mkdir -p app/html
    echo "$page" >app/html/index.html
    cat >app/compose.yaml <<-END
	services:
	  web:
	    image: $image
	    ports: ["8080:8080"]
	    volumes: ["./html:/www:ro", "data:/data"]
	  side:
	    image: demo:1
	    command: [httpd, -f, -p, "8081", -h, /www]
	    ports: ["8081:8081"]
	    volumes: ["./html:/www:ro"]
	volumes: { data: {} }
	END
}

# on_host SCRIPT: runs a script on the host as root.
on_host() { "$bed" shell "$host" sh -c "$1"; }

# timed_apply NAME: runs the next apply to its end, and sets took (ms).
timed_apply() {
    local begun=${EPOCHREALTIME/./}
    HOME=$PWD "$deployer" apply --json >"$1.json" 2>"$1.err" </dev/null || return
    took=$(((${EPOCHREALTIME/./} - begun) / 1000))
}

# kill_apply MS: kills an apply after that time. Fails if it ended before.
kill_apply() {
    local pid
    (HOME=$PWD exec "$deployer" apply --json >killed.json 2>killed.err </dev/null) &
    pid=$!
    sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
    kill -9 $pid 2>/dev/null
    status=0
    wait $pid 2>/dev/null || status=$?
    [ $status = 137 ]
}

# Prints what exists twice or is half done, one line each.
doubled() {
    local name
    on_host "docker ps -a --format '{{.Label \"com.docker.compose.service\"}}'" | sort | uniq -c >containers
    for name in web side; do grep -qE "^ +1 $name\$" containers || echo "containers of $name: $(xargs <containers)"; done
    [ "$(wc -l <containers)" = 2 ] || echo "containers: $(xargs <containers)"
    on_host "ls -A /var/lib/deployer /opt/deployer | grep -vxE '/.*:|kill--schedule|directories|claims.lock|host.lock|' || true
        find $state $app \( -name staged -o -name swapping -o -name '*.new' -o -name '*.deployer-new' -o -name '.deployer-new.*' \) -print
        ps -e -o args= | grep '[d]eployer-begin' || true
        digest() { sed -n 's/.*\"digest\":\"\([^\"]*\)\".*/\1/p' \"\$1\"; }
        for record in $state/releases/*/release.json; do digest \$record; done | sort | uniq -d | sed 's/^/release twice: /'"
    [ "$mode" != bare ] || on_host "n=\$(cat /var/log/apt/history.log | grep -cE '^Install:.* docker.io:')
        [ \$n = 1 ] || echo \"docker.io was installed \$n times\""
}

# Prints what is not as wanted or not as before, one line each.
lost() {
    local port got
    for port in 8080 8081; do
        got=$(curl -sf -m 5 --noproxy '*' "http://$address:$port/" || true)
        [ "$got" = "$page" ] || echo "port $port answers '$got', not '$page'"
    done
    got=$(on_host "docker ps --format '{{.Image}}' --filter label=com.docker.compose.service=web")
    [ "$got" = "$image" ] || echo "web runs $got, not $image"
    [ $mode = bare ] || [ "$(on_host 'cat /var/lib/docker/volumes/kill--schedule_data/_data/kept')" = data ] || echo "the volume's data"
    [ $mode != update ] || [ "$(on_host "cat $app/notes")" = others ] || echo "a file of others"
    # The archives are in the cache, which only a run with DEPLOYER_WITHIN may read.
    DEPLOYER_WITHIN=/ "$deployer" list --json >list.json 2>&1 || echo "the record: $(cat list.json)"
    grep -q '"stage":"running"' list.json || echo "the record: $(cat list.json)"
}

# prepare NUMBER TRY: brings the host to the state in which the apply to kill begins.
prepare() {
    want "page $1.$2" $((1 + (chance3 + $2) % 2)) # another image each try: a page alone takes less time than was measured
    case $mode in
    bare)
        new_host bare
        rm -rf .deployer
        ;;
    again)
        on_host "docker ps -aq | xargs -r docker rm -f; docker network prune -f; docker image prune -af
            rm -rf /var/lib/deployer /opt/deployer" >/dev/null
        [ $((chance3 % 4)) -lt 2 ] || rm -rf .deployer
        ;;
    update) on_host "[ -e $app/notes ] || echo others >$app/notes" ;;
    esac
}

# judge NUMBER: judges the host after the kill. Adds a line to the results.
judge() {
    local converged=0 twice='' gone='' point mended
    point=$(grep -o '"kind":"[a-z]*"[^}]*"state":"started"\|"activity":"[^"]*"\|"type":"plan"' killed.json | tail -n 1 | sed 's/^"[a-z]*":"//; s/".*//' || true)
    [ ! -e .deployer ] || HOME=$PWD "$deployer" history --json >history.json 2>&1 || gone="the store: $(cat history.json)"
    if timed_apply next && { mended=$took && timed_apply second; } && tail -n 1 second.json | grep -q '"outcome":"converged"'; then
        converged=1
    else
        tail -n 5 next.json next.err second.json >trouble 2>/dev/null || true
    fi
    twice=$(doubled)
    gone+=$(lost)
    printf 'run %3d  %-6s killed after %5d ms, at %-28s %s\n' "$1" "$mode" "$after" "${point:-the start}" \
        "$([ "$converged$twice$gone" = 1 ] && echo "converged in $mended ms" || echo BAD)"
    [ $converged = 1 ] || sed 's/^/    did not converge: /' trouble
    [ -z "$twice" ] || printf '%s\n' "$twice" | sed 's/^/    doubled: /'
    [ -z "$gone" ] || printf '%s\n' "$gone" | sed 's/^/    lost: /'
    echo "$converged $([ -z "$twice" ] && echo 0 || echo 1) $([ -z "$gone" ] && echo 0 || echo 1)" >>results
}

# one NUMBER: does one run. Its point depends only on the seed and the number.
one() {
    local number=$1 digest try chance1 chance2 chance3
    digest=$(printf '%s %s' "$seed" "$number" | sha256sum)
    chance1=$((16#${digest:0:4})) chance2=$((16#${digest:4:4})) chance3=$((16#${digest:8:4}))
    mode=update
    [ $((chance1 % 3)) != 0 ] || mode=again
    [ $((number % 10)) != 1 ] || mode=bare
    for try in {1..8}; do
        prepare "$number" "$try"
        after=$((lasts[$mode] * chance2 / 65536))
        if kill_apply $after; then break; fi
        # It ended before the point, so its duration was overestimated.
        lasts[$mode]=$((lasts[$mode] * 7 / 10))
        [ "$try" != 8 ] || { echo "run $number: no apply could be killed" && return 1; }
        drop_bare
    done
    judge "$number"
    drop_bare
}
drop_bare() {
    [ "$mode" = bare ] || return 0
    "$bed" remove "$host"
    sed -i "/^$host\$/d" hosts
    read -r host address <docker
    cp deployment.docker deployment.yaml
    rm -rf .deployer
    cp -r store.docker .deployer
}

# lane NUMBER: does every lanes-th run, on its own host with Docker.
lane() {
    local -A lasts=([bare]=16000)
    local number mode host address page image took after
    mkdir "$work/lane$1"
    cd "$work/lane$1"
    new_host docker
    echo "$host $address" >docker
    cp deployment.yaml deployment.docker
    want 'page one' 1
    timed_apply first || { cat first.json first.err && return 1; }
    lasts[again]=$took
    want 'page two' 2
    timed_apply first || { cat first.json first.err && return 1; }
    lasts[update]=$took
    on_host 'echo data >/var/lib/docker/volumes/kill--schedule_data/_data/kept'
    for ((number = $1; number <= count; number += lanes)); do
        rm -rf store.docker
        cp -r .deployer store.docker
        one $number
    done
}

images=$("$bed" images)
"$bed" image >/dev/null
settings=$("$bed" env)
eval "$settings"
echo "seed $seed"
for ((number = 1; number <= lanes && number <= count; number++)); do
    lane $number &
    running+=($!)
done
failed=0
for pid in "${running[@]}"; do wait "$pid" || failed=1; done
running=()
cat "$work"/lane*/results 2>/dev/null | awk -v wanted="$count" -v failed=$failed '
    { converged += $1; doubled += $2; lost += $3 }
    END {
        printf "runs %d, converged %d, doubled %d, lost %d\n", NR, converged, doubled, lost
        exit failed || NR != wanted || converged != NR || doubled || lost
    }'
