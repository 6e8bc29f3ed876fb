# shellcheck shell=sh
# outside: what the Compose files of the release mount from outside of it, as Compose resolved them: records of former versions do not tell. Also
# what the volumes that they name consist of, as Docker has them: it keeps a volume as it was made first. Compose doubles every dollar.
outside() {
  [ -e "${release:?}/model.json" ] && [ -n "${app:?}" ] || return 0
  sed -nE 's/^ *"(source|device|file)": "(\/.*)",?$/\2/p; s/^ *"o": "(.*)",?$/o "\1"/p' "$release/model.json" |
    named_in_options | sed 's/\$\$/$/g' | unquoted | grep -v "^$release/tree\(/\|\$\)" | live_paths "$release" "$app"
  named_volumes | while IFS= read -r volume; do
    volume_places "${volume%% *}" 2>/dev/null || :
  done
}

# named_volumes: prints `NAME OPTIONS` of each volume that the Compose files of the release name, with the options in JSON, or `external`.
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
    /^    [}]/ { if (name != "") print name " " (external ? "external" : "{" options "}") }' "$release/model.json"
}

# same_volumes RELEASE: fails where Docker keeps a volume with other options than the Compose files of the release give it: Docker goes on with the
# old ones, and nobody would see which directory services get.
same_volumes() {
  release=$1
  [ -e "$release/model.json" ] || return 0
  named_volumes | {
    while read -r volume wanted; do
      [ "$wanted" != external ] || continue
      kept=$(docker volume inspect --format '{{json .Options}}' "$volume" 2>/dev/null </dev/null) || continue
      case $kept in null) kept='{}' ;; esac
      [ "$(printf '%s\n' "$kept" | options)" != "$(printf '%s\n' "$wanted" | sed 's/\$\$/$/g' | options | live_paths "$release" "${app:?}")" ] || continue
      echo "Cannot start the services: volume $volume was created with other options than its Compose file has now, and Docker does not change them. Restore the options in the Compose file, or remove the volume with: docker volume rm $volume" >&2
      exit 1
    done
  }
}

# options: reads the options of a volume in JSON, and prints each key and each value on its own line, without what encoders differ in.
options() {
  sed 's/^{"//; s/"}$//; s/","/\n/g' | sed 's/":"/\n/; s/\\u0026/\&/g; s/\\u003c/</g; s/\\u003e/>/g'
}

# find_exposed: sets $exposed to `DIRECTORY`, a tab and `PATH` for each of $paths, and of what the release mounts from outside of it, that is strictly below one of
# $above or of what `writable` prints, the highest of them. Whoever can write there can put a link in the way. Those of $placed are left out where that is below
# the application's directory: files that are about to be put there take the place of a link.
find_exposed() {
  exposed='' paths=$({ printf '%s\n' "$paths" && outside; } | grep '^/') || return 0
  # Where the directory is reached over a link of root's, services may write to its real path.
  known=$(claimed_as "${app:?}")
  if [ -n "$known" ] && [ "$known" != "$app" ]; then
    paths=$(printf '%s\n' "$paths" && printf '%s\n' "$paths" | really) placed=$(printf '%s\n' "$placed" && printf '%s\n' "$placed" | really)
  fi
  # A container may end meanwhile.
  [ -n "${others+known}" ] || others=$(writable) || others=$(writable) || return 1
  exposed=$(printf '%s\n' "$above" "$others" // "$placed" // "$paths" | app=${app:?} awk '
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
        app = ENVIRON["app"]
        if (index(path, app "/") == 1 && index(directory "/", app "/") == 1) directory = app
        if (directory != app || !(path in placed)) print directory "\t" substr(path, length(directory) + 2)
        break
      }
    }')
}

# really: reads paths, and prints those below $app as they are below $known.
really() {
  app=$app known=$known awk 'index($0, ENVIRON["app"] "/") == 1 { print ENVIRON["known"] substr($0, length(ENVIRON["app"]) + 1) }'
}

# each_exposed COMMAND...: calls `COMMAND DIRECTORY` for each directory of $exposed, with the paths below it on standard input; fails where one failed.
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

# no_link DIRECTORY: reads paths below it, and fails where one is a link or leads through one.
no_link() {
  if [ "$1" = "$app" ] && [ -d "$app" ]; then pin "$app" || cannot_enter; fi
  unlinked "$1"
}

# start_guarded PROJECT ID...: starts containers of a project, unless a link is in the way of what they mount.
start_guarded() {
  project=$1 above='' placed='' release=/dev/null
  shift
  paths=$(docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}' "$@" </dev/null) || return 1
  find_exposed && each_exposed no_link || return 1
  docker start "$@" >/dev/null || return 1
  each_exposed same_mounts "$project"
}

# same_mounts PROJECT DIRECTORY: reads paths below a directory, one a line, and stops each container of the project that has something else in the
# place of a mount from one of them; it fails then. The kernel's own lists are compared, and no path is followed: a mount is the
# device and the place on it where root finds the path, or what had that place and is removed by now.
same_mounts() (
  paths=$(cat)
  cd -P -- "$2" 2>/dev/null || exit 0
  top=$PWD
  # A container may end meanwhile; an answer that is not whole counts for nothing.
  list_mounts "$1" || list_mounts "$1" || exit 1
  volumes=$(printf '%s\n' "$mounts" | awk -F '\t' '$4 == "volume" { print $5 }' | sort -u)
  # shellcheck disable=SC2086
  [ -z "$volumes" ] || volumes=$(docker volume inspect --format '{{.Name}}{{"\t"}}{{with .Options}}{{index . "device"}}{{end}}' $volumes </dev/null) || exit 1
  wrong=$(printf '%s\n' "$paths" "$volumes" "$mounts" | named=$2 top=$top awk -F '\t' '
    function plain(text) {
      gsub(/\\040/, " ", text); gsub(/\\011/, "\t", text); gsub(/\\012/, "\n", text); gsub(/\\134/, "\\", text)
      return text
    }
    function on_device(path, i, best) {
      for (i = 1; i <= count; i++)
        if (at[i] == "/" || path == at[i] || index(path, at[i] "/") == 1)
          if (!best || length(at[i]) >= length(at[best])) best = i
      if (!best) return ""
      path = (from[best] == "/" ? "" : from[best]) (at[best] == "/" ? path : substr(path, length(at[best]) + 1))
      return device[best] " " (path == "" ? "/" : path)
    }
    function below(source) {
      sub(/\/+$/, "", source)
      if (index(source, ENVIRON["named"] "/") == 1) return substr(source, length(ENVIRON["named"]) + 2)
      if (index(source, ENVIRON["top"] "/") == 1) return substr(source, length(ENVIRON["top"]) + 2)
      return ""
    }
    # Whether the process has that at the destination or, where the image has a link there, anywhere.
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
      # It ended.
      if (!read_any[pid]) return 1
      return (last == "" ? any : last) == wanted
    }
    BEGIN {
      while ((getline line < "/proc/self/mountinfo") > 0) {
        split(line, part, " ")
        count++; device[count] = part[3]; from[count] = plain(part[4]); at[count] = plain(part[5])
      }
    }
    NF == 2 { source_of[$1] = $2; next }
    NF < 7 { asked[$0] = 1; next }
    {
      path = below($4 == "volume" ? source_of[$5] : $6)
      if (path == "" || !(path in asked) || $1 == 0) next
      wanted = on_device(ENVIRON["top"] "/" path)
      if (wanted != "" && !has($1, $7, wanted)) print $2 "\t" $3 "\t" path
    }')
  [ -n "$wrong" ] || exit 0
  printf '%s\n' "$wrong" | cut -f 1 | sort -u | while read -r id; do docker kill "$id" </dev/null >&2 || :; done
  printf '%s\n' "$wrong" | while IFS="$(printf '\t')" read -r _ service path; do
    echo "Stopped $service: it mounts $2/$path, which was something else when Docker mounted it. Remove the link at that path" >&2
  done
  exit 1
)

# list_mounts PROJECT: what each running container of the project mounts, as $mounts.
list_mounts() {
  mounts='' ids=$(docker ps -q --no-trunc --filter "label=com.docker.compose.project=$1" </dev/null) || return 1
  [ -n "$ids" ] || return 0
  # shellcheck disable=SC2086 # one word each
  mounts=$(docker inspect --format '{{$one := .}}{{range .Mounts}}{{$one.State.Pid}}{{"\t"}}{{$one.Id}}{{"\t"}}{{index $one.Config.Labels "com.docker.compose.service"}}{{"\t"}}{{.Type}}{{"\t"}}{{if eq (print .Type) "volume"}}{{.Name}}{{end}}{{"\t"}}{{.Source}}{{"\t"}}{{.Destination}}{{"\n"}}{{end}}' $ids </dev/null)
}
