//! Builds OpenTofu's root module for a machine of the manifest: templates, values, and secrets separate from them.
//! Pure, except that it reads the user's own templates.

use super::cloud_init;
use super::keys::Keys;
use crate::manifest::below;
use crate::manifest::environment::Environment;
use crate::manifest::provision::{Login, Machine, Module, ModuleSource, Provision};
use crate::manifest::scope::Scope;
use crate::model::failure::{Failure, Reason};
use crate::release::invalid;
use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

macro_rules! templates {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../../templates/tofu/", $name)))),*] };
}

/// The templates that are embedded in the program.
const EMBEDDED: &[(&str, &str)] = templates! {
    "lxd/main.tf" "lxd/kept_override.tf" "hetzner/main.tf" "hetzner/kept_override.tf" "hetzner/find/main.tf"
};

/// The largest size of one file of a module (bytes).
const LARGEST: u64 = 16 << 20;

/// The file that keeps a machine as it was created, with the user and the keys of that day.
pub const KEPT: &str = "kept_override.tf";

/// The inputs of OpenTofu.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The root module, file by file. Contains no secret.
    pub files: BTreeMap<String, String>,
    /// Environment variables of the OpenTofu process.
    pub variables: BTreeMap<String, SecretString>,
    /// True if deployer made the machine's host key.
    pub our_host_key: bool,
}

/// The keys that may log in, and the resolved secrets of the manifest.
pub struct Surroundings<'a> {
    /// The public keys of the SSH user, `TYPE BASE64`.
    pub authorized: &'a str,
    /// The machine's host key.
    pub keys: &'a Keys,
    /// The values of the section's secrets, by name.
    pub secrets: &'a BTreeMap<String, SecretString>,
    /// The absolute path of the root module. The directory of a module is given relative to it.
    pub directory: &'a Utf8Path,
}

/// Returns the root module of a provisioned environment.
///
/// # Errors
/// `ApplicationInvalid` if a template of the user's own cannot be read.
pub fn of(environment: &Environment, provision: &Provision, around: &Surroundings<'_>) -> Result<Inputs, Failure> {
    let user_data = cloud_init::text(provision, around.authorized, around.keys);
    let mut inputs = match &provision.machine {
        Machine::Module(module) => of_module(environment, module, provision, around, &user_data)?,
        Machine::Lxd(lxd) => of_template(environment, provision, &json!(lxd), user_data)?,
        Machine::Hetzner(hetzner) => {
            let mut inputs = of_template(environment, provision, &json!(hetzner), user_data)?;
            let token = around.secrets.get("token").cloned();
            inputs.variables.extend(token.map(|token| ("HCLOUD_TOKEN".to_owned(), token)));
            inputs
        }
    };
    if let Some((name, settings)) = &provision.backend {
        let block = json!({ "terraform": { "backend": { name.as_str(): literal(&json!(settings)) } } });
        inputs.files.insert("backend.tf.json".to_owned(), pretty(&block));
    }
    Ok(inputs)
}

/// Returns the root module that searches for what a killed run left behind, or `None` if the machine's name is enough
/// to find it.
///
/// # Errors
/// As [`of`].
pub fn of_search(environment: &Environment, provision: &Provision, inputs: &Inputs) -> Result<Option<Inputs>, Failure> {
    let mut files = templates(&format!("{}/find", provision.machine.name()), provision)?;
    if files.is_empty() {
        return Ok(None);
    }
    files.insert("terraform.tfvars.json".to_owned(), pretty(&json!({ "labels": labels(environment) })));
    let variables = inputs.variables.iter().filter(|(name, _)| !name.starts_with("TF_VAR_"));
    let variables = variables.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Some(Inputs { files, variables, our_host_key: false }))
}

/// Returns the labels that mark deployer's machines.
#[must_use]
pub fn labels(environment: &Environment) -> BTreeMap<String, String> {
    let name = environment.renamed_from.as_ref().unwrap_or(&environment.name);
    [("deployer-project", environment.project.to_string()), ("deployer-environment", name.to_string())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

fn of_template(
    environment: &Environment,
    provision: &Provision,
    section: &Value,
    user_data: SecretString,
) -> Result<Inputs, Failure> {
    let mut files = templates(provision.machine.name(), provision)?;
    let mut values = section.as_object().cloned().unwrap_or_default();
    let mut all = labels(environment);
    let own = values.get("labels").and_then(|own| serde_json::from_value::<BTreeMap<_, _>>(own.clone()).ok());
    all.extend(own.unwrap_or_default());
    values.insert("name".to_owned(), json!(environment.identity()));
    values.insert("labels".to_owned(), json!(all));
    files.insert("terraform.tfvars.json".to_owned(), pretty(&Value::Object(values)));
    let variables = BTreeMap::from([("TF_VAR_cloud_init".to_owned(), user_data)]);
    Ok(Inputs { files, variables, our_host_key: true })
}

/// Returns a root module that calls the user's module and passes the values for which that module declares a variable.
fn of_module(
    environment: &Environment,
    module: &Module,
    provision: &Provision,
    around: &Surroundings<'_>,
    user_data: &SecretString,
) -> Result<Inputs, Failure> {
    let (source, version, declared) = match &module.source {
        ModuleSource::Directory(path) => (from(path, around.directory), None, declared(path, &provision.scope)?),
        ModuleSource::Address(address, version) => (address.clone(), version.clone(), BTreeSet::new()),
    };
    let mut call = Map::from_iter([("source".to_owned(), literal(&json!(source)))]);
    call.extend(version.map(|version| ("version".to_owned(), literal(&json!(version)))));
    let mut declarations = Map::from_iter([("variables".to_owned(), json!({ "type": "any" }))]);
    let mut values = Map::from_iter([("variables".to_owned(), json!(module.variables))]);
    let mut variables = BTreeMap::new();
    for name in module.variables.keys() {
        call.insert(name.clone(), json!(format!("${{var.variables[\"{name}\"]}}")));
    }
    let mut secret = |argument: &str, name: String, value: SecretString| {
        call.insert(argument.to_owned(), json!(format!("${{var.{name}}}")));
        declarations.insert(name.clone(), json!({ "type": "string", "sensitive": true }));
        variables.insert(format!("TF_VAR_{name}"), value);
    };
    for name in module.secrets.keys() {
        secret(name, format!("secret_{name}"), around.secrets.get(name).cloned().unwrap_or_default());
    }
    let ours = [("deployer_cloud_init", user_data), ("deployer_host_key", &around.keys.private)];
    for (name, value) in ours.into_iter().filter(|(name, _)| declared.contains(*name)) {
        secret(name, name.to_owned(), value.clone());
    }
    if declared.contains("deployer") {
        call.insert("deployer".to_owned(), json!("${var.deployer}"));
        declarations.insert("deployer".to_owned(), json!({ "type": "any" }));
        values.insert("deployer".to_owned(), about(environment, &provision.login, around));
    }
    // An output that the module lacks is null, not an error.
    let output = |name: &str| json!({ "value": format!("${{try(module.machine.{name}, null)}}") });
    let outputs = json!({
        "address": { "value": format!("${{module.machine.{}}}", module.outputs.address) },
        "port": output(&module.outputs.port), "user": output(&module.outputs.user),
        "host_key": output(&module.outputs.host_key),
    });
    let main = json!({ "module": { "machine": call }, "variable": declarations, "output": outputs });
    let files = BTreeMap::from([
        ("main.tf.json".to_owned(), pretty(&main)),
        ("terraform.tfvars.json".to_owned(), pretty(&Value::Object(values))),
    ]);
    let our_host_key = declared.contains("deployer_cloud_init") || declared.contains("deployer_host_key");
    Ok(Inputs { files, variables, our_host_key })
}

/// Returns the value of the variable `deployer` for a module that declares it. Contains no secret.
fn about(environment: &Environment, login: &Login, around: &Surroundings<'_>) -> Value {
    json!({
        "name": environment.identity(), "labels": labels(environment),
        "user": login.user, "port": login.port.unwrap_or(22),
        "authorized_keys": around.authorized.lines().collect::<Vec<_>>(), "host_key": around.keys.public,
    })
}

/// Returns those of deployer's variables that the module in `directory` declares.
fn declared(directory: &Utf8Path, scope: &Scope) -> Result<BTreeSet<&'static str>, Failure> {
    const OURS: [&str; 3] = ["deployer", "deployer_cloud_init", "deployer_host_key"];
    let text: String = read(directory, false, scope)?.into_values().map(|content| content + "\n").collect();
    let declares = |name: &&str| {
        let block = |line: &str| {
            let rest = line.trim_start().strip_prefix("variable").map(str::trim_start);
            rest.and_then(|rest| rest.strip_prefix('"')?.strip_prefix(*name)).is_some_and(|rest| rest.starts_with('"'))
        };
        text.lines().any(block) || text.contains(&format!("\"{name}\": {{"))
    };
    Ok(OURS.into_iter().filter(declares).collect())
}

/// Returns the files of one template. The user's own files replace the embedded ones.
fn templates(folder: &str, provision: &Provision) -> Result<BTreeMap<String, String>, Failure> {
    let of = |(name, text): &(&str, &str)| {
        let file = name.strip_prefix(folder)?.strip_prefix('/')?;
        (!file.contains('/')).then(|| (file.to_owned(), (*text).to_owned()))
    };
    let mut files: BTreeMap<String, String> = EMBEDDED.iter().filter_map(of).collect();
    files.extend(read(&provision.templates.join(folder), true, &provision.scope)?);
    Ok(files)
}

/// Reads the text files of a directory. Returns none if the directory is optional and does not exist.
fn read(directory: &Utf8Path, optional: bool, scope: &Scope) -> Result<BTreeMap<String, String>, Failure> {
    let unreadable = |path: &Utf8Path, error: std::io::Error| invalid(format!("{path} cannot be read")).because(error);
    let entries = match directory.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(directory, error)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, error))?.into_path();
        let name = path.file_name().unwrap_or_default();
        let theirs = path.extension().is_some_and(|end| ["tf", "tofu", "json", "tfvars"].contains(&end));
        if theirs && path.is_file() && !name.starts_with('.') {
            if let Some(refusal) = scope.refuse(&path) {
                return Err(refusal.failure(Reason::ApplicationInvalid, &path));
            }
            let text = below::text(&path, LARGEST).map_err(|error| unreadable(&path, error))?;
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}

/// Returns the relative path from one absolute directory to another, in the form that OpenTofu takes.
fn from(target: &Utf8Path, directory: &Utf8Path) -> String {
    let common = target.components().zip(directory.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(common).map(|_| "..");
    let down = target.components().skip(common).map(|component| component.as_str());
    let way: Utf8PathBuf = up.chain(down).collect();
    if way.as_str().starts_with("..") { way.into_string() } else { format!("./{way}") }
}

/// Escapes text that would start an expression: OpenTofu reads each string of a `.tf.json` file as a template.
///
/// Source: OpenTofu's JSON configuration syntax, "Expression mapping".
fn literal(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace("${", "$${").replace("%{", "%%{").into(),
        Value::Array(all) => all.iter().map(literal).collect(),
        Value::Object(all) => {
            all.iter().map(|(key, value)| (key.clone(), literal(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
