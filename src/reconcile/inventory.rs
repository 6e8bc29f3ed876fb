//! `deployer inventory`: prints the hosts as an Ansible inventory. Prints no secret, and contacts no host.

use crate::manifest::environment::{Environment, Identity};
use crate::model::ending::Ending;
use crate::model::event::{Event, Outcome};
use crate::model::failure::{Failure, Reason};
use crate::model::shell::quote;
use crate::reconcile::context::Context;
use crate::reconcile::pass::{Keep, Pass, refuse};
use crate::reconcile::session::Sessions;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// A form of Ansible's inventories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// YAML.
    Yaml,
    /// INI.
    Ini,
    /// JSON, as inventory scripts print it.
    Json,
}

/// Prints the inventory. Failures are already printed.
pub async fn run(context: &Context, names: &[String], form: Form) -> Ending {
    inventory(context, names, form).await.unwrap_or_else(|failures| refuse(context, &failures))
}

async fn inventory(context: &Context, names: &[String], form: Form) -> Result<Ending, Vec<Failure>> {
    let pass = Pass::open(context, Keep::Never).await?;
    let environments = pass.select(names, false)?;
    // Ansible allows no dashes in the name of a group.
    let group = pass.manifest.project.as_str().replace('-', "_");
    let hosts: Vec<(String, Map<String, Value>)> =
        environments.iter().map(|environment| (environment.name.to_string(), variables(environment))).collect();
    let failures: Vec<Failure> =
        hosts.iter().flat_map(|(name, all)| all.iter().filter_map(|value| unsafe_value(name, value))).collect();
    if !failures.is_empty() {
        return Err(failures);
    }
    let text = match form {
        Form::Yaml => yaml(&group, hosts).map_err(|failure| vec![failure])?,
        Form::Ini => ini(&group, &hosts),
        Form::Json => json(&group, hosts),
    };
    context.say(Event::Output(text));
    Ok(pass.close(Sessions::new(), Outcome::Ok).await)
}

/// Returns the variables that Ansible needs to reach a host. The rest comes from the user's ssh configuration, as for
/// deployer.
fn variables(environment: &Environment) -> Map<String, Value> {
    let ssh = &environment.ssh;
    let mut all = Map::from_iter([("ansible_host".to_owned(), json!(environment.address))]);
    let mut set = |name: &str, value: Option<Value>| all.extend(value.map(|value| (name.to_owned(), value)));
    set("ansible_port", ssh.port.map(|port| json!(port)));
    set("ansible_user", ssh.user.as_ref().map(|user| json!(user)));
    if let Some(Identity::File(path)) = &ssh.identity {
        set("ansible_ssh_private_key_file", Some(json!(path)));
    }
    set("ansible_ssh_common_args", ssh.jump.as_ref().map(|jump| json!(format!("-J {jump}"))));
    all
}

/// Refuses a value that Ansible would evaluate as a template, which no format of an inventory can escape, and a value
/// with a line break, which the format INI cannot.
fn unsafe_value(environment: &str, (variable, value): (&String, &Value)) -> Option<Failure> {
    let text = value.as_str()?;
    let mark = ["{{", "{%", "{#"].into_iter().find(|mark| text.contains(mark));
    let why = match mark {
        Some(mark) => format!("which Ansible evaluates as a template because it contains {mark}"),
        None if text.contains(char::is_control) => "which contains control characters".to_owned(),
        None => return None,
    };
    let message = format!("{variable} would be {text:?}, {why}");
    let hint = "Rename the file or its directory, and change its path in the manifest";
    Some(Failure::new(Reason::Usage, message).hint(hint).on(environment))
}

fn yaml(group: &str, hosts: Vec<(String, Map<String, Value>)>) -> Result<String, Failure> {
    let hosts: Map<String, Value> = hosts.into_iter().map(|(name, all)| (name, Value::Object(all))).collect();
    let tree = json!({ "all": { "children": { group: { "hosts": hosts } } } });
    serde_saphyr::to_string(&tree)
        .map_err(|error| Failure::new(Reason::CommandFailed, "The inventory cannot be written").because(error))
}

fn ini(group: &str, hosts: &[(String, Map<String, Value>)]) -> String {
    let mut text = format!("[{group}]\n");
    for (name, variables) in hosts {
        let words = variables.iter().map(|(key, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!(" {key}={}", quote(&value))
        });
        let _ = writeln!(text, "{name}{}", words.collect::<String>());
    }
    text
}

fn json(group: &str, hosts: Vec<(String, Map<String, Value>)>) -> String {
    let names: Vec<String> = hosts.iter().map(|(name, _)| name.clone()).collect();
    let variables: Map<String, Value> = hosts.into_iter().map(|(name, all)| (name, Value::Object(all))).collect();
    let tree = json!({
        "_meta": { "hostvars": variables },
        "all": { "children": [group] },
        group: { "hosts": names },
    });
    format!("{tree:#}\n")
}
