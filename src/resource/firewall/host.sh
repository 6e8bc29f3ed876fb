# shellcheck shell=sh
# shellcheck disable=SC2046,SC2086 # openings are split into words on purpose
# shellcheck disable=SC2005,SC2012,SC2059,SC3013
# Functions that the probe and the changes of the firewall share. POSIX sh. Runs nothing by itself.
firewall=/var/lib/deployer/firewall
unit=/etc/systemd/system/deployer-firewall.service

# Prints the firewall that is in use on this host: ufw or firewalld if one is active, otherwise nftables.
way() {
  if [ -e /etc/ufw/ufw.conf ] && command -v ufw >/dev/null && timeout 20 ufw status 2>/dev/null | grep -qx 'Status: active'; then
    echo ufw
  elif command -v firewall-cmd >/dev/null && timeout 20 firewall-cmd --state >/dev/null 2>&1; then
    echo firewalld
  else
    echo nftables
  fi
}

# Prints the ports on which the host's sshd listens, and the port of this connection, for which another server may listen
# (inetd). A session that forwards ports listens too: its parent is an sshd, the parent of the real listener is not.
ssh_ports() {
  inodes=' '
  for process in /proc/[0-9]*; do
    read -r name < "$process/comm" || continue
    [ "$name" = sshd ] || continue
    of_host "$process" || continue
    read -r above < "/proc/$(sed -n 's/^PPid:[[:blank:]]*//p' "$process/status")/comm" || above=
    [ "$above" != sshd ] || continue
    inodes="$inodes$(ls -l "$process/fd" | sed -n 's/.*socket:\[\([0-9]*\)\]$/\1/p' | tr '\n' ' ')"
  done 2>/dev/null
  found=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    sed -n 's/^ *[0-9]*: [^ ]*:\([^ ]*\) [^ ]* 0A [^ ]* [^ ]* [^ ]* *[0-9]* *[0-9]* \([0-9]*\) .*/\1 \2/p' |
    while read -r port inode; do
      case "$inodes" in *" $inode "*) echo $((0x$port)) ;; esac
    done)
  process=$$ own=
  while [ -z "$own" ] && [ "${process:-0}" -gt 1 ]; do
    own=$(tr '\0' '\n' < "/proc/$process/environ" | sed -n 's/^SSH_CONNECTION=.* //p')
    process=$(sed -n 's/^PPid:[[:blank:]]*//p' "/proc/$process/status") || process=
  done 2>/dev/null
  echo $(printf '%s\n' $found $own | sort -nu)
}

# Succeeds if a process ($1, its directory in /proc) is root's and no container's: anybody can give a process any name. The
# directory of a process may be root's although the process is not. An sshd of the host may have its own view of the mounts,
# and then runs the host's program.
of_host() {
  grep -Eqx 'Uid:([[:blank:]]+0){4}' "$1/status" && [ "$(readlink "$1/ns/pid")" = "$(readlink /proc/1/ns/pid)" ] &&
    { [ "$(readlink "$1/ns/mnt")" = "$(readlink /proc/1/ns/mnt)" ] || [ "$1/exe" -ef "$(command -v sshd)" ]; }
}

# Prints the openings that the environments of this host want, except the environment in $1.
openings() {
  ls "$firewall/fragments" 2>/dev/null | while IFS= read -r name; do
    [ "$name" = "${1:-}" ] || cat "$firewall/fragments/$name"
  done
}

# Prints the rules for the openings on standard input. $1 is the form for protocol and ports.
rules() {
  while read -r protocol ports from; do
    case "$from" in '') continue ;; any) source= ;; *:*) source="ip6 saddr $from " ;; *) source="ip saddr $from " ;; esac
    printf "    $source$1\n" "$protocol" "$ports"
  done
}

# Prints the one table of this host, for the openings on standard input and the ssh ports in $1. Docker rewrites the addresses of
# published ports before `forward`, so the rules there match the original port. On IPv6, such traffic may reach docker-proxy
# through `input`. Established traffic and traffic from containers need no opening.
table() {
  every=$(sort -u)
  cat <<'/.'
table inet deployer
delete table inet deployer
table inet deployer {
  chain input {
    type filter hook input priority filter - 1; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
/.
  for port in $1; do echo "    tcp dport $port accept comment \"ssh\""; done
  printf '%s\n' "$every" | rules '%s dport %s accept'
  cat <<'/.'
  }
  chain forward {
    type filter hook forward priority filter - 1; policy accept;
    ct state established,related accept
    iifname { "docker0", "br-*" } accept
/.
  printf '%s\n' "$every" | rules 'ct status dnat meta l4proto %s ct original proto-dst %s accept'
  cat <<'/.'
    ct status dnat drop
  }
}
/.
}

# Prints the ssh ports in the rules that were loaded last.
ruled_ssh() { echo $(sed -n 's/^ *tcp dport \([0-9]*\) accept comment "ssh"$/\1/p' "$firewall/rules.nft" 2>/dev/null); }

# Prints a digest of the loaded table.
loaded() { nft -s list table inet deployer 2>/dev/null | sha256sum; }

# Prints the systemd unit that loads the rules at boot, before the network and Docker start.
boot() {
  cat <</.
[Unit]
Description=Firewall rules of deployer
DefaultDependencies=no
RequiresMountsFor=/var/lib/deployer
After=nftables.service
Wants=network-pre.target
Before=network-pre.target docker.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$(command -v nft) -f $firewall/rules.nft

[Install]
WantedBy=sysinit.target
/.
}

# Prints one opening as arguments of ufw: $1 PROTOCOL, $2 PORTS, $3 FROM.
ufw_rule() {
  ports=$(echo "$2" | tr - :)
  case "$3" in any) echo "$ports/$1" ;; *) echo "from $3 to any port $ports proto $1" ;; esac
}

# Prints one opening as an option of firewall-cmd without the prefix `add-`, `remove-` or `query-`, in the form in which
# firewall-cmd lists it.
firewalld_rule() {
  case "$3" in any) echo "port=$2/$1"; return ;; *:*) family=ipv6 ;; *) family=ipv4 ;; esac
  echo "rich-rule=rule family=\"$family\" source address=\"$3\" port port=\"$2\" protocol=\"$1\" accept"
}
firewalld_list() {
  firewall-cmd "$@" --list-ports | tr ' ' '\n'
  firewall-cmd "$@" --list-rich-rules
}

# Succeeds if the firewall $1 has the opening PROTOCOL PORTS FROM. Asks each program for its list once.
there() {
  firewall_program=$1
  shift
  case "$firewall_program" in
    ufw)
      : "${ufw_added=$(ufw show added | sed "s/ comment '.*'\$//")}"
      printf '%s\n' "$ufw_added" | grep -qxF -- "ufw allow $(ufw_rule "$@")"
      ;;
    firewalld)
      : "${firewalld_now=$(firewalld_list)}" "${firewalld_kept=$(firewalld_list --permanent)}"
      rule=$(firewalld_rule "$@")
      { printf '%s\n' "$firewalld_now" | grep -qxF -- "${rule#*=}" || firewall-cmd -q "--query-$rule"; } &&
        { printf '%s\n' "$firewalld_kept" | grep -qxF -- "${rule#*=}" || firewall-cmd -q --permanent "--query-$rule"; }
      ;;
  esac
}

# Adds the openings on standard input that the firewall $1 lacks, and records which ones were added.
ask_for() {
  while read -r opening; do
    if there "$1" $opening; then continue; fi
    grep -qxF -- "$opening" "$firewall/added.$1" 2>/dev/null || echo "$opening" >> "$firewall/added.$1"
    case "$1" in
      ufw) ufw allow $(ufw_rule $opening) >&2 ;;
      firewalld)
        firewall-cmd -q --permanent "--add-$(firewalld_rule $opening)"
        firewall-cmd -q "--add-$(firewalld_rule $opening)"
        ;;
    esac </dev/null
  done
}

# Removes the openings that were added to the firewall $1, except those on standard input.
give_back() {
  keep=$(cat)
  [ -e "$firewall/added.$1" ] || return 0
  rm -f "$firewall/added.new"
  while read -r opening; do
    if printf '%s\n' "$keep" | grep -qxF -- "$opening"; then
      echo "$opening" >> "$firewall/added.new"
    elif there "$1" $opening; then
      case "$1" in
        ufw) ufw delete allow $(ufw_rule $opening) >&2 ;;
        firewalld)
          firewall-cmd -q --permanent "--remove-$(firewalld_rule $opening)"
          firewall-cmd -q "--remove-$(firewalld_rule $opening)"
          ;;
      esac </dev/null
    fi
  done < "$firewall/added.$1"
  rm -f "$firewall/added.$1"
  [ ! -e "$firewall/added.new" ] || mv "$firewall/added.new" "$firewall/added.$1"
}

# Removes our own table and the unit that restores it.
drop_table() {
  [ -e "$firewall/rules.nft" ] || [ -e "$unit" ] || return 0
  nft delete table inet deployer 2>/dev/null || :
  systemctl disable -q deployer-firewall.service 2>/dev/null || :
  rm -f "$unit" "$firewall/rules.nft" "$firewall/active"
  systemctl daemon-reload
}
