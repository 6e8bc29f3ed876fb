# shellcheck shell=sh
# Claims: the Compose projects and directories that the environments of a host use. Each environment has a file `claims` under
# /var/lib/deployer, where only root writes, with lines `project NAME` and `directory PATH`.

# claimed STATE: prints an environment's claims. A former version wrote none; then its records of releases tell.
claimed() {
  if [ -e "$1/claims" ]; then
    cat "$1/claims"
  else
    for record in "$1/current.json" "$1/swapping.json"; do
      grep -osE '"directory":"([^"\\]|\\.)*","project":"[^"]*"' "$record" | head -n 1
    done | sed -E 's/^"directory":"(.*)","project":"(.*)"$/project \2\ndirectory \1/; s/\\(.)/\1/g' | sort -u
  fi
}

# place PATH: sets $real to the path without links, and $spot to the device and the path on it that the kernel's list of mounts tells: a
# directory has one spot, whatever links and bind mounts lead to it. What does not exist is below the nearest directory that does.
place() {
  above=${1%/} rest=
  until [ -d "$above/" ]; do
    rest=/${above##*/}$rest
    above=${above%/*}
  done
  # The full stop keeps line breaks at the end.
  real=$(cd -P -- "$above/" && printf %s. "$PWD")
  real=${real%.}
  case $real in *[[:cntrl:]]*) real=$(printf %s "$real" | tr '\n' '?') ;; esac
  mount=none
  while read -r key value; do
    case $key in mnt_id:) mount=$value ;; esac
  done 3< "$above/" < /proc/self/fdinfo/3 || :
  read -r _ _ device root point _ <<EOM
$(grep "^$mount " /proc/self/mountinfo)
EOM
  case $root$point in *\\*) root=$(printf %b "$root") point=$(printf %b "$point") ;; esac
  spot="$device ${root%/}${real#"${point%/}"}"
  real=${real%/}$rest spot=${spot%/}$rest
}

# inside PATH DIRECTORY: succeeds for the directory itself, too.
inside() {
  case $1/ in "$2"/*) ;; *) return 1 ;; esac
}

# each_conflict ACTION PROJECT: calls `ACTION STATE RELATION CLAIM` for each claim of another environment that the project or $app conflicts with.
# If $taken is not empty, a former version gave $app to this environment, and its former owner's records do not count.
each_conflict() {
  place "${app:?}"
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
  owner=$(sed -nE 's/.*"project":"([^"]*)","environment":"([^"]*)".*/\1\/\2/p' "$1/marker.json" 2>/dev/null)
  printf 'neighbour %s %s %s\n' "$2" "${owner:-${1##*/}}" "${3#* }"
}

# revoke STATE RELATION CLAIM: takes a claim from its environment.
revoke() {
  kept=$(claimed "$1" | grep -vxF -- "$3" || :)
  write_whole "$1/claims" '%s\n' "$kept"
}

# settle PROJECT: keeps only the claims on this project and on $app.
settle() {
  [ -e "${state:?}/claims" ] || return 0
  kept=$(grep -xF -e "project $1" -e "directory ${app:?}" -- "$state/claims" || :)
  write_whole "$state/claims" '%s\n' "$kept"
}

# claim PROJECT: adds the claims on the project and on $app, unless another environment has one that conflicts.
claim() {
  conflicts=$(each_conflict show "$1")
  if [ -n "$conflicts" ]; then
    printf '%s\n' "$conflicts" | while read -r _ _ owner value; do
      echo "$owner on this host uses $value; ${state##*/} cannot use it" >&2
    done
    return 1
  fi
  lines=$({ claimed "${state:?}" && printf 'project %s\ndirectory %s\n' "$1" "${app:?}"; } | sort -u)
  write_whole "$state/claims" '%s\n' "$lines"
}
