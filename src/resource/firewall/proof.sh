# shellcheck shell=sh disable=SC2086,SC2154 # host.sh is in front of it
# Confirms the change of $id, because this script arrived over a connection that was made after it. Needs host.sh.
exec 8> /var/lib/deployer/firewall.lock
timeout 60 flock 8
if [ "$(cat "$firewall/pending/owner" 2>/dev/null)" = "$id" ]; then
  systemctl stop deployer-firewall-undo.timer
  if [ -e "$firewall/pending/fragment" ]; then
    mv "$firewall/pending/fragment" "$firewall/fragments/$id"
  else
    rm -f "$firewall/fragments/$id"
  fi
  mv "$firewall/pending/rules.nft" "$firewall/rules.nft"
  mv "$firewall/pending/active" "$firewall/active"
  write_whole "$firewall/way" '%s\n' nftables
  rm -rf "$firewall/pending" "$firewall/undo"
  umask 022
  write_whole "$unit" '%s\n' "$(boot)" 0644
  systemctl daemon-reload
  systemctl enable -q deployer-firewall.service
  for other in ufw firewalld; do give_back $other </dev/null; done
elif [ -e "$firewall/undone.$id" ]; then
  exit 75
fi
