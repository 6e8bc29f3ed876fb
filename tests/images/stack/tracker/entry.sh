#!/bin/sh
# Starts the tracker as the user USER_ID, as the entry script of its authors' image does.
if [ "$(id -u)" != 0 ]; then
    echo "entry.sh: cannot start as user $(id -u): set USER_ID, or entrypoint: [\"$1\"] beside user:" >&2
    exit 1
fi
echo "torrust:x:$USER_ID:$USER_ID::/home/torrust:/bin/sh" >/etc/passwd
echo "torrust:x:$USER_ID:" >/etc/group
mkdir -p /home/torrust /var/lib/torrust/tracker/database /etc/torrust/tracker
chown -R "$USER_ID:$USER_ID" /home/torrust /var/lib/torrust /var/log/torrust /etc/torrust
chmod -R 2770 /var/lib/torrust /var/log/torrust /etc/torrust
cd /home/torrust || exit 1
exec start-stop-daemon -S -c torrust:torrust -x "$1" -- "$@"
