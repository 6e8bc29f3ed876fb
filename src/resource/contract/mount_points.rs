//! The host's list `mount-points` of what the services of the converged release mount: lines with the mount point of the
//! file system, a tab and the path.

/// Shell function that prints which paths of the list are missing: `gone PATH`, or `unmounted MOUNT_POINT`, a tab and
/// `PATH`.
pub const MISSING: &str = r#"missing_data() {
  [ -e "$state/mount-points" ] || return 0
  tab=$(printf '\t')
  while IFS=$tab read -r point path; do
    if [ "$point" != / ] && [ "$(stat -c %m -- "$point" 2>/dev/null)" != "$point" ]; then printf 'unmounted %s\t%s\n' "$point" "$path"
    elif [ -n "$path" ] && [ ! -e "$path" ]; then printf 'gone %s\n' "$path"; fi
  done <"$state/mount-points"
}
"#;
