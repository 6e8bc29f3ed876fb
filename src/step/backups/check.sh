# Unpacks an archive where only root reads, and says what it is; refuses one that is not whole, or not of this data.
umask 077
backups=$state/backups unpacked=$state/backups/.restore
mkdir -p "$backups"
exec 8>"$backups/.lock"
flock -w 600 8 || { echo 'Another backup or a restore is at work' >&2; exit 75; }
refuse() { rm -rf "$unpacked" "$backups/.incoming"; printf '%s\n' "$1" >&2; exit 65; }
archive=$backups/$name
if [ -n "$sent" ]; then
  archive=$backups/.incoming
  cat >"$archive"
  [ "$(sha256sum "$archive" | cut -d ' ' -f 1)" = "$sent" ] || refuse "It did not arrive whole"
  [ ! -e "$backups/$name" ] || cmp -s "$archive" "$backups/$name" || refuse "The host has another archive $name"
fi
[ -f "$archive" ] || refuse "The host has no archive $name"
rm -rf "$unpacked"
mkdir "$unpacked"
gzip -t "$archive" 2>/dev/null || refuse "It is damaged: gzip cannot read it to its end"
tar -C "$unpacked" --no-same-owner -xzf "$archive" 2>/dev/null || refuse "It is damaged: tar cannot unpack it"
[ -f "$unpacked/backup.json" ] && [ -f "$unpacked/SHA256SUMS" ] && [ -d "$unpacked/data" ] || refuse "It was not made by deployer"
[ -z "$(find "$unpacked" ! -type f ! -type d | head -n 1)" ] || refuse "It holds more than files and directories"
(cd "$unpacked" && sha256sum --check --quiet --strict SHA256SUMS >/dev/null 2>&1) || refuse "It is damaged: a digest in it does not match"
of() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$unpacked/backup.json" | head -n 1; }
[ "$(of database)" = "$database" ] || refuse "It is of a $(of database) database, and this one is $database"
if [ -z "$other" ] && [ "$(of project)/$(of environment)" != "$project/$environment" ]; then
  refuse "It is of the environment $(of environment) of the project $(of project); --other-environment restores it all the same"
fi
[ -f "$app/$script" ] || refuse "The release on the host has no $script: apply it first"
why=$(sh "$app/$script" check "$unpacked/data" 2>&1) ||
  refuse "It is damaged: $(printf %s "$why" | tr '\n' ' ' | head -c 300)"
[ -z "$sent" ] || mv -f "$archive" "$backups/$name"
printf '%s\n' "$name" >"$backups/.keep"
