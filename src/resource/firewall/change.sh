# shellcheck shell=sh disable=SC2086,SC2154 # host.sh is in front of it
# Changes the firewall to the openings in $wanted, or to none if $id leaves it. Needs host.sh.

# Locks the host's firewall until this script ends. Waits for another environment's change that is not confirmed yet. Undoes a
# change whose watchdog did not survive a reboot.
turn() {
  exec 8> /var/lib/deployer/firewall.lock
  left=90
  while :; do
    timeout 60 flock 8 || busy
    [ -e "$firewall/pending" ] || return 0
    if ! systemctl is-active -q deployer-firewall-undo.timer deployer-firewall-undo.service; then
      held=yes sh "$firewall/undo"
      return 0
    fi
    flock -u 8
    left=$((left - 1))
    [ "$left" -gt 0 ] || busy
    sleep 1
  done
}
busy() {
  echo 'another run is changing the firewall of this host' >&2
  exit 75
}

# Loads the new table. A watchdog restores the old one unless a new connection confirms in time that the host can still be
# reached.
load() {
  ssh=$(ssh_ports)
  [ -n "$ssh" ] || { echo 'no port of sshd was found' >&2; exit 1; }
  new=$firewall/pending.new
  rm -rf "$new"
  mkdir "$new"
  echo "$id" > "$new/owner"
  [ "$leaves" = yes ] || printf '%s' "$wanted" > "$new/fragment"
  { openings "$id"; printf '%s' "$wanted"; } | table "$ssh" > "$new/rules.nft"
  nft -c -f "$new/rules.nft"
  { printf 'table inet deployer\ndelete table inet deployer\n'; nft list table inet deployer 2>/dev/null || :; } > "$new/before.nft"
  cat > "$firewall/undo" <<'/.'
set -eu
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
firewall=/var/lib/deployer/firewall
[ -n "${held:-}" ] || { exec 8> /var/lib/deployer/firewall.lock; flock 8; }
[ -e "$firewall/pending" ] || exit 0
nft -f "$firewall/pending/before.nft"
mv "$firewall/pending/owner" "$firewall/undone.$(cat "$firewall/pending/owner")"
rm -rf "$firewall/pending"
/.
  systemctl stop deployer-firewall-undo.timer 2>/dev/null || :
  systemctl reset-failed deployer-firewall-undo.timer deployer-firewall-undo.service 2>/dev/null || :
  systemd-run -q --collect --unit=deployer-firewall-undo --on-active=30 --timer-property=AccuracySec=100ms \
    sh "$firewall/undo"
  mv "$new" "$firewall/pending"
  nft -f "$firewall/pending/rules.nft"
  loaded > "$firewall/pending/active"
}

umask 077
mkdir -p "$firewall/fragments"
turn
rm -f "$firewall/undone.$id"
others=$(find "$firewall/fragments" -type f ! -name "$id")
if [ "$leaves" = yes ] && [ -z "$others" ]; then
  for other in ufw firewalld; do give_back $other </dev/null; done
  drop_table
  rm -rf "$firewall"
elif [ "$(way)" = nftables ]; then
  load
else
  if [ "$leaves" = yes ]; then rm -f "$firewall/fragments/$id"; else
    write_whole "$firewall/fragment" %s "$wanted"
    mv "$firewall/fragment" "$firewall/fragments/$id"
  fi
  way=$(way)
  openings | sort -u | ask_for "$way"
  openings | sort -u | give_back "$way"
  case "$way" in ufw) give_back firewalld </dev/null ;; *) give_back ufw </dev/null ;; esac
  drop_table
  write_whole "$firewall/way" '%s\n' "$way"
fi
