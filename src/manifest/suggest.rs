//! Finds the nearest known name for a typo. Suggests nothing if no name is near.

/// The longest name that is compared (bytes), and the most known names. Nobody mistypes longer ones, and a comparison
/// takes time in proportion to both lengths.
const LONGEST: usize = 100;
const MOST: usize = 1000;

/// Returns the known name nearest to `typed`, if one is near enough.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > LONGEST {
        return None;
    }
    let lower = typed.to_lowercase();
    let allowed = 1 + typed.chars().count() / 4;
    known
        .into_iter()
        .take(MOST)
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|&(distance, name)| distance <= allowed && distance < name.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Returns the hint for a name that is not in `known`; `what` is the plural noun for the names.
pub fn hint(typed: &str, known: &[&str], what: &str) -> String {
    if let Some(name) = nearest(typed, known.iter().copied()) {
        return format!("Did you mean `{name}`?");
    }
    if known.is_empty() {
        return format!("There are no {what} here");
    }
    format!("Known {what}: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_that_was_meant() {
        let known = ["version", "project", "state", "defaults", "environments"];
        assert_eq!(nearest("enviroments", known), Some("environments"));
        assert_eq!(nearest("Version", known), Some("version"));
        assert_eq!(nearest("porject", known), Some("project"));
        assert_eq!(nearest("protect", known), Some("project"));
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("zzzzzzzz", known), None);
    }

    #[test]
    fn names_what_is_known() {
        assert_eq!(hint("zap", &["engine"], "keys"), "Known keys: engine");
    }
}
