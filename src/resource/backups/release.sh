# shellcheck shell=sh
# The live release as root keeps it. What it knows about its data runs from there: in the application's directory, services and
# other users can change files.
release=$(sed -n 's/.*"id":"\([^"]*\)".*/\1/p' "${state:?}/current.json" 2>/dev/null | head -n 1)
case $release in '' | *[!0-9A-Za-z.-]* | .*) release=none ;; esac
tree=$state/releases/$release/tree

# about_data ACTION [DIRECTORY]: runs the release's own script.
about_data() {
  app=${app:?} sh "$tree/storage/backup/etc/backup.sh" "$@" </dev/null
}

# can_run: whether there is a script that takes care of what services can change.
can_run() {
  [ -f "$tree/storage/backup/etc/backup.sh" ] && [ -f "$tree/storage/backup/etc/guard.sh" ]
}

# room DIRECTORY: free KiB on its file system.
room() {
  free=$(df -k --output=avail -- "$1" 2>/dev/null | tail -n 1 | tr -d ' ')
  case $free in '' | *[!0-9]*) free=1099511627776 ;; esac
  echo "$free"
}

# limit_files DIRECTORY: no file may grow beyond half of what is free there. In blocks of 512 bytes, that is the number of free KiB.
limit_files() {
  ulimit -f "$(room "$1")"
}
