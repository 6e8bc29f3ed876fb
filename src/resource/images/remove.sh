# shellcheck shell=sh
# remove_images: reads images, one a line, removes those that nothing else on the host needs, and prints those that
# another environment needs. Docker itself refuses to remove the image of a container. A release that was not started
# yet, or one to roll back to, needs its image without having a container.
remove_images() {
  while IFS= read -r image; do
    if others_need "$image"; then
      printf '%s\n' "$image"
    else
      docker image rm -- "$image" >/dev/null 2>&1 </dev/null || true
    fi
  done
}

# brought_names: prints the names under which deployer brought images, except those that refer to another image now, such
# as one that the owner built.
brought_names() {
  sort -u "${state:?}/images" 2>/dev/null | while IFS= read -r name; do
    id=$(docker image inspect -f '{{.Id}}' -- "$name" 2>/dev/null </dev/null) || continue
    ! grep -qxF -- "$id" "$state/brought" || printf '%s\n' "$name"
  done
}

# others_need IMAGE: succeeds if another environment's records contain the image's id or one of its names. A release is
# recorded with the names in its Compose files before its images arrive, and with their ids once it ran.
others_need() {
  names=$(docker image inspect -f '{{.Id}}{{range .RepoTags}} {{.}}{{end}}{{range .RepoDigests}} {{.}}{{end}}' \
    -- "$1" 2>/dev/null </dev/null) || return 1
  set --
  for other in /var/lib/deployer/*/; do
    [ "$other" = "${state:?}/" ] || set -- "$@" "$other"brought "$other"current.json "$other"releases/*/*.json
  done
  [ $# != 0 ] || return 1
  for name in $names; do
    for prefix in '' docker.io/ docker.io/library/; do
      printf '"image":"%s"\n"image": "%s"\n' "$prefix$name" "$prefix$name" "$prefix${name%:latest}" "$prefix${name%:latest}"
    done
    case $name in sha256:*) printf '%s\n' "$name" ;; esac
  done | grep -qsF -f - -- "$@"
}
