#!/bin/bash
# Sets the password of the tracker's user, and the password of root if the manifest names one. Runs before
# each start of the tracker and changes only what differs. Passwords are passed in files and the environment, not in
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
    # If it was killed in between, the new password is already set.
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
