//! Small files of ours on a host. A write either replaces the whole file or changes nothing, and it works even on a
//! full disk.

/// Bytes that each environment reserves on its host for small files of ours on a full disk.
pub const RESERVED: usize = 64 << 10;

/// Shell function `write_whole FILE FORMAT TEXT [MODE]`. Afterwards, FILE contains the output of `printf FORMAT TEXT`.
/// If that fails, FILE keeps its previous content, and the function fails with the system's own message. The function
/// writes next to FILE, syncs, reads back and renames. If the write fails at first, the function frees the
/// environment's reserve and tries once more. `$flush` replaces `sync` for files that need not survive a power cut.
/// FILE must be in a directory that only root can write to.
pub const WRITE_WHOLE: &str = r#"write_new() {
  printf "$2" "$3" | cat > "$1.new" && "${flush:-sync}" "$1.new" || return 1
  [ "$(cat "$1.new" && echo .)" = "$(printf "$2" "$3" && echo .)" ] ||
    { echo "$1.new does not read back as it was written" >&2; return 1; }
}
write_whole() {
  if write_new "$@" 2>/dev/null || { rm -f "$state/reserve"; write_new "$@"; }; then
    [ -z "${4:-}" ] || chmod "$4" "$1.new" && mv -f "$1.new" "$1" && return
  fi
  rm -f "$1.new"
  return 1
}
"#;

/// Shell that fills the reserve of an environment that has claimed the host, as far as space permits, and removes the
/// reserve from a host that is no longer claimed.
pub(super) const RESERVE: &str = r#"if [ ! -s "$state/key" ]; then
  rm -f "$state/reserve"
elif [ "$({ wc -c < "$state/reserve"; } 2>/dev/null || echo 0)" -lt 65536 ]; then
  { head -c 65536 /dev/urandom > "$state/reserve"; } 2>/dev/null || :
fi
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::disk::ALTERED;

    #[test]
    fn the_texts_say_what_the_constants_say() {
        assert!(WRITE_WHOLE.contains(ALTERED));
        assert_eq!(RESERVE.matches(&RESERVED.to_string()).count(), 2);
    }
}
