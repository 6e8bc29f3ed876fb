# shellcheck shell=sh
# Makes an archive of the data, reads it back, and only then accepts it. With the argument `local`, `after` does not run.
set -eu
umask 077
LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" HOME=${HOME:-/root}
export LC_ALL PATH HOME
cd /
backups=${state:?}/backups work=$state/backups/.work new=$state/backups/.new
mkdir -p "$backups"
exec 8>"$backups/.lock"
flock -w 600 8 || { echo 'Another backup or a restore is running' >&2; exit 75; }
note() { printf '%s %s\n' "$(date +%s)" "$2" >"$backups/$1.new"; mv -f "$backups/$1.new" "$backups/$1"; }
# Prints the last output of a command on one line.
said() { tail -n 3 "$backups/.said" | tr -s '\n\t' '  ' | head -c 300; }

make() {
  rm -rf "$work" "$work.check" "$new"
  mkdir "$work" "$work/data" "$work.check"
  can_run || { echo "The live release has no script that can make a backup: run deployer apply first" >&2; exit 1; }
  lost=$(missing_data | sed -n 's/^unmounted \(.*\)\t\(.*\)/\2 was on a disk that is not mounted at \1/p' | head -n 1)
  [ -z "$lost" ] || { echo "$lost" >&2; exit 1; }
  limit_files "$backups"
  about_data save "$work/data"
  cp -a "${tree:?}" "$work/release"
  printf '{"version":1,"project":"%s","environment":"%s","release":"%s","database":"%s","image":"%s","made":"%s"}\n' \
    "${project:?}" "${environment:?}" "${release:?}" "${database:?}" "${image?}" "$made" >"$work/backup.json"
  (cd "$work" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum) >"$work/SHA256SUMS"
  tar -C "$work" -czf "$new" .
  gzip -t "$new"
  tar -C "$work.check" -xzf "$new"
  (cd "$work.check" && sha256sum --check --quiet --strict SHA256SUMS >&2)
  about_data check "$work.check/data"
  sync "$new"
}

name=${identity:?}-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
made=$(date -u +%Y-%m-%dT%H:%M:%SZ)
set +e
(set -e; make) 2>"$backups/.said"
code=$?
set -e
cat "$backups/.said" >&2
rm -rf "$work" "$work.check"
if [ "$code" != 0 ]; then
  rm -f "$new"
  note failed "$(said)"
  exit 1
fi
mv "$new" "$backups/$name"
note made "$(stat -c %s "$backups/$name") $(sha256sum "$backups/$name" | cut -d ' ' -f 1) $name"
rm -f "$backups/failed"
find "$backups" -maxdepth 1 -type f -name '*.tar.gz' -mmin "+$((${days:?} * 1440))" ! -name "$name" \
  ! -name "$(cat "$backups/.keep" 2>/dev/null || echo "$name")" -exec rm -f {} +
[ "${1-}" != local ] || exit 0
# shellcheck disable=SC2034 # `after` uses it
archive=$backups/$name
set +e
(set -e; cd "$tree"; after) >"$backups/.said" 2>&1 </dev/null
code=$?
set -e
cat "$backups/.said" >&2
if [ "$code" != 0 ]; then
  note after "exit code $code: $(said)"
  exit 3
fi
rm -f "$backups/after"
