# shellcheck shell=sh
# outside MODEL: prints the paths that the Compose files of a release mount, as Compose resolved them, because records
# of former versions do not contain them. Also prints the paths that the named volumes consist of. Docker keeps a volume
# as it was first created. Compose doubles every dollar sign.
outside() {
  sed -nE 's/^ *"(source|file)": "(\/.*)",?$/\2/p; s/^ *"device": "(.*)",?$/\1/p; s/^ *"o": "(.*)",?$/o "\1"/p' "$1" |
    json_paths dollars | located "$1" "${app:?}" | plain_paths
  named_volumes "$1" | while IFS= read -r volume; do
    volume_places "${volume%% *}" 2>/dev/null || :
  done
  taken=$(containers_of "$1")
  # shellcheck disable=SC2086 # one word each
  [ -z "$taken" ] || mounts_of $taken || { echo "Cannot look at what these containers mount, whose volumes a service takes:" $taken >&2 && return 1; }
}

# containers_of MODEL: prints the containers whose volumes services take (volumes_from), except containers of the
# release itself.
containers_of() {
  awk '
    /^ *"container_name": "/ { line = $0; sub(/^[^:]*: "/, "", line); sub(/".*/, "", line); own[line] }
    /^ *"volumes_from": \[/ { on = 1; next }
    /^ *\]/ { on = 0 }
    on && sub(/^ *"container:/, "") { sub(/[:"].*/, ""); taken[$0] }
    END { for (name in taken) if (!(name in own) && name ~ /^[a-zA-Z0-9]/) print name }' "$1"
}

# mounts_of CONTAINER...: prints the paths of the host that containers mount, including those of their volumes.
mounts_of() {
  found=$(docker inspect --format '{{range .Mounts}}{{json .Source}}{{println}}{{end}}' "$@" </dev/null) || return 1
  printf '%s\n' "$found" | json_paths
  found=$(docker inspect --format '{{range .Mounts}}{{if eq (print .Type) "volume"}}{{println .Name}}{{end}}{{end}}' "$@" </dev/null) || return 1
  # shellcheck disable=SC2086 # one word each
  [ -z "$found" ] || volume_places $found
}

# unwatched MODEL: prints those of these paths that cannot be compared after a start, because the kernel's lists do not
# show them: devices outside of /dev, and parts of volumes that are no bound directory, such as those of an overlay.
unwatched() {
  {
    awk '/^      "devices": \[/ { on = 1; next } /^      \]/ { on = 0 } on && (sub(/^ *"source": "/, "") || sub(/^ *"\//, "/")) { sub(/[:"].*/, ""); print }' "$1"
    named_volumes "$1" | while read -r volume wanted; do
      [ "$wanted" != '{}' ] || continue
      kept=$(kept_options "$volume") || kept=$wanted
      printf '%s\n' "$kept" | options | awk '
        NR % 2 { key = $0; next }
        { value[key] = $0 }
        END {
          if (value["o"] ~ /(^|,)r?bind(,|$)/) exit
          if (value["device"] ~ /\//) print value["device"]
          if (value["o"] != "") print "o \"" value["o"] "\""
        }'
    done
  } | json_paths dollars | grep -v '^/dev/' || :
}

# named_volumes MODEL: prints `NAME OPTIONS` for each volume that the Compose files of the release name. OPTIONS are
# JSON, or `external`.
named_volumes() {
  awk '
    function value() { sub(/^ *"[^"]*": "/, ""); sub(/",?$/, ""); return $0 }
    /^  "volumes": \{/ { on = 1; next }
    /^  [}]/ { on = 0 }
    !on { next }
    /^    "/ { name = options = ""; external = 0 }
    /^      "name": "/ { name = value() }
    /^      "external": true/ { external = 1 }
    /^        "/ && inside { line = $0; sub(/^ */, "", line); sub(/": "/, "\":\"", line); sub(/,$/, "", line); options = options (options == "" ? "" : ",") line }
    /^      "driver_opts": \{/ { inside = 1 }
    /^      [}]/ { inside = 0 }
    /^    [}]/ { if (name != "") print name " " (external ? "external" : "{" options "}") }' "$1"
}

# same_volumes RELEASE: fails if Docker has a volume with other options than the Compose files of the release give it.
# Docker would continue to use the old options, and nobody would see which directory the services get.
same_volumes() {
  model=$(model_of "$1")
  [ -n "$model" ] || return 0
  named_volumes "$model" | {
    while read -r volume wanted; do
      [ "$wanted" != external ] || continue
      kept=$(kept_options "$volume") || continue
      case $kept in null) kept='{}' ;; esac
      [ "$(printf '%s\n' "$kept" | options)" != "$(printf '%s\n' "$wanted" | sed 's/\$\$/$/g' | options | located "$model" "${app:?}" surely)" ] || continue
      echo "Cannot start the services: volume $volume was created with other options than its Compose file has now, and Docker does not change them. Restore the options in the Compose file, or remove the volume with: docker volume rm $volume" >&2
      exit 1
    done
  }
}

# kept_options VOLUME: prints the options that Docker created a volume with, in JSON. Fails if there is no such volume.
kept_options() {
  ask_engine "options $1" 2>/dev/null
}

# options: reads the options of a volume in JSON. Prints each key and each value on its own line, in one form for all
# encoders.
options() {
  sed 's/^{"//; s/"}$//; s/","/\n/g' | sed 's/":"/\n/; s/\\u0026/\&/g; s/\\u003c/</g; s/\\u003e/>/g'
}

# find_exposed: sets $exposed to lines of `DIRECTORY`, a tab and `PATH`, for each of $paths and each mount of the
# release that is strictly below a path of $above, `writable` or `of_others`. DIRECTORY is the highest of these: anyone
# who can write there can put a link in the way. Paths of $placed below the application's directory are omitted, because
# the files that will be placed there replace a link. Fails if a path that cannot be compared after the start is among
# them.
find_exposed() {
  exposed='' fixed='' known=$(claimed_as "${app:?}") model=$(model_of "${release:?}")
  if [ -n "$model" ]; then
    fixed=$(unwatched "$model") && more=$(outside "$model") || return 1
    paths=$(printf '%s\n' "$paths" "$more" "$fixed")
  fi
  paths=$(printf '%s\n' "$paths" | plain_paths | sort -u)
  [ -n "$paths" ] || return 0
  no_state || return 1
  placed=$(printf '%s\n' "$placed" | really) paths=$(printf '%s\n' "$paths" | really | over_links) fixed=$(printf '%s\n' "$fixed" | over_links)
  # A container may end meanwhile, so this is tried twice.
  [ -n "${others+known}" ] || others=$(writable) || others=$(writable) || return 1
  exposed=$(printf '%s\n' "$above" "$others" | plain_paths | with_real && printf '%s\n' "$paths" | of_others && printf '%s\n' // "$placed" // "$paths")
  exposed=$(printf '%s\n' "$exposed" | path_of_app=${app:?} real_path=${known:-$app} awk '
    # Returns the name of the application directory that the path begins with, or an empty text.
    function home(path) {
      if (index(path "/", ENVIRON["path_of_app"] "/") == 1) return ENVIRON["path_of_app"]
      return index(path "/", ENVIRON["real_path"] "/") == 1 ? ENVIRON["real_path"] : ""
    }
    { path = $0; sub(/\/+$/, "", path) }
    $0 == "//" { part_of_input++; next }
    path == "" { next }
    part_of_input == 0 { above[path]; next }
    part_of_input == 1 { placed[path]; next }
    path in seen { next }
    {
      seen[path]
      count = split(substr(path, 2), part, "/"); directory = ""
      for (i = 1; i < count; i++) {
        directory = directory "/" part[i]
        if (!(directory in above)) continue
        own = home(directory)
        if (own != "") directory = own
        if (own == "" || !(path in placed)) print directory "\t" substr(path, length(directory) + 2)
        break
      }
    }')
  [ -n "$fixed" ] && [ -n "$exposed" ] || return 0
  found=$(printf '%s\n' "$exposed" | tr '\t' / | grep -xF -m 1 -e "$fixed") || return 0
  echo "Cannot start the services: $found is a device or part of a volume that is no directory, and others can put something else there while Docker looks. Keep it where only root and no service writes" >&2
  return 1
}

# really: reads paths, and prints them. Also prints those below $app as paths below $known: if the directory is reached
# through a link of root's, services may write to its real path.
really() {
  app=$app known=$known awk '
    $0 != "" { print }
    ENVIRON["known"] != "" && ENVIRON["known"] != ENVIRON["app"] && index($0, ENVIRON["app"] "/") == 1 {
      print ENVIRON["known"] substr($0, length(ENVIRON["app"]) + 1)
    }'
}

# over_links: reads paths, and prints each with the links on its way, and without links. A path of $placed will not be a
# link.
over_links() {
  while IFS= read -r path; do
    [ -n "$path" ] || continue
    printf '%s\n' "$path"
    here='' todo=${path#/}/ hops=0
    while [ -n "$todo" ]; do
      part=${todo%%/*} todo=${todo#*/}
      case $part in '' | .) continue ;; ..) here=${here%/*} && continue ;; esac
      if [ ! -L "$here/$part" ] || [ "$hops" -ge 40 ]; then
        here=$here/$part
        continue
      fi
      if printf '%s\n' "${placed-}" | grep -qxF -- "$here/$part"; then continue 2; fi
      printf '%s\n' "$here/$part"
      target=$(readlink -- "$here/$part") || continue 2
      hops=$((hops + 1)) todo=$target/$todo
      case $target in /*) here='' ;; esac
    done
    [ "$hops" = 0 ] || printf '%s\n' "$here"
  done
}

# no_state: fails if one of $paths is in the directory where root keeps the state of all environments, under any name.
no_state() {
  environments
  # shellcheck disable=SC2154 # set by environments
  found=$({ printf '%s\n' "$environments" | with_real && echo // && printf '%s\n' "$paths" | with_real; } | awk '
    $0 == "//" { asked = 1; next }
    !asked { kept[$0]; next }
    { for (one in kept) if (index($0 "/", one "/") == 1) { print; exit } }')
  [ -n "$found" ] || return 0
  echo "Cannot start the services: $found is mounted, and deployer keeps the state of the host's environments in $environments. Mount another directory" >&2
  return 1
}

# note_mounts ABOVE: records that services can write to these paths from now on, and to the mounts of containers whose
# volumes they take. Also records the account of the login.
note_mounts() {
  before=''
  [ ! -e "${state:?}/login" ] || read -r before <"$state/login" || :
  [ "$before" = "${SUDO_UID:-0}" ] || write_whole "$state/login" '%s\n' "${SUDO_UID:-0}" || return 1
  model=$(model_of "${release:?}") more=''
  taken=$([ -z "$model" ] || containers_of "$model")
  # shellcheck disable=SC2086 # one word each
  [ -z "$taken" ] || more=$(mounts_of $taken) || return 1
  noted=$(printf '%s\n' "$1" "$more" | sed '/^$/d')
  if [ -e "$state/mounted" ] && [ "$(cat "$state/mounted")" = "$noted" ]; then return; fi
  write_whole "$state/mounted" %s "${noted:+$noted
}"
}

# each_exposed COMMAND...: calls `COMMAND DIRECTORY` for each directory of $exposed, with the paths below it on standard
# input. Fails if one call fails.
each_exposed() {
  printf '%s' "$exposed" | cut -f 1 | sort -u | {
    failed=''
    while IFS= read -r directory; do
      printf '%s\n' "$exposed" | directory=$directory awk -F '\t' '$1 == ENVIRON["directory"] { print substr($0, length($1) + 2) }' |
        "$@" "$directory" || failed=yes
    done
    [ -z "$failed" ]
  }
}

# no_link DIRECTORY: reads paths below it. Fails if one is a link or leads through a link.
no_link() {
  if [ "$1" = "$app" ] && [ -d "$app" ]; then pin "$app" || cannot_enter; fi
  unlinked "$1"
}

# start_guarded PROJECT ID...: starts containers of a project, unless a link is on the way of their mounts.
start_guarded() {
  project=$1 above='' placed='' release=/dev/null
  shift
  paths=$(mounts_of "$@") || return 1
  find_exposed && each_exposed no_link || return 1
  docker start "$@" >/dev/null || return 1
  each_exposed same_mounts "$project"
}

# same_mounts PROJECT DIRECTORY: reads paths below a directory, one a line. Stops each container of the project that has
# mounted something else than one of these paths, and then fails. Compares the kernel's lists and follows no path: the
# mount must be the device, and the path on it, where root finds the path now, or a removed file or directory that was
# there.
same_mounts() (
  paths=$(cat)
  cd -P -- "$2" 2>/dev/null || exit 0
  top=$PWD
  # A container may end meanwhile, so this is tried twice. An incomplete answer is discarded.
  list_mounts "$1" || list_mounts "$1" || exit 1
  volumes=$(printf '%s\n' "$mounts" | awk -F '\t' '$4 == "volume" { print $5 }' | sort -u)
  # shellcheck disable=SC2086
  [ -z "$volumes" ] || volumes=$(ask_engine "devices $volumes") || exit 1
  wrong=$(printf '%s\n' "$paths" "$volumes" "$mounts" | named=$2 top=$top awk -F '\t' '
    function plain(text) {
      gsub(/\\040/, " ", text); gsub(/\\011/, "\t", text); gsub(/\\012/, "\n", text); gsub(/\\134/, "\\", text)
      return text
    }
    # Returns the text of a JSON string. Control characters stay escaped.
    function decoded(json) {
      gsub(/^"|"$/, "", json)
      gsub(/\\u0026/, "\\&", json); gsub(/\\u003c/, "<", json); gsub(/\\u003e/, ">", json)
      gsub(/\\"/, "\"", json); gsub(/\\\\/, "\\", json)
      return json
    }
    function on_device(path, i, best) {
      for (i = 1; i <= count; i++)
        if (at[i] == "/" || path == at[i] || index(path, at[i] "/") == 1)
          if (!best || length(at[i]) >= length(at[best])) best = i
      if (!best) return ""
      path = (from[best] == "/" ? "" : from[best]) (at[best] == "/" ? path : substr(path, length(at[best]) + 1))
      return device[best] " " (path == "" ? "/" : path)
    }
    function below(source, part, kept, count, depth, i) {
      count = split(source, part, "/"); source = ""
      for (i = 1; i <= count; i++) {
        if (part[i] == "..") { if (depth) depth-- }
        else if (part[i] != "" && part[i] != ".") kept[++depth] = part[i]
      }
      for (i = 1; i <= depth; i++) source = source "/" kept[i]
      if (index(source, ENVIRON["named"] "/") == 1) return substr(source, length(ENVIRON["named"]) + 2)
      if (index(source, ENVIRON["top"] "/") == 1) return substr(source, length(ENVIRON["top"]) + 2)
      return ""
    }
    # Returns true if the process has that mount at the destination or, if the image has a link there, anywhere.
    function has(pid, destination, wanted, list, line, part, found, last, any) {
      list = "/proc/" pid "/mountinfo"
      last = any = ""
      while ((found = (getline line < list)) > 0) {
        split(line, part, " ")
        line = part[3] " " plain(part[4])
        sub(/\/\/deleted$/, "", line)
        if (line == wanted) any = line
        if (plain(part[5]) == destination) last = line
        read_any[pid] = 1
      }
      close(list)
      # The process ended.
      if (!read_any[pid]) return 1
      return (last == "" ? any : last) == wanted
    }
    BEGIN {
      while ((getline line < "/proc/self/mountinfo") > 0) {
        split(line, part, " ")
        count++; device[count] = part[3]; from[count] = plain(part[4]); at[count] = plain(part[5])
      }
    }
    NF == 2 { source_of[$1] = decoded($2); next }
    NF < 7 { asked[$0] = 1; next }
    {
      path = below($4 == "volume" ? source_of[$5] : decoded($6))
      if (path == "" || !(path in asked) || $1 == 0) next
      wanted = on_device(ENVIRON["top"] "/" path)
      if (wanted != "" && !has($1, decoded($7), wanted)) print $2 "\t" decoded($3) "\t" path
    }')
  [ -n "$wrong" ] || exit 0
  printf '%s\n' "$wrong" | cut -f 1 | sort -u | while read -r id; do docker kill "$id" </dev/null >&2 || :; done
  printf '%s\n' "$wrong" | while IFS="$(printf '\t')" read -r _ service path; do
    echo "Stopped $service: it mounts $2/$path, which was something else when Docker mounted it. Remove the link at that path" >&2
  done
  exit 1
)

# list_mounts PROJECT: sets $mounts to the mounts of each running container of the project. Texts that come from an image,
# such as the path of a volume, may contain any character and are in JSON.
list_mounts() {
  mounts=$(ask_engine "mounts label=com.docker.compose.project=$1")
}
