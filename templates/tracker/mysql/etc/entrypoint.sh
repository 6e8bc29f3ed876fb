#!/bin/bash
# Starts MySQL. The first start sets root's password to the manifest's, or else a generated one. It is kept in a directory of
# the host that only its root reads, because account.sh needs it.
set -eu
umask 077
kept=/run/deployer/root
if [ ! -s "$kept" ]; then
    password=${MYSQL_ROOT_PASSWORD:-$(head -c 24 /dev/urandom | base64)}
    printf '%s' "$password" >"$kept.new"
    mv "$kept.new" "$kept"
fi
MYSQL_ROOT_PASSWORD=$(cat "$kept")
export MYSQL_ROOT_PASSWORD
umask 022
exec docker-entrypoint.sh mysqld
