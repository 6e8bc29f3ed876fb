# shellcheck shell=sh
# Functions for work as root below a directory that services and other users may change.
#
# A directory is entered one component at a time. After each step, the path that the kernel reports ($PWD after `cd -P`)
# is compared with the intended one, so a link in any component is noticed before anything is done. From then on, single
# names (./NAME) cannot leave the directory, even if something around it is renamed. Files there are opened without
# following links and without waiting (O_NOFOLLOW, O_NONBLOCK). A new file is created under a unique name (O_EXCL) and
# renamed into place, which replaces a link and does not follow it.

# follow DIRECTORY [strictly]: enters as much of an absolute directory as exists, and sets $rest to the missing part. A
# link on the way is followed only where nobody but root can have made it: in a directory that only root can change and
# that no service, which may also run as root, can write to. With `strictly`, no link is followed.
follow() {
  cd -P / || return 1
  todo=${1#/}/ hops=0 rest=''
  while [ -n "$todo" ]; do
    part=${todo%%/*} rest=$todo todo=${todo#*/}
    case $part in '' | .) rest='' && continue ;; ..) cd -P .. || return 1 && continue ;; esac
    if [ -L "./$part" ]; then
      hops=$((hops + 1))
      case ${2:+strictly}$hops:$(stat -c %u:%A .) in [1-9]:0:?????-??-* | [1-3][0-9]:0:?????-??-*) ;; *) return 1 ;; esac
      ! replaceable || return 1
      target=$(readlink "./$part") || return 1
      case $target in /*) cd -P / || return 1 ;; esac
      todo=$target/$todo
      continue
    fi
    [ -e "./$part" ] || return 0
    place=${PWD%/}/$part
    cd -P "./$part" 2>/dev/null && [ "$PWD" = "$place" ] || return 1
  done
  rest=''
}

# pin DIRECTORY [USER:GROUP]: enters an absolute directory and stores its real path as $top. With an owner, creates a
# missing directory with the permissions $directory_mode. A claimed directory is entered at its real path from the time
# of the claim, $known, and must still be there: a link that was put in its way since then is not followed, and no
# directory that another account put in its place is entered. Missing directories above it may appear meanwhile, created
# by another environment's command (mkdir -p). The directory itself must be new.
pin() {
  known=$(claimed_as "$1")
  follow "${known:-$1}" "$known" || return 1
  if [ -n "$rest" ]; then
    [ -n "${2-}" ] || return 1
    while [ -n "$rest" ]; do
      part=${rest%%/*} rest=${rest#*/}
      place=${PWD%/}/$part
      (umask 022 && mkdir ${rest:+-p} "./$part") || return 1
      cd -P "./$part" 2>/dev/null && [ "$PWD" = "$place" ] || return 1
    done
    chown "$2" . && chmod "${directory_mode:-0700}" . && note_inode "$(inode)" "$1" || return 1
  elif [ -n "${2-}" ] && [ ! -e "${state:?}/inode" ]; then
    note_inode "$(inode)" "$1" || return 1
  fi
  original "$1" || return 1
  [ -z "$known" ] || [ "$(cd -P -- "$1" 2>/dev/null && pwd)" = "$PWD" ] || return 1
  top=$PWD
}

# inode: prints the number of the current directory's inode and its time of birth, if the file system has one. An account
# can make a subvolume of btrfs, in which it chooses the numbers of inodes, but it cannot choose the time.
inode() {
  stat -c %i:%.9W .
}

# note_inode INODE DIRECTORY: records which directory the environment has at a path. INODE is `none` before the directory
# exists.
note_inode() {
  write_whole "${state:?}/inode" '%s\n' "$1 $2"
}

# original DIRECTORY: succeeds unless the current directory is another than the one that the environment had at that
# path, and another account can have put it there. Only root can mount a file system there, so that the inode and its birth
# tell. Former versions recorded no birth, or nothing at all: then the directory of their next release counts.
original() {
  { IFS= read -r noted <"${state-}/inode"; } 2>/dev/null || return 0
  now=$(inode)
  case ${noted%% *} in *:*) ;; *) now=${now%%:*} ;; esac
  [ "${noted#* }" = "$1" ] && [ "${noted%% *}" != "$now" ] || return 0
  [ -z "$(printf '%s\n' "$PWD" | of_others)" ]
}

cannot_enter() {
  if [ -n "${known-}" ]; then
    echo "Cannot enter ${app:?}: it was $known when it was claimed, but is another directory now. Put the directory back, or accept the new place with: deployer apply --take-over" >&2
  else
    echo "Cannot enter ${app:?}: its path contains something other than a directory, or a link that others can replace" >&2
  fi
  exit 1
}

# walk DIRECTORY [make]: enters a directory below the current one. With `make`, creates missing directories and clears
# the way: these belong to $owner, like the files in them. On failure, $part is the component that was not entered, and
# $passed the directory that holds it.
walk() {
  todo=$1/ passed=.
  while [ -n "$todo" ]; do
    part=${todo%%/*} todo=${todo#*/}
    case $part in '' | .) continue ;; ..) return 1 ;; esac
    place=${PWD%/}/$part
    opened=''
    if [ -n "${2-}" ] && { [ -L "./$part" ] || [ ! -d "./$part" ]; }; then
      open_way "./$part" && opened=yes || return 1
    fi
    cd -P "./$part" 2>/dev/null && [ "$PWD" = "$place" ] || return 1
    [ -z "$opened" ] || [ -z "${owner-}" ] || chown "$owner" . || return 1
    passed=$passed/$part
  done
}

# enter DIRECTORY [make]: enters a directory below $top.
enter() {
  cd -P "$top" 2>/dev/null && [ "$PWD" = "$top" ] && walk "$@"
}

# split PATH: sets $directory and $name to the directory and the name of a path below $top.
split() {
  name=./${1##*/}
  case $1 in */*) directory=${1%/*} ;; *) directory=. ;; esac
}

# nonce: prints a word that nobody else can predict.
nonce() {
  read -r uuid </proc/sys/kernel/random/uuid && printf %s "${uuid%%-*}${uuid##*-}"
}

# clear_way ./NAME [./KEPT]: frees a name of the current directory. Links, pipes, sockets and devices are unlinked, and
# an empty directory is removed. Files and directories with content are kept: they are renamed to KEPT with a suffix
# that nobody can predict.
clear_way() {
  if [ ! -L "$1" ] && [ -d "$1" ]; then
    rmdir -- "$1" 2>/dev/null && return
  elif [ -L "$1" ] || [ ! -f "$1" ]; then
    rm -f -- "$1" && return
  fi
  mv -nT -- "$1" "$(printf %.200s "${2-$1}").deployer-saved-$(nonce)"
}

# open_way ./NAME: creates a directory in the current directory. A service may create something else there again and
# again. If mv can exchange two names (coreutils 9.5), the new directory takes the place of that atomically.
open_way() {
  (umask 022 && mkdir -- "$1" 2>/dev/null) && return
  [ -L "$1" ] || [ ! -d "$1" ] || return 0
  spare=./.deployer-new.$(nonce)
  (umask 022 && mkdir -- "$spare") || return 1
  if mv --exchange -T -- "$spare" "$1" 2>/dev/null; then
    clear_way "$spare" "$1"
    return
  fi
  rmdir -- "$spare" 2>/dev/null || :
  clear_way "$1" && (umask 022 && mkdir -p -- "$1")
}

# regular ./NAME: prints the content of a regular file of the current directory, and nothing for anything else. tar
# opens the file without following links and without waiting, and checks the type of the opened file.
regular() {
  tar -c --no-recursion --no-unquote --numeric-owner -f - -- "$1" 2>/dev/null | tar -x -O -f - 2>/dev/null
}

# same FILE ./NAME: compares a file that only root can change with one of the current directory: type, permissions and
# content.
same() {
  about=$(stat -c '%f %s' -- "$1") && [ "$about" = "$(stat -c '%f %s' -- "$2" 2>/dev/null)" ] && same_content "$1" "$2" "${about#* }"
}

# same_content FILE ./NAME SIZE: compares only the contents. SIZE is the size of FILE.
same_content() {
  dd if="$2" iflag=nofollow,nonblock,fullblock bs=65536 count=$(($3 / 65536 + 1)) status=none 2>/dev/null | cmp -s - "$1"
}

# set_aside PATH: keeps a regular file below $top whose content no release placed and differs from the release's. The
# file gets a second name with a suffix that nobody can predict, and keeps its owner and permissions. Of more than 20
# such names of one file, the oldest is removed.
set_aside() {
  split "$1"
  enter "$directory" && [ ! -L "$name" ] && [ -f "$name" ] || return 0
  if [ -e "${tree:?}/$1" ]; then
    size=$(stat -c %s -- "$tree/$1") && ! same_content "$tree/$1" "$name" "$size" || return 0
  fi
  oldest='' copies=0
  for saved in "$(printf %.200s "$name")".deployer-saved-*; do
    copies=$((copies + 1))
    # shellcheck disable=SC3013 # every shell of a supported host knows -ot
    if [ -z "$oldest" ] || [ "$saved" -ot "$oldest" ]; then oldest=$saved; fi
  done
  [ "$copies" -lt 20 ] || rm -f -- "$oldest" 2>/dev/null || :
  saved=$(printf %.200s "$name").deployer-saved-$(nonce)
  ln -P -- "$name" "$saved" 2>/dev/null || why=$(mv -nT -- "$name" "$saved" 2>&1) || { echo "Cannot keep $1, which no release placed: $why" >&2 && return 1; }
  kept_as=$directory/${saved#./}
  printf '%s kept %s as %s\n' "${mark:?}" "$1" "${kept_as#./}" >&2
}

# put PATH: places the file of that path below $tree, which only root can change, under the same path below $top, owned
# by $owner.
put() {
  split "$1"
  enter "$directory" make || { echo "Cannot place $1: $passed/$part is in the way" >&2 && return 1; }
  [ "${swept-}" = "$PWD" ] || sweep
  [ ! -e "$name.deployer-new" ] && [ ! -L "$name.deployer-new" ] || rm -f -- "$name.deployer-new" 2>/dev/null || :
  same "${tree:?}/$1" "$name" && return
  new=./.deployer-new.$(nonce)
  why=$(replace "$tree/$1" 2>&1) || { echo "Cannot place $1: $why" >&2 && return 1; }
}

# sweep: removes what a killed run left in the current directory. A service may create any number of files with such
# names.
sweep() {
  swept=$PWD
  for old in ./.deployer-new.*; do
    if [ -e "$old" ] || [ -L "$old" ]; then timeout 2 find . -maxdepth 1 -name '.deployer-new.*' '(' ! -type d -o -empty ')' -delete 2>/dev/null || :; fi
    return
  done
}

# replace FILE: puts a copy of root's file under $name of the current directory. A service may create a directory there
# again and again. If mv can exchange two names (coreutils 9.5), the file takes its place atomically.
replace() {
  chown -h "${owner:?}" "$1" && cp -pT --remove-destination -- "$1" "$new" || return 1
  if [ ! -L "$name" ] && [ -d "$name" ]; then
    if mv --exchange -T -- "$new" "$name" 2>/dev/null; then
      clear_way "$new" "$name"
      return
    fi
    clear_way "$name" || return 1
  fi
  mv -fT -- "$new" "$name"
}

# present PATH: succeeds if anything has that path below $top.
present() {
  split "$1"
  enter "$directory" && { [ -e "$name" ] || [ -L "$name" ]; }
}

# make_directory USER:GROUP PATH: creates a directory below $top and gives it to its owner. An existing directory is not
# changed.
make_directory() {
  split "$2"
  enter "$directory" make || { echo "Cannot create $2: $passed/$part is in the way" >&2 && return 1; }
  # Only a new directory gets a new owner. A service may create it at the same moment.
  if [ ! -e "$name" ] && [ ! -L "$name" ] && (umask 022 && mkdir -- "$name"); then
    { walk "${name#./}" && chown "$1" .; } || { echo "Cannot create $2: it was replaced in the meantime" >&2 && return 1; }
  elif [ -L "$name" ] || [ ! -d "$name" ]; then
    [ ! -e "$name" ] && [ ! -L "$name" ] || echo "Cannot create $2: it is a link or a file on the host" >&2
    return 1
  fi
}

# discard PATH: removes a file below $top, and the directories that are empty without it. Nothing below a link is
# removed.
discard() {
  split "$1"
  enter "$directory" || return 0
  if [ ! -L "$name" ] && [ -d "$name" ]; then
    rmdir -- "$name" 2>/dev/null || :
  else
    rm -f -- "$name"
  fi
  # The name under which former versions placed the file. A service may have created a directory with that name.
  rm -f -- "$name.deployer-new" 2>/dev/null || :
  while [ "$directory" != . ]; do
    split "$directory"
    enter "$directory" && rmdir -- "$name" 2>/dev/null || return 0
  done
}

# describe: reads lines `SIZES PATH`, sorted by path, of paths below $top. Prints what has these paths, as records that
# end with NUL: `in NUMBER DIRECTORY` begins a directory. Each name in it is `PERMISSIONS ./NAME` for a regular file, or
# `other MODE ./NAME` (hexadecimal, includes the file type). `SHA256 ./NUMBER/NAME` of each regular file follows later.
# A path that leads through something other than a directory is `through MODE PATH`. SIZES are the sizes that a file may
# have (`,5,9,`); a file of another size is `size ./NAME`. With `any`, every size up to $largest bytes is read. A path
# that was not read within $seconds is `late PATH`.
describe() {
  copies=$(mktemp -d /run/deployer.XXXXXX) || return 1
  # On a signal, such as that of timeout, dash runs the EXIT trap only if a trap for that signal exits.
  trap 'rm -rf "$copies"' EXIT
  trap 'exit 143' HUP INT PIPE TERM
  mkdir "$copies/files"
  number=0 kept=0 at='' there='' asked=''
  allow "${seconds:?}"
  set --
  while IFS= read -r line; do
    path=${line#* } sizes=${line%% *}
    split "$path"
    if [ "$directory" != "$at" ] || [ $# -ge 256 ]; then
      describe_names "$@"
      set --
      at=$directory there='' asked=''
      if in_time && enter "$at"; then
        there=yes number=$((number + 1))
        printf 'in %s %s\0' "$number" "$at"
      fi
    fi
    if [ -n "$there" ]; then
      set -- "$@" "./${path##*/}"
      asked="$asked$sizes "
    elif in_time; then
      describe_obstacle "$path"
    else
      printf 'late %s\0' "$path"
    fi
  done
  describe_names "$@"
  describe_copies
}

# allow SECONDS: starts the time limit that `in_time` checks.
allow() {
  read -r now _ </proc/uptime
  late='' deadline=$((${now%%.*} + $1))
}

# in_time: succeeds if there is time left, and sets $left to the number of seconds.
in_time() {
  [ -z "$late" ] || return 1
  read -r now _ </proc/uptime
  left=$((deadline - ${now%%.*}))
  [ "$left" -gt 0 ] || late=yes
  [ -z "$late" ]
}

# describe_names ./NAME...: describes names of the current directory, which has the number $number. $asked has the sizes
# of each.
describe_names() {
  [ $# != 0 ] || return 0
  if ! in_time; then
    for name; do printf 'late %s/%s\0' "$at" "${name#./}"; done
    return
  fi
  found=$(stat --printf '%f %a %s %n\n' -- "$@" 2>/dev/null) || :
  [ -n "$found" ] || return 0
  small=0
  while IFS= read -r line; do
    mode=${line%% *} line=${line#* }
    permissions=${line%% *} line=${line#* }
    size=${line%% *} line=${line#* }
    while [ "$1" != "$line" ]; do
      shift
      asked=${asked#* }
    done
    case $mode:${asked%% *} in
      8???:any | 8???:*",$size,"*) printf '%s %s\0' "$permissions" "$line" ;;
      8???:*) printf 'size %s\0' "$line" && continue ;;
      *) printf 'other %s %s\0' "$mode" "$line" && continue ;;
    esac
    if [ "${asked%% *}" = any ] && [ "$size" -gt "${largest:?}" ]; then continue; fi
    if [ "$size" -le 65536 ]; then
      printf '%s\0' "$line" >&3
      small=$((small + 1))
    elif in_time; then
      # shellcheck disable=SC2016 # for the other shell
      digest=$(timeout "$left" sh -c 'dd if="$1" iflag=nofollow,nonblock,fullblock bs=1048576 count="$2" status=none 2>/dev/null | sha256sum' \
        sh "$line" $((size / 1048576 + 1))) && printf '%s  ./%s/%s\0' "${digest%% *}" "$number" "${line#./}"
    fi
  done <<FOUND 3>"$copies/names"
$found
FOUND
  if [ "$small" = 0 ] || ! in_time; then return 0; fi
  # sha256sum follows links and waits for pipes. tar does neither, and checks the type of the opened file: it copies
  # small files to a directory of root's.
  tar -c --no-recursion --hard-dereference --numeric-owner --null -T "$copies/names" \
    --transform="flags=r;s|^[.]|./$number|" -f - 2>/dev/null |
    (ulimit -f 128 && exec tar -x --no-same-owner -C "$copies/files" -f - 2>/dev/null) || :
  kept=$((kept + small))
  [ "$kept" -lt 512 ] || describe_copies
}

# describe_copies: prints the digests of the copied files.
describe_copies() {
  kept=0
  [ "$number" = 0 ] || (cd "$copies/files" && find . -type f -exec sha256sum -z -- {} + && rm -rf ./*)
}

# describe_obstacle PATH: describes what blocks the way to the path's directory, unless that is missing. A failed
# `enter` sets $passed and $part.
describe_obstacle() {
  ! enter "${1%/*}" || return 0
  obstacle=$part
  enter "$passed" && mode=$(stat -c %f -- "./$obstacle" 2>/dev/null) || return 0
  case $mode in 4???) ;; *) printf 'through %s %s\0' "$mode" "$1" ;; esac
}

# show_files: reads paths below $top, one a line. Prints `SIZE PATH`, the content and a line break for each regular file
# of at most 64 KiB, within 20 seconds and up to 8 MiB in total.
show_files() {
  copies=$(mktemp -d /run/deployer.XXXXXX) || return 1
  trap 'rm -rf "$copies"' EXIT
  trap 'exit 143' HUP INT PIPE TERM
  room=8388608
  allow 20
  while in_time && IFS= read -r path; do
    split "$path"
    enter "$directory" || continue
    case $(stat -c %f -- "$name" 2>/dev/null) in 8???) ;; *) continue ;; esac
    regular "$name" | head -c 65537 >"$copies/content"
    size=$(stat -c %s "$copies/content")
    [ "$size" -le 65536 ] || continue
    room=$((room - size))
    [ "$room" -ge 0 ] || break
    printf '%s %s\n' "$size" "$path" && cat "$copies/content" && echo
  done
}

# in_release COMMAND...: runs a program that parses files as root, such as Docker Compose, in the current directory. The
# program sees no byte that a service could write. At the paths of the application's directory, $top and $app, it sees
# only the files of the release, from root's copy $tree. Other paths that services can write to, as `writable` lists
# them, and the paths of $more are empty. So are directories around the application's that other accounts can change:
# in these, an account can rename a directory together with what root mounted there. Exempt are the directories of the
# host's programs and of root's state: a service that can write there controls the host already. Only this program has
# this view: Docker mounts the real directories. Paths of a release begin at the application's directory. If that is
# missing and $owner names its future owner, it exists while the program runs.
in_release() {
  if [ -n "${top-}" ] || [ -z "${owner-}" ]; then
    view "$@"
    return
  fi
  (
    from=$PWD known=$(claimed_as "${app:?}")
    follow "${known:-$app}" "$known" || cannot_enter
    base=$PWD missing=${rest%/}
    # On a signal, dash runs the EXIT trap only if a trap for that signal exits.
    trap 'top=$base; [ -z "$missing" ] || { discard "$missing"; [ -d "$app" ] || note_inode none "$app"; } || :' EXIT
    trap 'exit 143' HUP INT TERM
    pin "$app" "$owner" || cannot_enter
    cd "$from" || exit
    view "$@"
  )
}

# view COMMAND...: runs a command in its own mount namespace.
view() {
  [ -d "${tree:?}" ] || { echo "Cannot run Docker Compose: $tree, where root keeps the release, does not exist. Release a change" >&2 && return 1; }
  unshare -m true 2>/dev/null || { echo "Cannot run Docker Compose: root cannot mount anything on this host, so Docker Compose would read files that services can change" >&2 && return 1; }
  # A container may end meanwhile, so this is tried twice.
  hidden=$(writable) || hidden=$(writable) || { echo "Cannot run Docker Compose: Docker does not report which directories services can write to" >&2 && return 1; }
  around=$(around_app)
  # shellcheck disable=SC2016 # for the other shell
  { printf '%s\n' "$hidden" "${more-}" "$around"; } | sort -u | unshare -m sh -euc '
    tree=$1 from=$2 top=$3 app=$4 state=$5 around=$6
    shift 6
    docker=$(readlink -f "$(command -v docker)") || :
    while IFS= read -r place; do
      case $place in "$app"/* | "${top:-$app}"/*) continue ;; /*) ;; *) continue ;; esac
      said=$place
      [ ! -d "$place" ] || place=$(cd -P -- "$place" && pwd)
      for needed in "$state" "$docker" /usr/bin /usr/lib /usr/lib64 /lib /lib64 /usr/libexec/docker /usr/local/lib/docker /root/.docker /etc/passwd /run/docker.sock /dev/null /proc; do
        case $needed in "$place" | "${place%/}"/*) continue 2 ;; esac
      done
      if [ -d "$place" ]; then
        mount -t tmpfs -o mode=0755 deployer "$place"
      elif [ -f "$place" ]; then
        mount --bind /dev/null "$place"
      else
        continue
      fi
      case "
$around
" in *"
$said
"*)
        echo "Docker Compose reads nothing in $place: other accounts can change it" >&2
        continue
        ;;
      esac
      # Volumes of Docker hold no files of a release, and there are many volumes.
      case $said in */volumes/*/_data) continue ;; esac
      by=$(grep -lxF -- "$said" "${state%/*}"/*/mounted 2>/dev/null | sed "s|/mounted\$||; s|.*/||" | paste -s -d " " -) || :
      echo "Docker Compose reads nothing in $place: services${by:+ of $by} can write to $place, or once could" >&2
    done
    for place in "$top" "$app"; do
      [ -n "$top" ] || continue
      [ -d "$place" ] || mkdir -p "$place"
      [ "$place" -ef "$tree" ] || mount --bind "$tree" "$place"
    done
    cd "$from"
    exec "$@" </dev/null' sh "${tree:?}" "$PWD" "${top-}" "${app:?}" "${state:?}" "$around" "$@"
}

# unlinked DIRECTORY: reads paths below a directory, one a line. Fails if one is a link or leads through a link. Links
# that lead to the directory itself are followed.
unlinked() (
  cd -P -- "$1" 2>/dev/null || exit 0
  top=$PWD
  while IFS= read -r path; do
    split "$path"
    if ! enter "$directory"; then
      name=./$part
      enter "$passed" && [ ! -L "$name" ] && continue
    elif [ ! -L "$name" ]; then
      continue
    fi
    echo "Cannot start the services: $1/$path is mounted, and ${PWD%/}/${name#./} is a link. If it is yours, mount its target instead. If not, remove it" >&2
    exit 1
  done
)
