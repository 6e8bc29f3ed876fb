# shellcheck shell=sh
# Claims: the Compose projects and directories that the environments of a host use. Each environment has a file `claims` under
# /var/lib/deployer, where only root writes, with lines `project NAME`, `directory PATH` and `real PATH/REAL`: the directory's path without links
# when it was claimed. The functions of guard.sh come first.

# each_conflict ACTION PROJECT: calls `ACTION STATE RELATION CLAIM` for each claim of another environment that the project or $app conflicts with.
# If $taken is not empty, a former version gave $app to this environment, and its former owner's records do not count.
each_conflict() {
  place "${app:?}"
  # shellcheck disable=SC2154 # set by place
  own_real=$real own_spot=$spot
  for other in /var/lib/deployer/*; do
    if [ ! -d "$other" ] || [ "$other" = "${state:?}" ]; then continue; fi
    [ -z "${taken-}" ] || [ -e "$other/claims" ] || ! claimed "$other" | grep -qxF -- "directory $app" || continue
    claimed "$other" | while IFS= read -r claim; do
      relation=''
      case $claim in
        "project $2") relation=project ;;
        directory\ *)
          place "${claim#* }"
          if [ "$real" = "$own_real" ] || [ "$spot" = "$own_spot" ]; then
            relation=same
          elif inside "$own_real" "$real" || inside "$own_spot" "$spot"; then
            relation=inside
          elif inside "$real" "$own_real" || inside "$spot" "$own_spot"; then
            relation=around
          fi
          ;;
      esac
      [ -z "$relation" ] || "$1" "$other" "$relation" "$claim"
    done
  done
}

# show STATE RELATION CLAIM: prints a conflict for the look at a host.
show() {
  owner=$(sed -nE 's/.*"project":"([^"]*)","environment":"([^"]*)".*/\1\/\2/p' "$1/marker.json" 2>/dev/null) || :
  printf 'neighbour %s %s %s\n' "$2" "${owner:-${1##*/}}" "${3#* }"
}

# revoke STATE RELATION CLAIM: takes a claim from its environment, and ends what the host does for that at certain times, such as backups,
# and its services in a directory that is taken: they would work on what is another's. An apply of that environment starts them again.
revoke() {
  for timer in "/etc/systemd/system/deployer-${1##*/}--"*.timer; do
    if [ ! -e "$timer" ] || [ ! -d /run/systemd/system ]; then continue; fi
    timer=${timer##*/}
    systemctl disable -q --now "$timer" </dev/null
    systemctl stop "${timer%.timer}.service" </dev/null
  done
  if [ "$2" != project ] && command -v docker >/dev/null; then
    for project in $(claimed "$1" | sed -n 's/^project //p'); do
      set -- "$1" "$2" "$3" "label=com.docker.compose.project=$project" "label=com.docker.compose.project.working_dir=${3#* }"
      docker ps -q --filter "$4" --filter "$5" </dev/null | xargs -r docker stop >&2
      docker ps -aq --filter "$4" --filter "$5" </dev/null | xargs -r docker rm -f >&2
    done
  fi
  kept=$(claimed "$1" | grep -vxF -- "$3" | other_than "${3#* }" || :)
  write_whole "$1/claims" '%s\n' "$kept"
}

# other_than DIRECTORY: reads claims, and prints those that do not tell the real path of a directory.
other_than() {
  while IFS= read -r claim; do
    case $claim in "real $1//"*) ;; *) printf '%s\n' "$claim" ;; esac
  done
}

# in_use PROJECT: whether the host has containers or volumes of a Compose project, or cannot tell.
in_use() {
  command -v docker >/dev/null || return 1
  found=$(docker ps -aq --filter "label=com.docker.compose.project=$1" </dev/null &&
    docker volume ls -q --filter "label=com.docker.compose.project=$1" </dev/null) || return 0
  [ -n "$found" ]
}

# settle CLAIM...: keeps only these claims, and those on projects that the host still has something of.
settle() {
  [ -e "${state:?}/claims" ] || return 0
  kept=$(while IFS= read -r claim; do
    for wanted; do
      case $claim in "$wanted" | "real ${wanted#directory }//"*) printf '%s\n' "$claim" && continue 2 ;; esac
    done
    case $claim in project\ *) ! in_use "${claim#* }" || printf '%s\n' "$claim" ;; esac
  done <"$state/claims")
  write_whole "$state/claims" '%s\n' "$kept"
}

# forget_real: lets the next claim on $app note where it leads today.
forget_real() {
  [ ! -e "${state:?}/claims" ] || write_whole "$state/claims" '%s\n' "$(other_than "${app:?}" <"$state/claims")"
}

# claim PROJECT: adds the claims on the project and on $app, unless another environment has one that conflicts. The claim tells the real path
# of $app, which root enters from then on.
claim() {
  conflicts=$(each_conflict show "$1")
  if [ -n "$conflicts" ]; then
    printf '%s\n' "$conflicts" | while read -r _ _ owner value; do
      echo "$owner on this host uses $value; ${state##*/} cannot use it" >&2
    done
    return 1
  fi
  known=$(claimed_as "${app:?}")
  # The full stop keeps line breaks at the end.
  real=$(follow "${known:-$app}" "$known" && printf %s. "${PWD%/}${rest:+/${rest%/}}") || cannot_enter
  [ -z "$known" ] || [ ! -d "$known" ] || [ "$(cd -P -- "$app" 2>/dev/null && pwd)" = "$known" ] || cannot_enter
  real=${real%.}
  case $real in *[[:cntrl:]]*) echo "Cannot use $app: it leads to a directory whose name has control characters" >&2 && return 1 ;; esac
  lines=$({ claimed "${state:?}" && printf 'project %s\ndirectory %s\nreal %s/%s\n' "$1" "$app" "$app" "$real"; } | sort -u)
  write_whole "$state/claims" '%s\n' "$lines"
}
