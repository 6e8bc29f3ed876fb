# shellcheck shell=sh
# remove_images: reads images, one a line, and removes those that nothing else on the host needs; prints those that stay.
# Docker itself refuses while a container has the image. Another environment may need it without one: its release waits to
# be started, or it may go back to an earlier release.
remove_images() {
  while IFS= read -r image; do
    if others_need "$image"; then
      printf '%s\n' "$image"
    else
      docker image rm -- "$image" >/dev/null 2>&1 </dev/null || true
    fi
  done
}

# others_need IMAGE: whether another environment's records name the image by its id or by one of its names. A release is
# recorded before its images are brought, with the names that its Compose files use; its id is noted once it ran.
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
