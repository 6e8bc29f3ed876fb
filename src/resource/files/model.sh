# shellcheck shell=sh
# Compose's model of a release, as `docker compose config --format json` prints it. The model is made and used without
# bytes from services. Needs guard.sh, $tree (root's copy of the release) and $state (the directory of the environment's
# records).

# model COMMAND...: prints the model that the command makes of the release when everything in $more is hidden.
model() {
  in_release "$@" 2>"${tree:?}/../said"
}

# needs COMMAND...: succeeds if the release has another model than $whole, or none, when everything in $more is hidden.
needs() {
  ! model "$@" >"$tree/../model.new" || ! cmp -s "${whole:?}" "$tree/../model.new"
}

# named PLACE: prints the files at or below a path that the release's Compose files name.
named() {
  [ ! -f "$1" ] || printf '%s\n' "$1"
  grep -rhsF --include='*.y*ml' --include=.env -- "$1/" "$tree" | place=$1/ awk '{
    while (at = index($0, ENVIRON["place"])) {
      rest = substr($0, at); match(rest, /^[^] "'"'"',:}#]*/)
      print substr(rest, 1, RLENGTH); $0 = substr(rest, RLENGTH + 1)
    }
  }' | sort -u | while IFS= read -r file; do [ ! -f "$file" ] || printf '%s\n' "$file"; done
}

# validate COMMAND...: keeps the model of the release that `docker compose config` prints. At a start, everything that
# services can write to is hidden. Refuses a release whose model changes when what its own services can write to is
# hidden. The model is kept last, because what services of a kept model can write to is hidden.
validate() {
  more='' whole=$tree/../model.whole
  rm -f "$tree/../resolved.json"
  if ! model "$@" >"$whole"; then
    cat "$tree/../said" >&2
    ! grep -q '^Docker Compose reads nothing in' "$tree/../said" || echo "Send the files that it needs from that directory with the release" >&2
    return 1
  fi
  cat "$tree/../said" >&2
  more=$(written_by "$whole")
  if [ -n "$more" ] && needs "$@"; then
    places=$more
    found=$(printf '%s\n' "$places" | while IFS= read -r place; do
      # The directory represents files that no Compose file names.
      { named "$place" && printf '%s\n' "$place"; } | while IFS= read -r one; do
        more=$one
        if needs "$@"; then printf '%s\n' "$more" && break; fi
      done
    done)
    printf '%s\n' "${found:-$places}" | while IFS= read -r file; do
      echo "Docker Compose needs $file, and services of the release can write to it. Send it with the release, or mount it read-only (:ro)" >&2
    done
    return 1
  fi
  # shellcheck disable=SC2034 # for no_state
  paths=$(outside "$whole") && no_state || return 1
  mv -f "$whole" "$tree/../resolved.json"
  rm -f "$tree/../said" "$tree/../model.new"
}

# hides: succeeds if something is hidden from Docker Compose, other than volumes and the application's directory.
hides() {
  [ -z "$(around_app)" ] || return 0
  writable | grep -v '/volumes/[^/]*/_data$' | app=${app:?} awk '/^\// && index($0 "/", ENVIRON["app"] "/") != 1 { found = 1 } END { exit !found }'
}

# made_in: sets $base to the directory whose paths the kept model has.
made_in() {
  kept=$(model_of "${tree:?}/..")
  # shellcheck disable=SC2034 # for the command
  if [ "${kept%/model.json}" = "$kept" ]; then base=${app:?}; else base=$tree; fi
}

# as_validated COMMAND...: succeeds if the release still has its kept model when everything that services can write to
# is hidden. Releases that former versions validated may need files that are now hidden. If the model differs, writes
# the kept model, with the paths of the application's directory, to $state/model.json, and fails. The containers then
# have other digests.
as_validated() {
  rm -f "${state:?}/model.json"
  whole=$(model_of "${tree%/tree}") more=''
  [ -n "$whole" ] && hides || return 0
  cd "$tree" || return 0
  if ! needs "$@" || ! grep -q '^Docker Compose reads nothing in' "$tree/../said"; then return 0; fi
  grep '^Docker Compose reads nothing in' "$tree/../said" >&2
  echo "The services start from the validated model, which contains what Docker Compose read there. Send such files with the release" >&2
  write_whole "$state/model.json" '%s\n' "$(moved "$whole")"
  for record in swapping current; do
    [ ! -e "$state/$record.json" ] || write_whole "$state/$record.json" '%s\n' "$(sed 's/,"hash":"[0-9a-f]*"//g' "$state/$record.json")"
  done
  return 1
}

# moved MODEL: prints a model with the paths of the application's directory, which is $plain_app in JSON. Models of
# former versions have the paths of root's copy of the release.
moved() {
  case $1 in */resolved.json) cat "$1" && return ;; esac
  from=$tree to=${plain_app:?} awk '
    BEGIN { from[0] = ENVIRON["from"]; to[0] = ENVIRON["to"] }
    {
      for (n = 0; n < 4; n++) {
        if (n) { from[n] = from[n - 1]; sub(/\/[^\/]*$/, "", from[n]); to[n] = to[n - 1]; sub(/\/[^\/]*$/, "", to[n]) }
        at = index($0, "\"" from[n])
        next_one = substr($0, at + length(from[n]) + 1, 1)
        if (at && (next_one == "/" || next_one == "\"")) {
          $0 = substr($0, 1, at) to[n] substr($0, at + length(from[n]) + 1)
          break
        }
      }
      print
    }' "$1"
}
