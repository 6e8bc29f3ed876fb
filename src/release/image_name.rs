//! Names of images, parsed by Docker's rules. Reads no image.

/// Returns an image's name in the form that Docker shows: without the registry and `library/` if they are Docker's own,
/// and with the tag `latest` if it has none. Two names mean the same image if their results are equal.
/// Source: the reference grammar of the distribution project, `ParseNormalizedNamed`.
pub fn familiar(name: &str) -> String {
    let (domain, rest) = match name.split_once('/') {
        Some((first, rest)) if is_domain(first) => (first, rest),
        _ => ("docker.io", name),
    };
    let own = matches!(domain, "docker.io" | "index.docker.io");
    let rest =
        if own { rest.strip_prefix("library/").filter(|short| !short.contains('/')).unwrap_or(rest) } else { rest };
    let tagged = rest.contains('@') || rest.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let tag = if tagged { "" } else { ":latest" };
    if own { format!("{rest}{tag}") } else { format!("{domain}/{rest}{tag}") }
}

/// Returns the host of the registry that an image is pulled from.
pub fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if is_domain(first) && first != "index.docker.io" => first,
        _ => "docker.io",
    }
}

fn is_domain(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use crate::release::image_name::{familiar, registry};

    #[test]
    fn an_image_is_pulled_from_the_registry_that_it_names() {
        for (written, host) in [
            ("demo", "docker.io"),
            ("torrust/tracker:3", "docker.io"),
            ("index.docker.io/a/b", "docker.io"),
            ("ghcr.io/a/b:v1", "ghcr.io"),
            ("127.0.0.1:5000/demo@sha256:00", "127.0.0.1:5000"),
        ] {
            assert_eq!(registry(written), host, "{written}");
        }
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for (written, shown) in [
            ("demo", "demo:latest"),
            ("demo:1", "demo:1"),
            ("library/demo:1", "demo:1"),
            ("docker.io/demo", "demo:latest"),
            ("docker.io/library/demo:1", "demo:1"),
            ("index.docker.io/library/demo:1", "demo:1"),
            ("docker.io/torrust/tracker:3", "torrust/tracker:3"),
            ("torrust/tracker", "torrust/tracker:latest"),
            ("library/deep/demo", "library/deep/demo:latest"),
            ("localhost/demo:1", "localhost/demo:1"),
            ("localhost:5000/demo", "localhost:5000/demo:latest"),
            ("ghcr.io/a/b:v1", "ghcr.io/a/b:v1"),
            ("demo@sha256:00", "demo@sha256:00"),
        ] {
            assert_eq!(familiar(written), shown, "{written}");
        }
    }
}
