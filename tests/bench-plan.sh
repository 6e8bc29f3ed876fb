#!/bin/bash
# tests/bench-plan.sh [RUNS [PROGRAM]]: measures the plan of 100, 1,000 and 10,000 environments.
#
# Each environment wants something of every kind, and its recorded observation differs in all kinds except images, which
# only a host can report. The manifest is parsed and the releases are rendered; no host is contacted. Prints, of RUNS
# (5) each, the median wall time and processor time of `deployer plan --offline --json` and its peak memory, and the
# slope of processor time between 1,000 and 10,000 on logarithmic scales. Other programs on the machine affect the wall
# time. The exit status is 1 above a slope of 1.1 or 200 MB. PROGRAM is another build to measure; the default is a new
# release build. Needs python3, which writes the records and measures.
set -euo pipefail
shopt -s inherit_errexit

checkout=$(cd "$(dirname "$0")/.." && pwd -P)
runs=${1:-5}
deployer=${2:-${CARGO_TARGET_DIR:-$checkout/target}/release/deployer}
[ $# -gt 1 ] || cargo build --quiet --release --manifest-path "$checkout/Cargo.toml"
deployer=$(realpath "$deployer")
work=$(mktemp -d)
trap 'cd / && rm -rf "$work"' EXIT
cd "$work"

# scene COUNT: creates a directory of that name with a manifest and a store.
scene() {
    mkdir -p "$1/app/html"
    cd "$1"
    echo 'page one' >app/html/index.html
    cat >app/compose.yaml <<-'END'
	services:
	  web:
	    image: demo:1
	    ports: ["8080:8080"]
	    volumes: ["./html:/www:ro"]
	END
    cat >deployment.yaml <<-'END'
	version: 1
	project: bench
	defaults:
	  ssh: { user: deploy }
	  configure:
	    firewall: { allow: [ { port: 51820, protocol: udp, from: [203.0.113.0/24] } ] }
	    security_updates: { reboot_at: "02:00" }
	    scripts: [ { name: swap, check: "test -e /swap", run: "touch /swap" } ]
	    schedules: [ { name: prune, at: "Sun 04:00", run: "docker builder prune -f" } ]
	  application: { compose: { directory: ./app } }
	  checks: [ { name: page, http: { port: 8080, path: / } } ]
	environments:
	END
    local number
    for ((number = 1; number <= $1; number++)); do
        printf '  e%05d:\n    registered: { address: e%05d.example.com }\n    ssh: { host_key: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF9Q/EF8X5ubXIdzWyJI32bUuy9kM7C858/wxnG2bxgl"] }\n' \
            "$number" "$number"
    done >>deployment.yaml
    # An apply creates the store. Its host does not exist.
    HOME=$PWD "$deployer" suspend e00001 >made 2>&1 || true
    [ -e .deployer/state.db ] || { cat made >&2 && return 1; }
    python3 - "$1" <<-'END'
	import json, sqlite3, sys
	# What an apply recorded of such an environment, with every kind's facts changed since.
	state = {
	    "access": {"marker": "absent"},
	    "engine": {"boot": "disabled", "compose": "2.17 or newer", "docker": "24.0 or newer"},
	    "updates": {"effect": "as set", "package": "installed", "settings": "on, restart at 03:00", "timers": "enabled"},
	    "scripts": {"swap": "fails"},
	    "files": {"compose.yaml": "0644 sha256:076b034788f41db31906a10b97a78193", "html/index.html": "0644 sha256:0"},
	    "images": {"demo:0": "sha256:961e45afc8ab652505120e4df4b1de391934c0af3f87df85a62dd2e0c1c2e5c5"},
	    "firewall": {"boot": "restored", "open": "8080/tcp", "open to 203.0.113.0/24": "51821/udp",
	                 "rules": "in force", "ssh": "22/tcp", "through": "nftables"},
	    "services": {"check page": "fails", "release": "87212336e94d30b9", "web": "exited"},
	    "schedules": {"prune": "Sun 05:00 sha256:b1b873d4d7a21563"},
	}
	key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF9Q/EF8X5ubXIdzWyJI32bUuy9kM7C858/wxnG2bxgl"
	def record(name):
	    reach = {"port": None, "user": "deploy", "identity_file": None, "jump": None, "renamed_from": None,
	             "application": ["bench--" + name, "/opt/deployer/bench--" + name]}
	    return {"state": state, "stage": "running", "health": "unhealthy", "address": name + ".example.com",
	            "observed_at": "2026-01-01T00:00:00Z", "serial": 13, "suspended": False, "protected": False,
	            "reach": reach, "in_progress": None, "failed": None, "host_keys": [key],
	            "endpoints": ["http://" + name + ".example.com:8080"], "services": {"web": "exited"}}
	store = sqlite3.connect(".deployer/state.db")
	for number in range(1, int(sys.argv[1]) + 1):
	    name = "e%05d" % number
	    store.execute("INSERT OR REPLACE INTO record VALUES ('bench', ?, 1, 'running', 13, 1767225600000, ?)",
	                  (name, json.dumps(record(name), separators=(",", ":"))))
	store.commit()
	END
    cd ..
}

for count in 100 1000 10000; do scene $count; done
python3 - "$deployer" "$runs" <<'END'
import json, math, os, statistics, sys, time
deployer, runs = sys.argv[1], int(sys.argv[2])

def measure(count):
    """Seconds, those of the processor, and MB of one plan."""
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.chdir(str(count))
        os.dup2(os.open("../plan.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execve(deployer, [deployer, "plan", "--offline", "--json"], {"HOME": os.getcwd(), "PATH": os.environ["PATH"]})
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - begun
    if status:
        sys.exit("deployer plan ended with %d" % os.waitstatus_to_exitcode(status))
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6

def check(count):
    """Whether the plan that was printed has all its steps. Elsewhere: a process that is forked is measured from the
    memory of the one that forks it, which a plan of 80,000 steps would swell."""
    pid = os.fork()
    if pid == 0:
        plan = next(event for event in map(json.loads, open("plan.json")) if event["type"] == "plan")
        os._exit(len(plan["steps"]) != 8 * count)
    if os.waitpid(pid, 0)[1]:
        sys.exit("not all steps are planned for %d environments" % count)

busy, memory = {}, {}
measured = {100: [], 1000: [], 10000: []}
# In turn, so that other work of the machine affects all of them.
for _ in range(runs):
    for count in measured:
        measured[count].append(measure(count))
        check(count)
for count, runs in measured.items():
    took, busy[count] = (statistics.median(run[column] for run in runs) for column in (0, 1))
    memory[count] = max(run[2] for run in runs)
    print("%6d environments, %6d steps: %8.1f ms, %8.1f ms of the processor, %6.1f MB"
          % (count, 8 * count, took * 1000, busy[count] * 1000, memory[count]))
slope = math.log10(busy[10000] / busy[1000])
print("slope from 1,000 to 10,000: %.2f (budget 1.1); memory at 10,000: %.0f MB (budget 200)" % (slope, memory[10000]))
sys.exit(slope > 1.1 or memory[10000] > 200)
END
