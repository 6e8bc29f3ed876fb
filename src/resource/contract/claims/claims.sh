# shellcheck shell=sh
# Claims: the Compose projects and directories that the environments of a host use. Each environment has a file `claims`
# below /var/lib/deployer, where only root writes, with lines `project NAME`, `directory PATH` and `real PATH/REAL`.
# REAL is the path of the directory without links at the time of the claim. Needs guard.sh.

# find_place DIRECTORY [REAL]: sets $real and $spot, as `place` does, for a directory whose real path was REAL when it
# was claimed. Links that were put in its way since then do not count. If REAL is not known, only links that no service
# can have made count.
find_place() {
  follow "${2:-$1}" "${2-}" || :
  missing=${rest%/}
  place .
  # shellcheck disable=SC2154 # set by place
  real=${real%/}${missing:+/$missing} spot=${spot%/}${missing:+/$missing}
}

# each_conflict ACTION PROJECT [REAL]: calls `ACTION STATE RELATION CLAIM` for each claim of another environment that
# conflicts with the project or with $app. REAL replaces the claimed real path of $app. A directory in which another
# environment's removal kept data is the claim `kept PATH`. If $taken is not empty, a former version gave $app to this
# environment, and the records of its former owner do not count.
each_conflict() {
  own_real=''
  for other in /var/lib/deployer/*; do
    if [ ! -d "$other" ] || [ "$other" = "${state:?}" ]; then continue; fi
    claims=$(claimed "$other" && { [ ! -e "$other/kept" ] || sed 's/^/kept /' "$other/kept"; })
    [ -n "$claims" ] || continue
    if [ -n "${taken-}" ] && [ ! -e "$other/claims" ] && printf '%s\n' "$claims" | grep -qxF -- "directory ${app:?}"; then continue; fi
    if [ -z "$own_real" ]; then
      find_place "${app:?}" "${3-$(claimed_as "$app")}"
      own_real=$real own_spot=$spot
    fi
    while IFS= read -r claim; do
      relation=''
      case $claim in
        "project $2") relation=project ;;
        directory\ * | kept\ *)
          find_place "${claim#* }" "$(real_of "${claim#* }" <<CLAIMS
$claims
CLAIMS
)"
          if [ "${claim#* }" = "$app" ] || [ "$real" = "$own_real" ] || [ "$spot" = "$own_spot" ]; then
            relation=same
          elif inside "$own_real" "$real" || inside "$own_spot" "$spot"; then
            relation=inside
          elif inside "$real" "$own_real" || inside "$spot" "$own_spot"; then
            relation=around
          fi
          ;;
      esac
      [ -z "$relation" ] || "$1" "$other" "$relation" "$claim"
    done <<CLAIMS
$claims
CLAIMS
  done
}

# show STATE RELATION CLAIM: prints a conflict for the observation of a host.
show() {
  case $3 in kept\ *) return 0 ;; esac
  tell "$@"
}

# tell STATE RELATION CLAIM: prints a conflict, including one with kept data.
tell() {
  owner=$(sed -nE 's/.*"project":"([^"]*)","environment":"([^"]*)".*/\1\/\2/p' "$1/marker.json" 2>/dev/null) || :
  printf 'neighbour %s %s %s\n' "$2" "${owner:-${1##*/}}" "${3#* }"
}

# hinder STATE RELATION CLAIM: prints a conflict that prevents the removal of a directory with all its data. Data that
# others kept around the directory does not, because it stays. Data kept in it earlier belongs to the environment that
# claims it.
hinder() {
  case $2:$3 in
    inside:kept\ *) return 0 ;;
    same:kept\ *) ! claimed "$state" | grep -qxF -- "directory $app" || return 0 ;;
  esac
  tell "$@"
}

# hand_over STATE RELATION CLAIM: forgets that an environment kept data in a directory that now belongs to another one.
hand_over() {
  case $2:$3 in same:kept\ *) rm -f "$1/kept" ;; esac
}

# revoke STATE RELATION CLAIM: takes a claim from its environment. Also ends what would work on data that now belongs to
# another environment: the schedules of the former owner, such as backups, and its services in a directory that is
# taken. An apply of that environment starts them again.
revoke() {
  case $3 in kept\ *) return 0 ;; esac
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

# other_than DIRECTORY: reads claims, and prints those that are not the real path of the directory.
other_than() {
  while IFS= read -r claim; do
    case $claim in "real $1//"*) ;; *) printf '%s\n' "$claim" ;; esac
  done
}

# in_use PROJECT: succeeds if the host has containers or volumes of a Compose project, or cannot tell.
in_use() {
  command -v docker >/dev/null || return 1
  found=$(docker ps -aq --filter "label=com.docker.compose.project=$1" </dev/null &&
    docker volume ls -q --filter "label=com.docker.compose.project=$1" </dev/null) || return 0
  [ -n "$found" ]
}

# settle CLAIM...: keeps only these claims, and the claims on projects that still have containers or volumes on the
# host.
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

# claim PROJECT [over]: adds claims on the project and on $app, unless claims of other environments conflict. With
# `over`, takes those claims from their environments, after root could enter $app. The claim records the real path of
# $app, which root enters from then on, and which directory is there. With `over`, this is where $app leads now.
claim() {
  known=''
  [ -n "${2-}" ] || known=$(claimed_as "${app:?}")
  # The full stop keeps line breaks at the end.
  found=$(follow "${known:-$app}" "$known" && { [ -n "${2-}$rest" ] || original "$app"; } &&
    inode=$([ -n "$rest" ] && echo none || inode) && printf %s. "$inode ${PWD%/}${rest:+/${rest%/}}") || cannot_enter
  inode=${found%% *} found=${found#* }
  [ -z "$known" ] || [ ! -d "$known" ] || [ "$(cd -P -- "$app" 2>/dev/null && pwd)" = "$known" ] || cannot_enter
  found=${found%.}
  case $found in *[[:cntrl:]]*) echo "Cannot use $app: it leads to a directory whose name has control characters" >&2 && return 1 ;; esac
  [ -z "${2-}" ] || each_conflict revoke "$1" "$found"
  conflicts=$(each_conflict show "$1" "$found")
  if [ -n "$conflicts" ]; then
    printf '%s\n' "$conflicts" | while read -r _ _ owner value; do
      echo "$owner on this host uses $value; ${state##*/} cannot use it" >&2
    done
    return 1
  fi
  each_conflict hand_over "$1" "$found"
  lines=$({ claimed "${state:?}" | other_than "$app" && printf 'project %s\ndirectory %s\nreal %s/%s\n' "$1" "$app" "$app" "$found"; } | sort -u)
  write_whole "$state/claims" '%s\n' "$lines" && note_inode "$inode" "$app"
}
