# shellcheck shell=sh disable=SC2086,SC2154 # host.sh is in front of it
# Reads the state of this host's firewall for the environment $id. Needs host.sh and
# `listening`. Waits for a change that another environment
# makes at the same time, but not for its confirmation.
if [ -e /var/lib/deployer/firewall.lock ]; then
  exec 8< /var/lib/deployer/firewall.lock
  timeout 30 flock -s 8
fi
now=$(way)
echo "way $now"
echo "ssh $(ssh_ports)"
! command -v nft >/dev/null || echo nft
! command -v apt-get >/dev/null || echo apt
if [ -e "$firewall/fragments/$id" ]; then
  echo on
  sed 's/^/own /' "$firewall/fragments/$id"
fi
openings "$id" | sed 's/^/other /'
used=$(cat "$firewall/way")
echo "used $used"
case "$used" in
  nftables)
    if ! nft list table inet deployer >/dev/null; then echo 'rules missing'
    elif ! cat "$firewall/active" "$firewall/pending/active" | grep -qxF -- "$(loaded)"; then echo 'rules changed by hand'
    elif [ "$(openings | table "$(ruled_ssh)")" != "$(cat "$firewall/rules.nft")" ]; then echo 'rules outdated'
    else echo 'rules in force'
    fi
    echo "ruled $(ruled_ssh)"
    [ "$(cat "$unit")" != "$(boot)" ] || ! systemctl is-enabled -q deployer-firewall.service || echo boot
    ;;
  ufw | firewalld)
    missing=$(openings | sort -u | while read -r opening; do there "$used" $opening || echo missing; done)
    if [ -n "$missing" ]; then echo 'rules missing'; else echo 'rules in force'; fi
    ;;
esac
listening listening
