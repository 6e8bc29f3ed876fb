#!/bin/bash
# Starts MySQL. The first start gives root a password: the manifest's, else one made here. It is kept in a directory of
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
