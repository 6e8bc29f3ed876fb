#!/bin/bash
# Gives the tracker's user the password that the manifest names, and root the manifest's, where it names one. Run before
# each start of the tracker; what is so already stays so. Passwords go through files and the environment, never through
# arguments.
set -eu
umask 077
kept=/run/deployer/root

# Text between single quotes of SQL.
quoted() {
    local text=${1//\\/\\\\}
    printf '%s' "${text//\'/\'\'}"
}

# ask PASSWORD: runs the statements on standard input as root.
ask() {
    local status=0
    printf '[client]\nuser=root\nhost=mysql\npassword="%s"\n' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')" >/tmp/client
    mysql --defaults-extra-file=/tmp/client --batch || status=$?
    rm -f /tmp/client
    return $status
}

root=$(cat "$kept")
new=${MYSQL_ROOT_PASSWORD:-$root}
if [ "$new" != "$root" ]; then
    # Killed in between, this finds the new one in force already.
    ask "$new" 2>/dev/null <<<'SELECT 1' >/dev/null ||
        for host in localhost %; do echo "ALTER USER IF EXISTS 'root'@'$host' IDENTIFIED BY '$(quoted "$new")';"; done | ask "$root"
    printf '%s' "$new" >"$kept.new"
    mv "$kept.new" "$kept"
fi
own=$(quoted "$PASSWORD")
ask "$new" <<END
CREATE USER IF NOT EXISTS '$ACCOUNT'@'%' IDENTIFIED BY '$own';
ALTER USER '$ACCOUNT'@'%' IDENTIFIED BY '$own';
GRANT ALL PRIVILEGES ON \`$DATABASE\`.* TO '$ACCOUNT'@'%';
END
