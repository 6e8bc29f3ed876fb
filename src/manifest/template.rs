//! The manifest that `deployer init` writes to start from. Never holds anything that `deployer check`
//! would refuse, once there is an application beside it.

/// The commented manifest of `project`, which must be a valid name.
pub fn template(project: &str) -> String {
    include_str!("../../templates/deployment.yaml").replacen("project: PROJECT", &format!("project: {project}"), 1)
}
