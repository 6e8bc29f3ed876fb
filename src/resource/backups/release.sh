# shellcheck shell=sh
# Root's copy of the live release. The release's own backup script runs from this copy, because services and other users can change
# files in the application's directory.
release=$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p' "${state:?}/current.json" 2>/dev/null | head -n 1)
case $release in '' | *[!0-9A-Za-z.-]* | .*) release=none ;; esac
tree=$state/releases/$release/tree

# about_data ACTION [DIRECTORY]: runs the release's own script.
about_data() {
  app=${app:?} state=${state:?} sh "$tree/storage/backup/etc/backup.sh" "$@" </dev/null
}

# can_run: succeeds if the release has a script that is safe against changes by services.
can_run() {
  [ -f "$tree/storage/backup/etc/backup.sh" ] && [ -f "$tree/storage/backup/etc/guard.sh" ]
}

# room DIRECTORY: prints the free KiB on its file system.
room() {
  free=$(df -k --output=avail -- "$1" 2>/dev/null | tail -n 1 | tr -d ' ')
  case $free in '' | *[!0-9]*) free=1099511627776 ;; esac
  echo "$free"
}

# limit_files DIRECTORY: limits every file to half of the free space there. In blocks of 512 bytes, that is the number of free KiB.
limit_files() {
  ulimit -f "$(room "$1")"
}
