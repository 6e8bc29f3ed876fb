#!/bin/bash
# Starts MariaDB as the image mysql:8.4 starts MySQL. On an empty data directory it makes, with a server that listens
# on no network: root@localhost and root@MYSQL_ROOT_HOST with MYSQL_ROOT_PASSWORD (or a random one, said once in the
# log), the database MYSQL_DATABASE, and MYSQL_USER with MYSQL_PASSWORD and all rights on that database; then it runs
# what /docker-entrypoint-initdb.d holds. Of each variable there is NAME_FILE, too. Later starts change nothing.
set -euo pipefail
shopt -s nullglob

data=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

say() { printf '%s [%s] [Entrypoint]: %s\n' "$(date -Iseconds)" "$1" "${*:2}"; }
fail() { say ERROR "$@" >&2; exit 1; }

# from_file NAME [DEFAULT]: NAME, or what the file NAME_FILE holds.
from_file() {
    local file=${1}_FILE value=${2-}
    if [ -n "${!1-}" ] && [ -n "${!file-}" ]; then fail "Both $1 and $file are set (but are exclusive)"; fi
    if [ -n "${!1-}" ]; then value=${!1}; elif [ -n "${!file-}" ]; then value=$(<"${!file}"); fi
    printf -v "$1" %s "$value"
    unset "$file"
}

literal() { # a string in SQL
    local text=${1//\\/\\\\}
    text=${text//$'\n'/\\n}
    printf "'%s'" "${text//\'/\\\'}"
}
name() { echo "\`${1//\`/\`\`}\`"; } # an identifier in SQL
pattern() { local text=${1//_/\\_}; name "${text//%/\\%}"; } # a database in GRANT

sql() { MYSQL_PWD=$MYSQL_ROOT_PASSWORD mariadb --no-defaults --protocol=socket --socket="$socket" --user=root --comments "$@"; }

# accounts: the statements that make them.
accounts() {
    local host
    # MariaDB makes more of them, without a password.
    echo "DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';"
    echo "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';"
    echo "FLUSH PRIVILEGES;"
    if [ -n "$MYSQL_ROOT_HOST" ] && [ "$MYSQL_ROOT_HOST" != localhost ]; then
        host=$(literal "$MYSQL_ROOT_HOST")
        echo "CREATE USER 'root'@$host IDENTIFIED BY $(literal "$MYSQL_ROOT_PASSWORD");"
        echo "GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION;"
    fi
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(literal "$MYSQL_ROOT_PASSWORD");"
    [ -z "$MYSQL_DATABASE" ] || echo "CREATE DATABASE IF NOT EXISTS $(name "$MYSQL_DATABASE");"
    if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
        echo "CREATE USER $(literal "$MYSQL_USER")@'%' IDENTIFIED BY $(literal "$MYSQL_PASSWORD");"
        [ -z "$MYSQL_DATABASE" ] || echo "GRANT ALL ON $(pattern "$MYSQL_DATABASE").* TO $(literal "$MYSQL_USER")@'%';"
    elif [ -n "$MYSQL_USER$MYSQL_PASSWORD" ]; then
        say Warn "MYSQL_USER and MYSQL_PASSWORD are needed together: no user is made" >&2
    fi
}

initialise() {
    local server file
    if [ -z "$MYSQL_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        fail "Database is uninitialized and password option is not specified: you need one of MYSQL_ROOT_PASSWORD," \
            "MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD"
    fi
    [ "$MYSQL_USER" != root ] || fail "MYSQL_USER=\"root\": root has its own variables"
    say Note "Initializing database files"
    mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve >/dev/null
    say Note "Starting temporary server"
    mariadbd "$@" --skip-networking --socket="$socket" &
    server=$!
    trap 'kill "$server"' TERM INT
    for _ in {300..0}; do
        if MYSQL_ROOT_PASSWORD='' sql -e 'SELECT 1' >/dev/null 2>&1; then break; fi
        kill -0 "$server" 2>/dev/null || fail "the temporary server ended"
        sleep 0.1
    done
    if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
        MYSQL_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
        say Note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
    fi
    accounts | MYSQL_ROOT_PASSWORD='' sql
    for file in /docker-entrypoint-initdb.d/*; do
        say Note "running $file"
        case $file in
        *.sh) bash "$file" ;;
        *.sql) sql ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} <"$file" ;;
        *.sql.gz) gzip -dc "$file" | sql ${MYSQL_DATABASE:+"$MYSQL_DATABASE"} ;;
        esac
    done
    say Note "Stopping temporary server"
    kill "$server"
    wait "$server"
    trap - TERM INT
    say Note "init process done. Ready for start up."
}

case ${1-} in -*) set -- mysqld "$@" ;; esac
if [ "${1-}" != mysqld ] && [ "${1-}" != mariadbd ]; then exec "$@"; fi
shift

if [ "$(id -u)" = 0 ]; then
    find "$data" /run/mysqld \! -user mysql -exec chown mysql:mysql {} +
    exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" mysqld "$@"
fi
if [ ! -d "$data/mysql" ]; then
    for variable in MYSQL_ROOT_PASSWORD MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD MYSQL_ALLOW_EMPTY_PASSWORD \
        MYSQL_RANDOM_ROOT_PASSWORD; do from_file $variable; done
    from_file MYSQL_ROOT_HOST %
    initialise "$@"
fi
unset "${!MYSQL_@}"
exec mariadbd "$@"
