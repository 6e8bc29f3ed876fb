# shellcheck shell=sh
# Unpacks an archive where only root can read it, and prints what it contains. Refuses an archive that is damaged or belongs to
# other data.
umask 077
backups=${state:?}/backups unpacked=$state/backups/.restore
mkdir -p "$backups"
exec 8>"$backups/.lock"
flock -w 600 8 || { echo 'Another backup or a restore is running' >&2; exit 75; }
refuse() { rm -rf "$unpacked" "$backups/.incoming"; printf '%s\n' "$1" >&2; exit 65; }
archive=$backups/${name:?}
if [ -n "${sent?}" ]; then
  archive=$backups/.incoming
  (limit_files "$backups" && exec cat) >"$archive" || refuse "The host has too little free space for it"
  [ "$(sha256sum "$archive" | cut -d ' ' -f 1)" = "$sent" ] || refuse "The upload is incomplete"
  [ ! -e "$backups/$name" ] || cmp -s "$archive" "$backups/$name" || refuse "The host has another archive $name"
fi
[ -f "$archive" ] || refuse "The host has no archive $name"
rm -rf "$unpacked"
mkdir "$unpacked"
# The headers are checked before anything is unpacked: a link could lead to a file of the host, and a few bytes can expand to many.
found=$(tar --numeric-owner --quoting-style=escape -tvzf "$archive" 2>/dev/null | awk -v room="$(room "$backups")" '
  !/^[-d]/ { found = "kind"; exit }
  { size += $3 }
  NR > 100000 || size > room * 1024 { found = "large"; exit }
  END { print found }')
[ "$found" != kind ] || refuse "It contains more than files and directories"
[ "$found" != large ] || refuse "It is larger than the free space on the host, or contains more than 100000 files"
gzip -t "$archive" 2>/dev/null || refuse "It is damaged: gzip cannot read all of it"
(limit_files "$backups" && exec tar -C "$unpacked" --no-same-owner --no-same-permissions -xzf "$archive" 2>/dev/null) ||
  refuse "It is damaged: tar cannot unpack it"
# regular NAME: succeeds if it is a regular file and no link.
regular() { [ -f "$unpacked/$1" ] && [ ! -L "$unpacked/$1" ]; }
if ! regular backup.json || ! regular SHA256SUMS || [ -L "$unpacked/data" ] || [ ! -d "$unpacked/data" ]; then
  refuse "It was not made by deployer"
fi
[ -z "$(find "$unpacked" ! -type f ! -type d | head -n 1)" ] || refuse "It contains more than files and directories"
# The list is only compared: it may name any file of the host.
sums() { cd "$unpacked" && find . -type f ! -name SHA256SUMS -print0 | xargs -0 sha256sum | sort; }
[ "$(sums | sha256sum)" = "$(sort "$unpacked/SHA256SUMS" | sha256sum)" ] || refuse "It is damaged: a digest in it does not match"
# of KEY: prints the archive's value of a key, if that is plain text.
of() {
  head -c 65536 "$unpacked/backup.json" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1 | tr -cd '[:alnum:]._-' | head -c 100
}
[ "$(of database)" = "${database:?}" ] || refuse "It contains a $(of database) database, but the environment uses $database"
if [ -z "${other?}" ] && [ "$(of project)/$(of environment)" != "${project:?}/${environment:?}" ]; then
  refuse "It belongs to the environment $(of environment) of the project $(of project). To restore it anyway, pass --other-environment"
fi
can_run || refuse "The release on the host has no script that restores data: run deployer apply first"
why=$(about_data check "$unpacked/data" 2>&1) ||
  refuse "It is damaged: $(printf %s "$why" | tr '\n' ' ' | head -c 300)"
[ -z "$sent" ] || mv -f "$archive" "$backups/$name"
printf '%s\n' "$name" >"$backups/.keep"
