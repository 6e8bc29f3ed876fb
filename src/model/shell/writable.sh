# shellcheck shell=sh
# Paths of the host that services and other accounts can write to, and what root may conclude from a path there. Needs
# claimed.sh and engine.sh.

# place PATH: sets $real to the path without links, and $spot to the device and the path on the device, by the kernel's
# list of mounts. A directory has one spot, regardless of links and bind mounts that lead to it. The spot of a missing
# path is below that of the nearest existing directory.
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
  mounts="
$(cat /proc/self/mountinfo)"
  mounts=${mounts#*"
$mount "}
  read -r _ device root point _ <<EOM
${mounts%%"
"*}
EOM
  case $root$point in *\\*) root=$(printf %b "$root") point=$(printf %b "$point") ;; esac
  spot="$device ${root%/}${real#"${point%/}"}"
  real=${real%/}$rest spot=${spot%/}$rest
}

# inside PATH DIRECTORY: succeeds if the path is the directory or below it.
inside() {
  case $1/ in "$2"/*) ;; *) return 1 ;; esac
}

# mounts_below DIRECTORY [WORD]: prints the mount points strictly below a directory, each after WORD, by the kernel's list
# of mounts.
mounts_below() {
  cut -d ' ' -f 5 /proc/self/mountinfo | while read -r point; do
    case $point in *\\*) point=$(printf %b "$point") ;; esac
    case $point in "${1%/}"/?*) printf '%s\n' "${2-}$point" ;; esac
  done
}

# environments: sets $environments to the directory that holds the state of each environment of the host.
environments() {
  environments=${state-}
  environments=${environments%/*}
  environments=${environments:-/var/lib/deployer}
}

# plain_paths: reads paths, and prints each without empty parts, `.` and `..`. Relative paths begin at the root
# directory, as for Docker.
plain_paths() {
  awk "$PLAIN"'
    $0 != "" { plain($0) }'
}

# json_paths [DOLLARS]: reads JSON strings of paths, one a line, with or without their quotes, and lines `o "OPTIONS"`
# with mount options. Prints the paths like `plain_paths`. Lists have one path a line, so a path with a control character
# becomes the directory above that character. Of options, prints the paths in them; those of an overlay may be relative.
# For one with a backslash, which may escape a colon, prints only the directory. With DOLLARS, doubled dollar signs stand
# for single ones, because Compose doubles them.
json_paths() {
  dollars=${1-} awk "$PLAIN"'
    function tell(path) {
      if (ENVIRON["dollars"] != "") gsub(/[$][$]/, "$", path)
      if (path ~ /^".*"$/) path = substr(path, 2, length(path) - 2)
      sub("/[^/]*[\\\\](u00[01][0-9a-f]|[bfnrt]).*", "", path)
      gsub(/[\\]u0026/, "\\&", path); gsub(/[\\]u003c/, "<", path); gsub(/[\\]u003e/, ">", path)
      gsub(/[\\]"/, "\"", path); gsub(/[\\][\\]/, "\\", path)
      if (path != "") plain(path)
    }
    function tell_option(path) {
      if (path !~ /\\/) { tell(path); return }
      sub(/\\.*/, "", path); sub(/[^\/]*$/, "", path)
      tell(path); tell(path "?")
    }
    /^o "/ {
      words = split(substr($0, 4, length($0) - 4), word, ",")
      for (n = 1; n <= words; n++) {
        relative = sub(/^(lowerdir|upperdir|workdir|datadir)[+]?=/, "", word[n])
        count = split(word[n], option, /[:=]/)
        for (i = 1; i <= count; i++) if (option[i] != "" && (relative || option[i] ~ /^\//)) tell_option(option[i])
      }
      next
    }
    { tell($0) }'
}

# Function of awk that prints a path without empty parts, `.` and `..`.
PLAIN='
  function plain(path,   count, part, depth, kept, k) {
    count = split(path, part, "/"); depth = 0; path = ""
    for (k = 1; k <= count; k++) {
      if (part[k] == "..") { if (depth) depth-- }
      else if (part[k] != "" && part[k] != ".") kept[++depth] = part[k]
    }
    for (k = 1; k <= depth; k++) path = path "/" kept[k]
    print (path == "" ? "/" : path)
  }'

# with_real: reads paths, and prints each as it is and without links.
with_real() {
  list=$(cat)
  printf '%s\n' "$list"
  if [ ${#list} -lt 32768 ]; then
    # shellcheck disable=SC2086 # one path a line
    (set -f && IFS='
' && set -- $list && [ $# = 0 ] || realpath -m -- "$@" 2>/dev/null) || :
  else
    printf '%s\n' "$list" | tr '\n' '\0' | xargs -0 -r realpath -m -- 2>/dev/null || :
  fi
}

# volume_places VOLUME...: prints the paths of the host that Docker's volumes consist of, independent of the Compose
# file.
volume_places() {
  found=$(ask_engine "places $*") || return 1
  printf '%s\n' "$found" | json_paths
}

# model_of RELEASE: prints the path of Compose's model of a release. resolved.json has the paths of the application's
# directory. model.json, from former versions, has those of root's copy.
model_of() {
  for file in resolved.json model.json; do
    if [ -e "$1/$file" ]; then printf '%s\n' "$1/$file" && return; fi
  done
}

# located MODEL DIRECTORY [surely]: reads paths of a model, and prints their paths on the host. Former versions resolved
# relative paths in root's copy of the release. From `../../../..` on, it is unknown whether such a path was relative:
# both paths are printed or, with `surely`, the path as it is.
located() {
  case $1 in */model.json) ;; *) cat && return ;; esac
  tree=${1%/*}/tree directory=$2 surely=${3-} awk '{
    above = ENVIRON["tree"]; live = ENVIRON["directory"]
    for (up = 0; up < (ENVIRON["surely"] == "" ? 9 : 4); up++) {
      if ($0 == above || index($0, above "/") == 1) { print live substr($0, length(above) + 1); if (up < 5) next }
      if (above == "") break
      sub(/\/[^\/]*$/, "", above); sub(/\/[^\/]*$/, "", live)
    }
    print
  }'
}

# written_by MODEL...: prints the paths that services of releases can write to, by Compose's models of the releases, as
# they are in JSON. A release that is removed meanwhile is left out. Compose doubles every dollar sign.
written_by() {
  printf '%s\0' "$@" | xargs -0 grep -ahs '' -- | awk '
    function value() { sub(/^ *"[a-z]*": "/, ""); sub(/",?$/, ""); return $0 }
    { indent = match($0, /[^ ]/) }
    /^ *[{]$/ { level = indent; source = ""; reads = 0 }
    /^ *"source": "\// && indent > level { source = value() }
    /^ *"read_only": true/ { reads = 1 }
    /^ *[}],?$/ && indent == level { if (source != "" && !reads) print source; source = "" }
    /^ *"device": "/ { print value() }
    /^ *"o": "/ { print "o \"" value() "\"" }' |
    json_paths dollars
}

# written_by_former RELEASE MODEL: prints the same of a release whose model has paths of former versions.
written_by_former() {
  directory=$(sed -nE 's/.*"directory":"(([^"\\]|\\.)*)","project":.*/\1/p' "$1/release.json" 2>/dev/null | head -n 1 | json_paths)
  written_by "$2" | located "$2" "${directory:-$1/tree}" | plain_paths
}

# writable: prints the paths that services can write to: those of all containers of the host, whether they run or not
# and whoever started them, all volumes, the paths that starts of all environments noted in `mounted`, and the mounts of
# kept releases.
writable() {
  if command -v docker >/dev/null; then
    found=$(ask_engine writable) || return 1
    printf '%s\n' "$found" | json_paths
  fi
  environments
  written_by "$environments"/*/releases/*/resolved.json
  for model in "$environments"/*/releases/*/model.json; do
    release=${model%/*}
    [ ! -e "$model" ] || [ -e "$release/resolved.json" ] || written_by_former "$release" "$model"
  done
  for other in "$environments"/*; do
    [ -e "$other/mounted" ] || continue
    grep '^/' "$other/mounted" | plain_paths
    # Former versions noted paths relative to the application's directory.
    grep -q '^[^/]' "$other/mounted" || continue
    claimed "$other" | sed -n 's/^directory //p' | while IFS= read -r directory; do
      directory=$directory awk '!/^\// { print ENVIRON["directory"] ($0 == "." ? "" : "/" $0) }' "$other/mounted"
    done
  done
}

# login: prints the account that deployer logs in as. A schedule runs without a login, after one that `note_mounts`
# recorded.
login() {
  if [ -n "${SUDO_UID-}" ]; then echo "$SUDO_UID"; else cat "${state-}/login" 2>/dev/null || :; fi
}

# of_others: reads paths, and prints the directories above them that accounts other than root and deployer's login can
# change. In a sticky directory such as /tmp, only the owner of a name can change it, but everybody can take a missing
# name. Where the group can write, an access list can let any account write.
of_others() {
  names=$(awk '{ path = $0; while (path != "") { print path; sub(/\/[^\/]*$/, "", path) } }' | sort -u)
  {
    printf '%s\n' "$names"
    printf '%s\n' "$names" | tr '\n' '\0' | xargs -0 -r stat -c '%u %A %n' -- 2>/dev/null || :
  } | trusted=" $(id -u) $(stat -c %u /) $(login) " awk '
    function above(path) { sub(/\/[^\/]*$/, "", path); return path }
    /^\// { missing[$0]; next }
    NF {
      path = substr($0, length($1 $2) + 3)
      there[path]; delete missing[path]
      sticky[path] = $2 ~ /[tT]$/
      foreign[path] = !index(ENVIRON["trusted"], " " $1 " ")
      open[path] = $2 !~ /^l/ && $2 ~ /^(.....w|........w)/
    }
    END {
      for (path in there) {
        parent = above(path)
        if (foreign[parent] || (open[parent] && (!sticky[parent] || foreign[path]))) print parent
      }
      for (path in missing) {
        parent = above(path)
        if (foreign[parent] || open[parent]) print parent
      }
    }' | sort -u
}

# around_app: prints the directories above the application's directory that other accounts can change.
around_app() {
  printf '%s\n' "${top:-${app:?}}" "$app" | of_others
}

# replaceable: succeeds if a service can change the current directory, so that a link in it may come from a service. A
# service that can write to the root directory controls the host already and does not count.
replaceable() (
  places=$(writable) || places=$(writable) || exit 0
  place "$PWD"
  own_real=$real own_spot=$spot
  while IFS= read -r path; do
    case $path in /*[!/]*) ;; *) continue ;; esac
    place "$path"
    [ -n "$real" ] || continue
    if inside "$own_real" "$real" || inside "$own_real" "${path%/}" || inside "$own_spot" "$spot"; then exit 0; fi
  done <<PLACES
$places
PLACES
  exit 1
)

# real_of DIRECTORY: reads claims, and prints the real path that the directory had when it was claimed. Fails if no claim
# records it.
real_of() {
  while IFS= read -r claim; do
    case $claim in "real $1//"*) printf '%s\n' "${claim#"real $1/"}" && return ;; esac
  done
  return 1
}

# claimed_as DIRECTORY: prints the real path of a directory by the claims of all environments.
claimed_as() {
  environments
  for claims in "$environments"/*/claims; do
    if [ -e "$claims" ] && real_of "$1" <"$claims"; then return; fi
  done
}
