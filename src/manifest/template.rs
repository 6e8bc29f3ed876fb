//! The manifest that `deployer init` writes. The manifest passes `deployer check` once an application exists next to
//! it.

/// Returns the commented manifest of `project`, which must be a valid name.
pub fn template(project: &str) -> String {
    include_str!("../../templates/deployment.yaml").replacen("project: PROJECT", &format!("project: {project}"), 1)
}
