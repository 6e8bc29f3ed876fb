//! What only one command at a time does on a host, whichever environment or runner it is for: it waits for the
//! others. Never held by what a command leaves running.

/// Shell that waits until no other environment's command changes what the whole host shares: its packages, its
/// settings, what scripts of the user's own set up. The lock ends with the command.
pub const HOST: &str = r"[ -d /var/lib/deployer ] || install -d -m 0700 /var/lib/deployer
if command -v flock >/dev/null; then
  exec 8>> /var/lib/deployer/host.lock
  timeout 900 flock 8 || { echo 'a command for another environment still works on this host' >&2; exit 75; }
fi
";

/// Closes every lock for what a script of the user's own starts: it may go on for ever.
pub const UNLOCKED: &str = "7>&- 8>&- 9>&-";

/// Shell after which `apt` works, alone on the host. It waits for others' locks and first finishes what a killed run
/// began, once that run's own processes are gone. It is to remove nothing (`--no-remove`): what is in the way of
/// packages is the owner's.
const APT: &str = r#"export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
apt() { apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "$@" </dev/null; }
n=0
until said=$(dpkg --configure -a --force-confold </dev/null 2>&1); do
  n=$((n + 1))
  case "$said" in *' lock '*) [ $n -lt 600 ] ;; *) false ;; esac || { printf '%s\n' "$said" >&2; exit 1; }
  sleep 1
done
"#;

/// The shell before anything that uses apt.
#[must_use]
pub fn apt() -> String {
    [HOST, APT].concat()
}
