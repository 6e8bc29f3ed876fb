//! Shell for work as root below a directory that services and other users may change: no link is followed in any
//! component, only regular files are opened, and nothing there can make root wait.

/// The functions of `guard.sh`, which the rest of this module calls.
pub const FUNCTIONS: &str = include_str!("guard.sh");

/// Shell that enters the application's directory `$app`; a script that cannot do so ends.
pub const PIN: &str = r#"pin "$app" || cannot_enter
"#;

/// Shell that enters `$app`, which it creates for this user and group where it is missing; `$lost` is not empty then.
#[must_use]
pub fn claim((user, group): (u32, u32)) -> String {
    format!("[ -d \"$app\" ] && lost= || lost=yes\npin \"$app\" {user}:{group} || cannot_enter\n")
}
