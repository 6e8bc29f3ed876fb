//! Strict rendering of a set of templates. Does not escape inserted values, does not read a file or the environment,
//! and keeps secrets out of errors. Templates include and extend each other by name only within the set, so that no
//! file outside the application is included. Each rendering has limits.

mod bounds;

use crate::model::failure::{Failure, Location, Reason};
use crate::model::secret::Variable;
use bounds::Trouble;
use camino::Utf8Path;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;
use tera::{Context, ErrorKind, ReportError, Tera};

/// The ending of the name of a template.
pub const SUFFIX: &str = ".tera";

/// Returns true if a file of that name is a template.
pub fn is_name(name: &str) -> bool {
    name.len() > SUFFIX.len() && name.ends_with(SUFFIX)
}

/// The result of one template.
pub struct Rendered {
    /// The text; `None` if a value that it needs is not known.
    pub text: Option<String>,
    /// True if a secret variable may have affected the text.
    pub secret: bool,
}

/// Renders every template of `sources` (name → text). The templates may include and extend each other by name;
/// `directory` is used only for the paths in errors.
///
/// A template is secret if it names a secret variable, even in a branch that is not taken, or if its output changes
/// with a secret variable in any other way.
///
/// # Errors
/// Every template that does not parse, otherwise every one that does not render.
pub fn render(
    directory: &Utf8Path,
    sources: &BTreeMap<String, String>,
    values: &BTreeMap<String, Variable>,
) -> Result<BTreeMap<String, Rendered>, Vec<Failure>> {
    let set = Set::parse(Origin { directory, sources, variables: VARIABLES })?;
    let mut rendered = BTreeMap::new();
    let mut failures = Vec::new();
    let mut total = 0;
    for name in sources.keys() {
        match set.render(name, values) {
            Ok(one) => {
                total += one.text.as_ref().map_or(0, String::len);
                rendered.insert(name.clone(), one);
            }
            Err(failure) => failures.push(failure),
        }
        if total > bounds::TOTAL {
            let message = format!("The templates of {directory} produce more than {} MiB", bounds::TOTAL >> 20);
            failures.push(Failure::new(Reason::TemplateInvalid, message).hint(SIMPLER));
        }
        if total > bounds::TOTAL || set.until <= Instant::now() {
            break;
        }
    }
    if failures.is_empty() { Ok(rendered) } else { Err(failures) }
}

/// Parses templates that are rendered with a view that holds no secret.
///
/// # Errors
/// Every template that does not parse.
pub fn parse<'a>(directory: &'a Utf8Path, sources: &'a BTreeMap<String, String>) -> Result<Set<'a>, Vec<Failure>> {
    Set::parse(Origin { directory, sources, variables: VIEW })
}

/// Returns text as a string of YAML or JSON in which Compose finds no variable.
fn quote(text: &str, _: tera::Kwargs, _: &tera::State<'_>) -> String {
    serde_json::json!(text).to_string().replace('$', "$$")
}

/// The source of templates, for messages about them.
#[derive(Clone, Copy)]
struct Origin<'a> {
    directory: &'a Utf8Path,
    sources: &'a BTreeMap<String, String>,
    /// A sentence about the place where the names in the templates are defined.
    variables: &'static str,
}

const VARIABLES: &str = "Variables are defined in the manifest: application.compose.variables";
const VIEW: &str = "Templates see the application's section of the manifest";

/// The most bytes that the engine may read for errors: it reads a template's whole text for each tag that names
/// something unknown.
const READ: usize = 1 << 30;
/// The most bytes that the engine may copy for errors: it copies that text for each unknown template or component.
const COPIED: usize = 64 << 20;

/// The most templates that include or extend others. The engine has no limit for the depth of templates in templates,
/// so the stack of a rendering is large enough for all of them: see [`bounds::STACK`].
const CALLERS: usize = 100;

/// Returns the tags of a text.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.split("{%").skip(1).chain(text.split("{{").skip(1))
}

/// Returns true if a tag names another template or a component.
fn is_call(tag: &&str) -> bool {
    let words = tag.trim_start_matches(['-', ' ', '\t', '\r', '\n']);
    ["<", "include", "import", "extends"].iter().any(|call| words.starts_with(call))
}

/// Returns true if a text has so many tags that errors about them would take excessive time or memory for its size.
fn is_too_much(text: &str) -> bool {
    let beyond = |count: usize, most: usize| count.saturating_mul(text.len()) > most;
    beyond(tags(text).count(), READ) || beyond(tags(text).filter(is_call).count(), COPIED)
}

/// Parsed templates.
pub struct Set<'a> {
    origin: Origin<'a>,
    tera: Arc<Tera>,
    /// The end of the time for all renderings.
    until: Instant,
}

impl<'a> Set<'a> {
    fn parse(origin: Origin<'a>) -> Result<Self, Vec<Failure>> {
        if let Some((name, _)) = origin.sources.iter().find(|(_, text)| is_too_much(text)) {
            let message = format!("{} has too many tags for its size", origin.directory.join(name));
            return Err(vec![Failure::new(Reason::TemplateInvalid, message).hint("Split it into several templates")]);
        }
        if origin.sources.values().filter(|text| tags(text).any(|tag| is_call(&tag))).count() > CALLERS {
            let message = format!("More than {CALLERS} templates of {} include or extend others", origin.directory);
            return Err(vec![
                Failure::new(Reason::TemplateInvalid, message).hint("Put their parts into fewer templates"),
            ]);
        }
        let mut tera = Tera::new();
        tera.autoescape_on(Vec::<&str>::new());
        tera.register_filter("quote", quote);
        let Err(error) = tera.add_raw_templates(origin.sources) else {
            return Ok(Self { origin, tera: Arc::new(tera), until: Instant::now() + bounds::LIMIT });
        };
        // Each template is parsed alone, so that every template with a syntax error is named. Errors that only the
        // whole set shows (a missing parent, an unknown filter) are in the first error.
        let syntax: Vec<Failure> = (origin.sources.iter())
            .filter_map(|(name, text)| Tera::new().add_raw_template(name, text).err())
            .filter(|error| matches!(error.kind(), ErrorKind::SyntaxError(_)))
            .map(|error| failure(origin, &error))
            .collect();
        Err(if syntax.is_empty() { vec![failure(origin, &error)] } else { syntax })
    }
}

impl Set<'_> {
    /// Renders the templates that `chosen` selects, with a view that holds no secret.
    ///
    /// # Errors
    /// Every template that does not render.
    pub fn view(
        &self,
        view: &impl serde::Serialize,
        chosen: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, String>, Vec<Failure>> {
        let context = Context::from_serialize(view).map_err(|error| vec![self.failure(&error)])?;
        let (mut rendered, mut failures) = (BTreeMap::new(), Vec::new());
        for name in self.origin.sources.keys().filter(|name| chosen(name)) {
            match self.bounded(name, context.clone()) {
                Ok(text) => _ = rendered.insert(name.clone(), text),
                Err(trouble) => failures.push(self.trouble(name, &trouble)),
            }
        }
        if failures.is_empty() { Ok(rendered) } else { Err(failures) }
    }

    fn render(&self, name: &str, values: &BTreeMap<String, Variable>) -> Result<Rendered, Failure> {
        let named = self.tera.get_template_variables(name).map_err(|error| self.failure(&error))?;
        let real = match self.bounded(name, context(values, "1", |_| false)) {
            Err(trouble @ Trouble::Beyond(_)) => return Err(self.trouble(name, &trouble)),
            Err(Trouble::Engine(error)) => Err(error),
            Ok(text) => Ok(text),
        };
        let hidden = |part| self.bounded(name, context(values, STAND_IN, part)).ok();
        let uses = |part: fn(&Variable) -> bool| {
            let mut of_part = values.iter().filter(|(_, variable)| part(variable)).peekable();
            of_part.peek().is_some()
                && (of_part.any(|(name, _)| named.contains(name.as_str()))
                    || hidden(part).as_ref() != real.as_ref().ok())
        };
        let secret = uses(|variable| variable.secret);
        let unknown = uses(|variable| variable.value.is_none());
        match real {
            Ok(text) => Ok(Rendered { text: (!unknown).then_some(text), secret }),
            // With a stand-in for a value, only a name that is not defined is certainly wrong.
            Err(_) if unknown && named.iter().all(|name| values.contains_key(*name)) => {
                Ok(Rendered { text: None, secret })
            }
            Err(error) if secret => Err(self.harmless(name, &error, values)),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Returns the failure of a template that uses secrets. The engine's message may quote a value, so the template is
    /// rendered again without the secrets.
    fn harmless(&self, name: &str, error: &tera::Error, values: &BTreeMap<String, Variable>) -> Failure {
        if let Err(other) = self.bounded(name, context(values, STAND_IN, |variable| variable.secret)) {
            return self.trouble(name, &other);
        }
        let message = format!("{} does not render with the values of its secrets", self.origin.directory.join(name));
        let failure = Failure::new(Reason::TemplateInvalid, message).hint("Check how the template uses its secrets");
        match report(error) {
            Some(report) => failure.at(location(self.origin, report)),
            None => failure,
        }
    }

    fn failure(&self, error: &tera::Error) -> Failure {
        failure(self.origin, error)
    }

    fn bounded(&self, name: &str, context: Context) -> Result<String, Trouble> {
        bounds::render(&self.tera, name, context, self.until)
    }

    fn trouble(&self, name: &str, trouble: &Trouble) -> Failure {
        match trouble {
            Trouble::Engine(error) => self.failure(error),
            Trouble::Beyond(why) => {
                let message = format!("{} does not render: {why}", self.origin.directory.join(name));
                Failure::new(Reason::TemplateInvalid, message).hint(SIMPLER)
            }
        }
    }
}

const STAND_IN: &str = "placeholder";
/// The hint about a template that exceeds a limit.
const SIMPLER: &str = "Make the template simpler, or send the file as it is";

/// Returns the variables, with a stand-in for every value that is hidden or not known.
fn context(values: &BTreeMap<String, Variable>, stand_in: &str, hide: fn(&Variable) -> bool) -> Context {
    let mut context = Context::new();
    for (name, variable) in values {
        let value = variable.value.as_ref().filter(|_| !hide(variable));
        context.insert(name.clone(), value.map_or(stand_in, |value| value.expose_secret()));
    }
    context
}

fn report(error: &tera::Error) -> Option<&ReportError> {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => Some(report),
        _ => error.source().and_then(|source| source.downcast_ref()).and_then(report),
    }
}

fn failure(origin: Origin<'_>, error: &tera::Error) -> Failure {
    let Some(report) = report(error) else {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").trim_end_matches('.');
        let message = format!("The templates of {} conflict: {}", origin.directory, uncapital(first));
        let failure = Failure::new(Reason::TemplateInvalid, message).hint(LANGUAGE);
        // Several errors come as one text, formatted by the engine.
        return if text.contains('\n') { failure.details(text) } else { failure };
    };
    let file = origin.directory.join(report.filename());
    let (message, others) = match report.message().split_once(" is not defined.") {
        Some((name, others)) => (format!("{name} is not defined"), Some(others.trim())),
        None => (report.message().trim_end_matches('.').to_owned(), None),
    };
    let failure = Failure::new(Reason::TemplateInvalid, format!("{file} does not render: {}", uncapital(&message)))
        .at(location(origin, report));
    let undefined = origin.variables;
    match others {
        Some(others) if !others.is_empty() => failure.hint(format!("{undefined}. {}", others.trim_end_matches('.'))),
        _ if message.ends_with(" is not defined") => failure.hint(undefined),
        _ => failure.hint(LANGUAGE),
    }
}

const LANGUAGE: &str = "Templates are written in Tera: https://keats.github.io/tera/docs/";

fn uncapital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

fn location(origin: Origin<'_>, report: &ReportError) -> Location {
    let span = report.span();
    let source = origin.sources.get(report.filename());
    let whole = source.is_some_and(|text| text.get(span.range.clone()).is_some());
    Location {
        file: origin.directory.join(report.filename()).into_string(),
        line: span.start_line,
        column: span.start_col + 1,
        span: whole.then(|| span.range.clone()),
        source: source.map(|text| text.as_str().into()),
    }
}

#[cfg(test)]
mod tests;
