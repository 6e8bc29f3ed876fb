//! Shell for work as root below a directory that services and other users may change. The shell follows no link in any
//! component and opens only regular files, and nothing there can block root.

use crate::model::shell::guarded;

/// Functions of `guard.sh`, which the rest of this module calls, and of `claimed.sh` and `writable.sh`, which it needs.
pub const FUNCTIONS: &str = guarded::GUARD;

/// Shell that enters the application's directory `$app`, or ends the script if that fails.
pub const PIN: &str = r#"pin "$app" || cannot_enter
"#;

/// Returns shell that enters `$app`. If `$app` is missing, the shell creates it for this user and group and sets
/// `$lost` to a non-empty text.
#[must_use]
pub fn claim((user, group): (u32, u32)) -> String {
    format!("[ -d \"$app\" ] && lost= || lost=yes\npin \"$app\" {user}:{group} || cannot_enter\n")
}
