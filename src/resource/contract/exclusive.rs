//! Shell for work that only one command at a time may do on a host, for any environment or runner. Other commands wait.
//! Processes that a command leaves running do not hold the lock.

/// Shell that waits until no other environment's command changes what the whole host shares: its packages, its
/// settings, and anything that the user's own scripts set up. The lock ends with the command.
pub const HOST: &str = r"[ -d /var/lib/deployer ] || install -d -m 0700 /var/lib/deployer
if command -v flock >/dev/null; then
  exec 8>> /var/lib/deployer/host.lock
  timeout 900 flock 8 || { echo 'a command for another environment is still running on this host' >&2; exit 75; }
fi
";

/// Redirections that close every lock for processes that the user's own scripts start, because such a process may run
/// forever.
pub const UNLOCKED: &str = "7>&- 8>&- 9>&-";

/// Shell that defines `apt` for exclusive use on the host. The shell waits for other programs' locks and first finishes
/// the package configuration that a killed run began, once that run's own processes are gone. Callers pass
/// `--no-remove`, because packages in conflict belong to the host's owner.
const APT: &str = r#"export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
apt() { apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "$@" </dev/null; }
n=0
until said=$(dpkg --configure -a --force-confold </dev/null 2>&1); do
  n=$((n + 1))
  case "$said" in *' lock '*) [ $n -lt 600 ] ;; *) false ;; esac || { printf '%s\n' "$said" >&2; exit 1; }
  sleep 1
done
"#;

/// Returns the shell that precedes any use of apt.
#[must_use]
pub fn apt() -> String {
    [HOST, APT].concat()
}
