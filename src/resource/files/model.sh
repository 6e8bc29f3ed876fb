# shellcheck shell=sh
# Compose's model of a release, as `docker compose config --format json` prints it: it is made and used without the bytes of services. The functions of
# guard.sh come first; $tree is the directory of the release as root keeps it, and $state the directory of the environment's records.

# model COMMAND...: prints what the command makes of the release, where it sees nothing below $more.
model() {
  in_release "$@" 2>"${tree:?}/../said"
}

# needs COMMAND...: whether the release has another model than $whole, or none, without what is below $more.
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

# validate COMMAND...: keeps the model of the release that `docker compose config` prints. Starts see nothing of what its services can write to, so a
# release with another model without that is refused. What services of a kept model can write to is hidden, so this model is kept at the end.
validate() {
  more='' whole=$tree/../model.whole
  rm -f "$tree/../resolved.json"
  if ! model "$@" >"$whole"; then
    cat "$tree/../said" >&2
    ! grep -q '^Docker Compose reads nothing in' "$tree/../said" || echo "Send the files that it needs from that directory with the release" >&2
    return 1
  fi
  cat "$tree/../said" >&2
  more=$(written_by "${tree%/tree}" "$whole")
  if [ -n "$more" ] && needs "$@"; then
    places=$more
    found=$(printf '%s\n' "$places" | while IFS= read -r place; do
      # A directory represents files that are not named.
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

# hides: whether Docker Compose sees less than root does, apart from volumes and from the application's directory.
hides() {
  writable | grep -v '/volumes/[^/]*/_data$' | app=${app:?} awk '/^\// && index($0 "/", ENVIRON["app"] "/") != 1 { found = 1 } END { exit !found }'
}

# made_in: sets $base to the directory whose paths the kept model of the release has.
made_in() {
  kept=$(model_of "${tree:?}/..")
  # shellcheck disable=SC2034 # for the command
  if [ "${kept%/model.json}" = "$kept" ]; then base=${app:?}; else base=$tree; fi
}

# as_validated COMMAND...: whether the release still has the model that was kept, without what services can write to: releases that former versions validated may
# need files that Docker Compose no longer reads. If not, writes the kept model with the paths of the application's directory to $state/model.json. Containers
# have other digests then.
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

# moved MODEL: prints a model with the paths of the application's directory, which is $plain_app in JSON. Former versions made it in root's copy of the release.
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
